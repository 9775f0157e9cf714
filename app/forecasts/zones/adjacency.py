"""Which cells share a side."""

from __future__ import annotations

import h3
import numpy as np

from app.forecasts.cells import CellSet, SquareCells
from models.units import IntArray

HEX_SIDES = 6


def neighbours_of(cells: CellSet) -> IntArray:
    """Return the rows (N, S) of the cells across each side, -1 where the study area has none."""
    if isinstance(cells, SquareCells):
        return _of_squares(cells)
    row_of = {cell: row for row, cell in enumerate(cells.ids)}
    rows = np.full((len(cells), HEX_SIDES), -1, np.int64)
    for row, cell in enumerate(cells.ids):
        around = [row_of[other] for other in h3.grid_disk(cell, 1) if other in row_of]
        around.remove(row)
        rows[row, : len(around)] = sorted(around)
    return rows


def _of_squares(cells: SquareCells) -> IntArray:
    grid = cells.grid
    table = np.full((grid.ny + 2, grid.nx + 2), -1, np.int64)
    iy, ix = grid.iy + 1, grid.ix + 1
    table[iy, ix] = np.arange(len(grid))
    return np.stack(
        [table[iy, ix - 1], table[iy, ix + 1], table[iy - 1, ix], table[iy + 1, ix]], axis=1
    )
