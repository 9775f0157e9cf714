"""Incidents after a version's data end, filtered as its training would filter them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from app.geo.grid import Grid
from app.geo.hour_of_week import local_offset_s, minute_of_hour, touched_hours
from app.incidents.column_store import IncidentColumns, ReleaseCut, read_columns
from app.regions.category_store import kind_names
from app.regions.kinds import Kinds, folded
from app.regions.store import Region
from app.registry.store import VersionRecord
from models.incidents import Incidents
from models.times.intervals import HourShares, Intervals
from models.times.placeholders import with_unknown_times
from models.units import DAY_S, HOUR_S, FloatArray, IntArray

EPOCH = date(1970, 1, 1)


def incidents_of(
    columns: IncidentColumns, timezone: str, facts: Mapping[str, Any] | None = None
) -> Incidents:
    """Return stored incidents as models read them, intervals shared out by their overlap with each hour.

    Args:
        columns: the incidents.
        timezone: the region's.
        facts: what a version's report says of its data; times that it took for placeholders are
            intervals of their day.
    """
    n_hours, window, overlap = touched_hours(columns.time_s, columns.end_s, timezone)
    intervals = None
    if n_hours.any():
        intervals = Intervals.evenly(columns.time_s, columns.end_s, n_hours, window, overlap)
    found = Incidents(
        columns.x_m,
        columns.y_m,
        columns.time_s,
        columns.window,
        columns.category,
        columns.arrived_s,
        intervals,
        minute_of_hour(columns.time_s, timezone),
    )
    if facts is None:
        return found
    return with_unknown_times(found, _placeholder_chances(columns, facts)[columns.category])


def hours_since(found: Incidents, hours: HourShares, start_s: int) -> IntArray:
    """Return how many whole hours after an instant each hour (m,) of incidents begins."""
    begun_s = found.time_s if found.intervals is None else found.intervals.start_s
    first = np.searchsorted(hours.incident, np.arange(len(found)))
    within = np.arange(len(hours.incident)) - first[hours.incident]
    place: IntArray = (begun_s[hours.incident] - start_s) // HOUR_S + within
    return place


@dataclass(frozen=True)
class NewIncidents:
    """Columns of n incidents in order of time; `rows` is -1 outside the version's cells.

    Args:
        time_s: (n,) UTC seconds; of an interval an instant in one of its hours, drawn by the version's
            hourly rates.
        window: (n,) hour of the local week of `time_s`.
        rows: (n,) row of the version's grid.
        day: (n,) local days since 1970-01-01; of an interval that of its start.
        hours: the incidents by hour of the week, intervals by the version's hourly rates.
    """

    time_s: IntArray
    window: NDArray[np.int16]
    rows: IntArray
    day: IntArray
    hours: HourShares

    def inside(self) -> NewIncidents:
        """Return those that lie in a cell."""
        return self.take(self.rows >= 0)

    def take(self, chosen: NDArray[np.bool_]) -> NewIncidents:
        """Return some of the incidents (n,)."""
        return NewIncidents(
            self.time_s[chosen],
            self.window[chosen],
            self.rows[chosen],
            self.day[chosen],
            self.hours.of(chosen),
        )


def new_incidents(
    connection: Connection,
    region: Region,
    version: VersionRecord,
    grid: Grid,
    since: datetime,
    arrived_after: datetime | None = None,
    cut: ReleaseCut | None = None,
) -> NewIncidents:
    """Read incidents since an instant, filtered as the version's training filtered them.

    Args:
        arrived_after: only incidents stored after that moment.
        cut: only incidents released to readers.
    """
    left_out = version.report.get("data", {})
    columns = columns_as_learnt(
        connection,
        region,
        version,
        since=max(since, version.cutoff),
        arrived_after=arrived_after,
        cut=cut,
    )
    known = incidents_of(columns, region.timezone, left_out)
    known = known.take(~at_default_geocodes(columns, left_out))
    shared = known.shared_by(np.array([version.counts["profile"]]))
    return NewIncidents(
        shared.at_s,
        shared.window,
        grid.locate(shared.x_m, shared.y_m),
        (shared.time_s + local_offset_s(shared.time_s, region.timezone)) // DAY_S,
        shared.by_hour(),
    )


def columns_as_learnt(
    connection: Connection, region: Region, version: VersionRecord, **limits: Any
) -> IncidentColumns:
    """Read incidents of the categories that a version learnt from; `limits` as for `read_columns`."""
    left_out = version.report.get("data", {})
    names = {folded(name): name for name in kind_names(connection, region)}
    left = {folded(name) for name in left_out.get("excluded_categories", [])}
    if version.settings.get("categories"):
        kinds = Kinds.of(region.settings)
        left |= names.keys() - {folded(kinds.kind(name)) for name in version.categories}
    return read_columns(
        connection,
        region,
        category_names=[name for fold, name in names.items() if fold not in left],
        discovered_share=left_out.get("discovered_weight", 0.0),
        **limits,
    )


def at_default_geocodes(columns: IncidentColumns, facts: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Return which incidents (n,) lie where a version's training (`facts` of its data) left them out."""
    found = np.zeros(len(columns.time_s), np.bool_)
    x_m, y_m = np.rint(columns.x_m), np.rint(columns.y_m)
    for place in facts.get("default_geocodes", []):
        found |= (x_m == place["x_m"]) & (y_m == place["y_m"])
    return found


def _placeholder_chances(columns: IncidentColumns, facts: Mapping[str, Any]) -> FloatArray:
    """Return by category (C, 2) the chances of placeholders that a version learnt (`facts` of its data)."""
    rows = {row["category"]: row["placeholder_chance"] for row in facts.get("inexact_times", [])}
    usual = rows.get(None, [0.0, 0.0])
    return np.array([rows.get(name, usual) for name in columns.category_names]).reshape(-1, 2)


def as_date(day: int) -> date:
    """Return the date of a local day number."""
    return EPOCH + timedelta(days=day)
