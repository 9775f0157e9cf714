"""How long somebody was where: hours of presence by cell, and of which hours.

A row counts for the cells of its polygon by area: one car in four cells for an hour is a quarter of
an hour in each. Whether somebody was there at all is another figure: the share of a cell and hour that
rows cover, 1 at most, however many were there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from app.core.processes.priority import give_way
from app.geo.hexagons import projected
from app.geo.overlaps import CellIndex
from app.geo.study_area import make_valid

FloatArray = NDArray[np.float64]
HOUR_S = 3600
SLOTS_AT_ONCE = 168
VALUES_AT_ONCE = 3_000_000
"""Cells times hours held in memory."""
POLYGONS_AT_ONCE = 100
SLIVER = 1e-3


class Stay(NamedTuple):
    """A row of the log: UTC seconds, and WKB of its polygons in degrees."""

    start_s: float
    end_s: float
    shape: bytes


@dataclass(frozen=True)
class _Footprint:
    """Cells of a polygon: `share` of the polygon in each, and `cover`, the share of each cell in it."""

    cells: NDArray[np.int64]
    share: FloatArray
    cover: FloatArray


class Hours(NamedTuple):
    """Presence in some hours: `present` (N, K) unit hours, `cover` (N, K) share of cell and hour, 0..1.

    `first` is the first hour's place in the period.
    """

    first: int
    present: FloatArray
    cover: FloatArray


class Exposure:
    """Presence in the cells of a grid in a period of whole hours.

    Args:
        index: of the cells.
        stays: rows of the log; what lies outside the period does not count.
        start_s: UTC start of the first hour.
        n_slots: number of hours.
    """

    def __init__(self, index: CellIndex, stays: Sequence[Stay], start_s: int, n_slots: int) -> None:
        self.n_cells = len(index.grid)
        self.n_slots = n_slots
        start = np.array([stay.start_s for stay in stays]) - start_s
        end = np.array([stay.end_s for stay in stays]) - start_s
        self.start_h = np.clip(start / HOUR_S, 0, n_slots)
        self.end_h = np.clip(end / HOUR_S, 0, n_slots)
        self.hours = float((self.end_h - self.start_h).sum())
        names = list(dict.fromkeys(stay.shape for stay in stays))
        place = {name: i for i, name in enumerate(names)}
        self.shape_of = np.array([place[stay.shape] for stay in stays], np.int64)
        self.footprints = _footprints(index, names)

    def __iter__(self) -> Iterator[Hours]:
        """Yield the hours in which somebody was somewhere, up to a week at once."""
        step = max(1, min(SLOTS_AT_ONCE, VALUES_AT_ONCE // self.n_cells))
        for first in range(0, self.n_slots, step):
            give_way()
            n = min(step, self.n_slots - first)
            mine = np.flatnonzero((self.start_h < first + n) & (self.end_h > first))
            if len(mine):
                yield self._hours(first, n, mine)

    def by_cell(self) -> FloatArray:
        """Return the unit hours (N,) of the period."""
        return sum((part.present.sum(axis=1) for part in self), np.zeros(self.n_cells))

    def _hours(self, first: int, n: int, rows: NDArray[np.int64]) -> Hours:
        edges = first + np.arange(n)
        low = np.maximum(self.start_h[rows, None], edges)
        high = np.minimum(self.end_h[rows, None], edges + 1)
        lasts = np.maximum(high - low, 0.0)
        present, cover = np.zeros((self.n_cells, n)), np.zeros((self.n_cells, n))
        shapes = self.shape_of[rows]
        for shape in np.unique(shapes).tolist():
            foot = self.footprints[shape]
            hours = lasts[shapes == shape].sum(axis=0)
            at = np.flatnonzero(hours)
            where = np.ix_(foot.cells, at)
            present[where] += np.outer(foot.share, hours[at])
            cover[where] += np.outer(foot.cover, np.minimum(hours[at], 1.0))
        return Hours(first, present, np.minimum(cover, 1.0))


def _footprints(index: CellIndex, shapes: Sequence[bytes]) -> list[_Footprint]:
    found = []
    for start in range(0, len(shapes), POLYGONS_AT_ONCE):
        give_way()
        degrees: Any = shapely.from_wkb(shapes[start : start + POLYGONS_AT_ONCE])
        polygons_m = np.asarray(make_valid(projected(np.asarray(degrees), index.grid.crs)))
        pieces = index.overlap(polygons_m)
        whole_km2 = shapely.area(polygons_m) / 1e6
        for place in range(len(polygons_m)):
            mine = pieces.target == place
            cells, km2 = pieces.source[mine], pieces.area_km2[mine]
            # Outlines are stored to the centimetre: a sliver of the next cell is no presence there.
            cover = np.minimum(km2 / index.grid.area_km2[cells], 1.0)
            keep = cover > SLIVER
            share = km2[keep] / whole_km2[place]
            found.append(_Footprint(cells[keep], share, cover[keep]))
    return found
