"""Convert between cell sizes; exact, since densities are constant inside a cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from app.core.processes.priority import give_way
from app.geo.grid import BLOCK, Grid
from app.geo.study_area import M2_PER_KM2, StudyArea

FloatArray = NDArray[np.float64]
WHOLE = 1e-9
"""Relative tolerance for the area of a cell that is not clipped."""


@dataclass(frozen=True)
class Overlap:
    """Share of each source cell's area inside the study area that lies in each target cell."""

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    share: FloatArray


def overlap_of(area: StudyArea, source: Grid, target: Grid) -> Overlap:
    """Compute the exact overlaps of two grids of one study area.

    Pieces of cells wholly inside the study area are rectangles; only the others become geometries and
    are cut, since creating hundreds of thousands blocks all threads for a tenth of a second.
    """
    rows, columns, sides = _pieces(source, target)
    left, low, right, high = sides
    size = (right - left) * (high - low)
    whole_km2 = (1 - WHOLE) * source.cell_size_m**2 / M2_PER_KM2
    edge = np.flatnonzero(source.area_km2[rows] < whole_km2)
    with area.prepared() as polygon_m:
        for start in range(0, len(edge), BLOCK):
            give_way()
            part = edge[start : start + BLOCK]
            boxes: NDArray[Any] = np.asarray(shapely.box(*sides[:, part]))
            cut = ~shapely.contains(polygon_m, boxes)
            size[part[cut]] = shapely.area(shapely.intersection(boxes[cut], area.polygon_m))
    keep = size > 0
    rows, columns, size = rows[keep], columns[keep], size[keep]
    total = np.bincount(rows, weights=size, minlength=len(source))
    return Overlap(rows, columns, size / total[rows])


def _pieces(source: Grid, target: Grid) -> tuple[NDArray[np.int64], NDArray[np.int64], FloatArray]:
    """Return the rectangles in one source and one target cell: the rows of both, and (4, n) sides."""
    x_cuts = _axis_pieces(
        source.x0_m, source.cell_size_m, source.nx, target.x0_m, target.cell_size_m, target.nx
    )
    y_cuts = _axis_pieces(
        source.y0_m, source.cell_size_m, source.ny, target.y0_m, target.cell_size_m, target.ny
    )
    xi, yi = (a.ravel() for a in np.meshgrid(np.arange(len(x_cuts[0])), np.arange(len(y_cuts[0]))))
    left, right, source_x, target_x = (column[xi] for column in x_cuts)
    low, high, source_y, target_y = (column[yi] for column in y_cuts)
    rows = source.rows_of_ids((source_y * source.nx + source_x).astype(np.int64))
    columns = target.rows_of_ids((target_y * target.nx + target_x).astype(np.int64))
    keep = (rows >= 0) & (columns >= 0)
    sides: FloatArray = np.stack([left[keep], low[keep], right[keep], high[keep]])
    return rows[keep], columns[keep], sides


def _axis_pieces(
    start_m: float, size_m: float, n: int, other_start_m: float, other_size_m: float, other_n: int
) -> tuple[FloatArray, FloatArray, NDArray[np.int64], NDArray[np.int64]]:
    """Return the intervals between the cuts of both grids along one axis, with the index in each."""
    cuts = np.concatenate(
        [start_m + np.arange(n + 1) * size_m, other_start_m + np.arange(other_n + 1) * other_size_m]
    )
    cuts = np.unique(np.round(cuts, 6))
    low, high = cuts[:-1], cuts[1:]
    middle = (low + high) / 2
    index = np.floor((middle - start_m) / size_m).astype(np.int64)
    other = np.floor((middle - other_start_m) / other_size_m).astype(np.int64)
    keep = (index >= 0) & (index < n) & (other >= 0) & (other < other_n)
    return low[keep], high[keep], index[keep], other[keep]
