"""Tilings of a city by equal rectangles, and the search for the one whose best cells hold most.

Incidents are reported at corners and middles of blocks. A rectangle of the same area as a square, along
the streets, holds more of such points; where it begins decides as well. Rows of cells may be shifted against
each other like bricks: the tiling still covers the city with equal cells.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.contest.rules import MIN_SIDE_M, SIDE_M, n_cells
from models.units import FloatArray, IntArray

WIDTHS_M = (SIDE_M, 62.0, 50.0, MIN_SIDE_M)
"""Of cells of the least area, from squares to the narrowest."""
ANGLE_STEP_DEG = 10.0
N_PHASES, N_SHIFTS, N_REFINED = 2, 4, 6
FINE_PHASES, FINE_SHIFTS = 6, 12
FINE_TURNS_DEG = (-5.0, -2.5, 0.0, 2.5, 5.0)
MAX_DENSE = 4_000_000
"""Cells of a tiling that are counted in a table; those of a larger region are sorted."""
_COLUMNS = 1 << 24
"""Greater than the number of columns of any tiling of a region."""


@dataclass(frozen=True)
class Tiling:
    """Equal rectangles in rows.

    Args:
        width_m: side of a cell along its row.
        height_m: its other side.
        angle_rad: direction of the rows, counterclockwise from east.
        x0_m, y0_m: the point about which it is turned; a corner of a cell where `phase` is 0 and its row
            not shifted.
        phase: by which share of a height all rows are shifted across.
        shifts: (R,) by which share of a width each row is shifted, from row `first_row` on; rows outside
            are not shifted.
        first_row: number of the first of these rows.
    """

    width_m: float
    height_m: float
    angle_rad: float
    x0_m: float
    y0_m: float
    phase: float
    shifts: FloatArray
    first_row: int = 0

    @property
    def cell_km2(self) -> float:
        """Area of a cell."""
        return self.width_m * self.height_m / 1e6

    def cell_of(self, x_m: NDArray[Any], y_m: NDArray[Any]) -> IntArray:
        """Return the id (n,) of the cell that holds each point."""
        along, across = self.turned(x_m, y_m)
        row = np.floor(across).astype(np.int64)
        return _cell_ids(row, np.floor(along + self._shift_of(row)).astype(np.int64))

    def corners_m(self, ids: IntArray) -> FloatArray:
        """Return the corners (k, 4, 2) of cells, counterclockwise."""
        row = ids // _COLUMNS
        column = ids - row * _COLUMNS - _COLUMNS // 2
        left = column - self._shift_of(row)
        along = (left[:, None] + np.array([0, 1, 1, 0])) * self.width_m
        across = (row[:, None] + np.array([0, 0, 1, 1]) - self.phase) * self.height_m
        c, s = np.cos(self.angle_rad), np.sin(self.angle_rad)
        x_m = self.x0_m + along * c - across * s
        return np.stack([x_m, self.y0_m + along * s + across * c], axis=2)

    def turned(self, x_m: NDArray[Any], y_m: NDArray[Any]) -> tuple[FloatArray, FloatArray]:
        """Return where points lie in widths along, and heights across, before rows are shifted."""
        x, y = np.asarray(x_m, np.float64) - self.x0_m, np.asarray(y_m, np.float64) - self.y0_m
        c, s = np.cos(self.angle_rad), np.sin(self.angle_rad)
        return (x * c + y * s) / self.width_m, (y * c - x * s) / self.height_m + self.phase

    def _shift_of(self, row: IntArray) -> FloatArray:
        place = row - self.first_row
        known = (place >= 0) & (place < len(self.shifts))
        found = np.zeros(len(row))
        found[known] = self.shifts[place[known]]
        return found


def plain_squares() -> Tiling:
    """Return squares of the least area whose corners are multiples of their side, as grids of regions are."""
    return Tiling(SIDE_M, SIDE_M, 0.0, 0.0, 0.0, 0.0, np.zeros(0))


def cell_sums(ids: IntArray, worth: FloatArray) -> tuple[IntArray, FloatArray]:
    """Return the cells (k,) that hold points (n,), best first, and what they hold."""
    cell, place = np.unique(ids, return_inverse=True)
    total = np.bincount(place, worth, minlength=len(cell)).astype(np.float64)
    order = np.argsort(-total, kind="stable")
    return cell[order], total[order]


def best_tiling(
    x_m: FloatArray, y_m: FloatArray, worth: FloatArray, *, shifted_rows: bool = True
) -> Tiling:
    """Return the tiling whose best cells hold the greatest worth, relative to plain squares.

    Args:
        x_m, y_m: (n,) points.
        worth: (n,) expected incidents at each.
        shifted_rows: whether rows may be shifted against each other.
    """
    held = cell_sums(plain_squares().cell_of(x_m, y_m), worth)[1]
    search = _Search(x_m, y_m, worth, _last(held), _together(held), shifted_rows)
    middle = float(np.median(x_m)), float(np.median(y_m))
    coarse = [
        search.placed(
            Tiling(width, SIDE_M**2 / width, np.deg2rad(turn), *middle, phase, _NONE), N_SHIFTS
        )
        for width in WIDTHS_M
        for turn in np.arange(0.0, 90.0 if width == SIDE_M else 180.0, ANGLE_STEP_DEG)
        for phase in np.arange(N_PHASES) / N_PHASES
    ]
    coarse.sort(key=lambda found: -found[0])
    fine = [
        search.placed(one, FINE_SHIFTS) for _, start in coarse[:N_REFINED] for one in _around(start)
    ]
    return max(fine, key=lambda found: found[0])[1]


def _around(start: Tiling) -> Iterator[Tiling]:
    for turn in FINE_TURNS_DEG:
        for phase in np.arange(FINE_PHASES) / FINE_PHASES:
            yield replace(
                start,
                angle_rad=start.angle_rad + np.deg2rad(turn),
                phase=float(phase),
                shifts=_NONE,
            )


_NONE = np.zeros(0)


@dataclass(frozen=True)
class _Search:
    """Places tilings on points so that their best cells hold much.

    The best k cells hold k times a threshold plus what single cells hold above it, where the threshold is
    what the last of them holds. So rows can be shifted one by one, each for the most above the thresholds.

    Args:
        thresholds: (A,) what the last of the best plain squares of each area holds.
        totals: (A,) what they hold together.
    """

    x_m: FloatArray
    y_m: FloatArray
    worth: FloatArray
    thresholds: FloatArray
    totals: FloatArray
    shifted_rows: bool

    def placed(self, tiling: Tiling, n_shifts: int) -> tuple[float, Tiling]:
        """Shift the rows for the best; return what cells then hold above the thresholds, and the tiling."""
        along, across = tiling.turned(self.x_m, self.y_m)
        row = np.floor(across).astype(np.int64)
        first = int(row.min())
        row -= first
        above = np.stack([self._above(row, along + k / n_shifts) for k in range(n_shifts)])
        if self.shifted_rows:
            best = above.argmax(axis=0)
        else:
            best = np.full(above.shape[1], above.sum(axis=1).argmax())
        value = float(np.take_along_axis(above, best[None, :], axis=0).sum())
        return value, replace(tiling, shifts=best / n_shifts, first_row=first)

    def _above(self, row: IntArray, along: FloatArray) -> FloatArray:
        """Return what the cells of each row (R,) hold above the thresholds, relative to the totals."""
        column = np.floor(along).astype(np.int64)
        column -= column.min()
        n_columns, n_rows = int(column.max()) + 1, int(row.max()) + 1
        cell = row * n_columns + column
        if n_rows * n_columns <= MAX_DENSE:
            held = np.bincount(cell, self.worth)
            best = np.flatnonzero(held > self.thresholds.min())
            held = held[best]
        else:
            cell, place = np.unique(cell, return_inverse=True)
            held = np.bincount(place, self.worth)
            best, held = cell[held > self.thresholds.min()], held[held > self.thresholds.min()]
        above = np.maximum(held[:, None] - self.thresholds, 0.0) @ (1.0 / self.totals)
        by_row = np.bincount(best // n_columns, above, minlength=n_rows)
        return by_row.astype(np.float64)


def _cell_ids(row: IntArray, column: IntArray) -> IntArray:
    return row * _COLUMNS + column + _COLUMNS // 2


def _together(held: FloatArray) -> FloatArray:
    """Return what the best cells of each area hold (A,), of cells (k,) best first."""
    total = np.cumsum(held)
    return np.asarray(total[np.minimum(n_cells(), len(total)) - 1], np.float64)


def _last(held: FloatArray) -> FloatArray:
    """Return what the last of the best cells of each area holds (A,)."""
    return np.asarray(held[np.minimum(n_cells(), len(held)) - 1], np.float64)
