"""Incidents that happened after a version's data end, as its own training would have taken them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from app.geo.grid import Grid
from app.geo.hour_of_week import local_offset_s
from app.incidents.store import read_columns
from app.regions.store import Region, categories_of
from app.registry.store import VersionRecord
from models.base import DAY_S, IntArray

EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class Arrivals:
    """Columns of n incidents in order of time; `rows` is -1 outside the version's cells."""

    time_s: IntArray
    window: NDArray[np.int16]
    rows: IntArray
    day: IntArray
    """Local days since 1970-01-01."""

    def inside(self) -> Arrivals:
        """Those in a cell."""
        kept = self.rows >= 0
        return Arrivals(self.time_s[kept], self.window[kept], self.rows[kept], self.day[kept])


def arrivals(
    connection: Connection,
    region: Region,
    version: VersionRecord,
    grid: Grid,
    since: datetime,
    arrived_after: datetime | None = None,
) -> Arrivals:
    """Incidents since an instant, without the categories, sources and piles its training left out.

    Args:
        arrived_after: only what was not in the database at that moment.
    """
    left_out = version.report.get("data", {})
    names = set(categories_of(connection, region.key).values())
    if version.settings.get("categories"):
        names &= set(version.categories)
    columns = read_columns(
        connection,
        region,
        since=max(since, version.cutoff),
        category_names=sorted(names - set(left_out.get("excluded_categories", []))),
        discovered_share=left_out.get("discovered_weight", 0.0),
        arrived_after=arrived_after,
    )
    piles = {(pile["x_m"], pile["y_m"]) for pile in left_out.get("default_geocodes", [])}
    place = zip(
        np.rint(columns.x_m).astype(int).tolist(),
        np.rint(columns.y_m).astype(int).tolist(),
        strict=True,
    )
    kept = np.array([p not in piles for p in place], bool)
    time_s = columns.time_s[kept]
    return Arrivals(
        time_s,
        columns.window[kept],
        grid.locate(columns.x_m[kept], columns.y_m[kept]),
        (time_s + local_offset_s(time_s, region.timezone)) // DAY_S,
    )


def as_date(day: int) -> date:
    """The date of a local day number."""
    return EPOCH + timedelta(days=day)
