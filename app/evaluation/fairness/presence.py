"""Feedback audit: whether what was recorded follows where somebody was.

Reports of the public should not depend on patrols; what patrols discover does. If reports, beyond what place
and hour explain, come where somebody is, then learning from them may feed patrols back to themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine

from app.geo.boundaries import study_area_from_geojson
from app.geo.grid import Grid
from app.geo.hour_of_week import windows_of
from app.geo.overlaps import CellIndex
from app.incidents.column_store import IncidentColumns, read_columns
from app.presence.exposure import Exposure
from app.presence.rates import Recorded, presence_report
from app.presence.service import stays_between
from app.regions.store import Region
from app.registry.new_incidents import hours_since, incidents_of
from models.units import HOUR_S, N_WINDOWS, FloatArray


@dataclass(frozen=True)
class Evidence:
    """What the audit is of.

    Args:
        boundary: GeoJSON of the study area of the grid.
        tables: (W, N) probabilities of the version, W 1 or 168.
        flagged: (W, k) rows of its flagged cells.
        reported: incidents that the version learns from, reported by the public.
        by_source: all incidents of the region, and of these the reported ones.
    """

    region: Region
    grid: Grid
    boundary: dict[str, Any]
    tables: FloatArray
    flagged: NDArray[np.int32]
    reported: IncidentColumns
    by_source: tuple[IncidentColumns, IncidentColumns]
    start: datetime
    end: datetime


def all_by_source(
    connection: Connection, region: Region, start: datetime, end: datetime
) -> tuple[IncidentColumns, IncidentColumns]:
    """Read all incidents of a period, and of these the reported ones."""
    return (
        read_columns(connection, region, start, end, discovered_share=1.0),
        read_columns(connection, region, start, end),
    )


def presence_audit(engine: Engine, of: Evidence) -> tuple[dict[str, Any], FloatArray] | None:
    """Return the presence report of a period and unit hours (N,) by cell; None without any presence.

    Expected are the incidents that the version's densities give each cell in each hour of the week, in
    proportion to the incidents reported in that hour of the week.
    """
    stays = stays_between(engine, of.region, of.start, of.end)
    if not stays:
        return None
    first_s = int(of.start.timestamp()) // HOUR_S * HOUR_S
    n_slots = -(-(int(of.end.timestamp()) - first_s) // HOUR_S)
    index = CellIndex(study_area_from_geojson(of.boundary, of.grid.crs), of.grid)
    exposure = Exposure(index, stays, first_s, n_slots)
    window = windows_of(first_s + HOUR_S * np.arange(n_slots, dtype=np.int64), of.region.timezone)
    window = window.astype(np.int64)
    reported, everything, of_public = (
        _recorded(of, columns, first_s, n_slots) for columns in (of.reported, *of.by_source)
    )
    times = np.bincount(window, minlength=N_WINDOWS)
    rate = np.bincount(window[reported.slot], reported.weight, N_WINDOWS) / np.maximum(times, 1)
    is_flagged = np.zeros(of.tables.shape, bool)
    np.put_along_axis(is_flagged, of.flagged.astype(np.int64), values=True, axis=1)
    rows = window % len(of.tables)

    def flagged(first: int, n: int) -> NDArray[np.bool_]:
        return is_flagged[rows[first : first + n]].T

    def expected(first: int, n: int) -> FloatArray:
        span = slice(first, first + n)
        table: FloatArray = of.tables[rows[span]] * rate[window[span], None]
        return table.T

    total = np.bincount(rows, rate[window], len(of.tables)) @ of.tables
    kinds = {"reported": reported, "discovered": _without(everything, of_public)}
    return presence_report(exposure, of.grid.area_km2, kinds, flagged, expected, total)


def _recorded(of: Evidence, columns: IncidentColumns, first_s: int, n_slots: int) -> Recorded:
    found = incidents_of(columns, of.region.timezone)
    hours = found.by_hour()
    cell = of.grid.locate(columns.x_m, columns.y_m)[hours.incident]
    slot = hours_since(found, hours, first_s)
    inside = (cell >= 0) & (slot >= 0) & (slot < n_slots)
    return Recorded(cell[inside], slot[inside], hours.weight[inside])


def _without(everything: Recorded, part: Recorded) -> Recorded:
    """Return what is recorded besides a part of it: all sums are linear in the weights."""
    cell, slot = (np.concatenate(both) for both in zip(everything[:2], part[:2], strict=True))
    return Recorded(cell, slot, np.concatenate([everything.weight, -part.weight]))
