"""Incidents after a version's data end, filtered as its training would filter them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from app.geo.grid import Grid
from app.geo.hour_of_week import local_offset_s
from app.incidents.store import ReleaseCut, read_columns
from app.regions.category_store import kind_names
from app.regions.kinds import Kinds, folded
from app.regions.store import Region
from app.registry.store import VersionRecord
from models.base import DAY_S, IntArray

EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class NewIncidents:
    """Columns of n incidents in order of time; `rows` is -1 outside the version's cells."""

    time_s: IntArray
    window: NDArray[np.int16]
    rows: IntArray
    day: IntArray
    """Local days since 1970-01-01."""

    def inside(self) -> NewIncidents:
        """Return those that lie in a cell."""
        held = self.rows >= 0
        return NewIncidents(self.time_s[held], self.window[held], self.rows[held], self.day[held])


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
    names = {folded(name): name for name in kind_names(connection, region)}
    left = {folded(name) for name in left_out.get("excluded_categories", [])}
    if version.settings.get("categories"):
        kinds = Kinds.of(region.settings)
        left |= names.keys() - {folded(kinds.kind(name)) for name in version.categories}
    columns = read_columns(
        connection,
        region,
        since=max(since, version.cutoff),
        category_names=[name for fold, name in names.items() if fold not in left],
        discovered_share=left_out.get("discovered_weight", 0.0),
        arrived_after=arrived_after,
        cut=cut,
    )
    geocodes = {(one["x_m"], one["y_m"]) for one in left_out.get("default_geocodes", [])}
    place = zip(
        np.rint(columns.x_m).astype(int).tolist(),
        np.rint(columns.y_m).astype(int).tolist(),
        strict=True,
    )
    held = np.array([p not in geocodes for p in place], bool)
    time_s = columns.time_s[held]
    return NewIncidents(
        time_s,
        columns.window[held],
        grid.locate(columns.x_m[held], columns.y_m[held]),
        (time_s + local_offset_s(time_s, region.timezone)) // DAY_S,
    )


def as_date(day: int) -> date:
    """Return the date of a local day number."""
    return EPOCH + timedelta(days=day)
