"""Square cells over a study area, clipped to it, with exact areas."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion

from app.core.caching.once import once
from app.core.errors import InvalidInput, LimitExceeded
from app.core.processes.priority import give_way
from app.geo.study_area import M2_PER_KM2, StudyArea, to_degrees

MIN_CELL_SIZE_M = 100.0
MAX_CELL_SIZE_M = 5_000.0
_POINTS_AT_ONCE = 1 << 17
"""Points are placed in blocks that fit a core's caches, which also bounds the memory."""
BLOCK = 512
"""Geometries created at once: creation blocks all threads, 8,192 for four milliseconds."""
MAX_CELLS = 300_000
SLIVER_SHARE = 1e-6


@dataclass(frozen=True)
class Grid:
    """Cells of a study area; satisfies `models.base.Cells`.

    `cell_id` = iy * nx + ix with ix counted east and iy north from the lower-left corner
    (`x0_m`, `y0_m`), ascending; arrays have shape (N,); only cells that overlap the study area.
    """

    crs: str
    x0_m: float
    y0_m: float
    cell_size_m: float
    nx: int
    ny: int
    cell_id: NDArray[np.int64]
    area_km2: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.cell_id)

    @once
    def ix(self) -> NDArray[np.int64]:
        """Column of each cell, counted east."""
        return self.cell_id % self.nx

    @once
    def iy(self) -> NDArray[np.int64]:
        """Row of each cell, counted north."""
        return self.cell_id // self.nx

    @once
    def _row_of_id(self) -> NDArray[np.int64]:
        rows = np.full(self.nx * self.ny, -1, np.int64)
        rows[self.cell_id] = np.arange(len(self.cell_id))
        return rows

    def rows_of_ids(self, cell_id: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the row of each cell id (0..nx * ny - 1), -1 where the study area has no such cell."""
        rows: NDArray[np.int64] = self._row_of_id[cell_id]
        return rows

    def locate(self, x_m: NDArray[Any], y_m: NDArray[Any]) -> NDArray[np.int64]:
        """Return the row (0..N-1) of the cell that holds each point, -1 where no cell does; shape (n,)."""
        x_m, y_m = np.asarray(x_m), np.asarray(y_m)
        rows = np.empty(x_m.shape, np.int64)
        for start in range(0, len(rows), _POINTS_AT_ONCE):
            part = slice(start, start + _POINTS_AT_ONCE)
            rows[part] = self._located(x_m[part].astype(np.float64), y_m[part].astype(np.float64))
        return rows

    def _located(self, x_m: NDArray[np.float64], y_m: NDArray[np.float64]) -> NDArray[np.int64]:
        finite = np.isfinite(x_m) & np.isfinite(y_m)
        column = np.floor((np.where(finite, x_m, 0.0) - self.x0_m) / self.cell_size_m)
        row = np.floor((np.where(finite, y_m, 0.0) - self.y0_m) / self.cell_size_m)
        inside = finite & (column >= 0) & (column < self.nx) & (row >= 0) & (row < self.ny)
        ids = np.where(inside, row * self.nx + column, 0).astype(np.int64)
        return np.where(inside, self._row_of_id[ids], -1)

    def rows_within(
        self, low_m: NDArray[np.float64], high_m: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        """Return rows of the squares that meet a rectangle; corners (2,) in metres."""
        corner_m = np.array([self.x0_m, self.y0_m])
        ix0, iy0 = np.floor((low_m - corner_m) / self.cell_size_m).astype(np.int64)
        ix1, iy1 = np.floor((high_m - corner_m) / self.cell_size_m).astype(np.int64)
        # Ids ascend from the south: the lines of squares that the rectangle meets lie together.
        first, last = np.searchsorted(self.cell_id, [iy0 * self.nx, (iy1 + 1) * self.nx])
        ix = self.cell_id[first:last] % self.nx
        rows: NDArray[np.int64] = first + np.flatnonzero((ix >= ix0) & (ix <= ix1))
        return rows

    def on_rim(self) -> NDArray[np.bool_]:
        """Return (N,) whether a cell lacks some of its eight neighbours."""
        ix, iy = self.ix - self.ix.min(), self.iy - self.iy.min()
        known = np.zeros((iy.max() + 1, ix.max() + 1), np.bool_)
        known[iy, ix] = True
        rim: NDArray[np.bool_] = ~binary_erosion(known, np.ones((3, 3), np.bool_))[iy, ix]
        return rim

    def centres_m(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return x_m, y_m of the middle of each full square, (N,) each."""
        x_m = self.x0_m + (self.ix.astype(np.float64) + 0.5) * self.cell_size_m
        y_m = self.y0_m + (self.iy.astype(np.float64) + 0.5) * self.cell_size_m
        return x_m, y_m

    @once
    def centres_degrees(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Longitude and latitude of the middle of each full square, (N,) each."""
        return to_degrees(*self.centres_m(), self.crs)

    def squares_m(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Return shapely polygons of the full squares of some cells, in metres."""
        x_m = self.x0_m + self.ix[rows] * self.cell_size_m
        y_m = self.y0_m + self.iy[rows] * self.cell_size_m
        boxes: NDArray[Any] = shapely.box(x_m, y_m, x_m + self.cell_size_m, y_m + self.cell_size_m)
        return boxes

    def polygons_degrees(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Return shapely polygons of the full squares of some cells, longitude and latitude."""
        squares = self.squares_m(rows)
        polygons: NDArray[Any] = shapely.transform(
            squares, lambda xy: np.column_stack(to_degrees(xy[:, 0], xy[:, 1], self.crs))
        )
        return polygons


def check_cell_size(cell_size_m: float) -> None:
    """Raise unless cells of this size are allowed.

    Raises:
        InvalidInput: not a finite number.
        LimitExceeded: not within 100 m..5 km.
    """
    if not math.isfinite(cell_size_m):
        raise InvalidInput("cell_size_m must be a finite number", field="cell_size_m")
    if not MIN_CELL_SIZE_M <= cell_size_m <= MAX_CELL_SIZE_M:
        below = cell_size_m < MIN_CELL_SIZE_M
        raise LimitExceeded(
            f"cell_size_m is {cell_size_m:g}; it must lie within "
            f"{MIN_CELL_SIZE_M:.0f}..{MAX_CELL_SIZE_M:.0f}",
            field="cell_size_m",
            limit=MIN_CELL_SIZE_M if below else MAX_CELL_SIZE_M,
            asked=cell_size_m,
        )


def build_grid(area: StudyArea, cell_size_m: float) -> Grid:
    """Build the cells of `cell_size_m` that overlap a study area; their corner is a multiple of the size.

    Areas are of the cell clipped to the polygon. Cells inside are found without clipping, so only
    the boundary's cells cost a geometric intersection.

    Raises:
        InvalidInput: the cell size is not a number.
        LimitExceeded: the cell size is not within 100 m..5 km, or over 300,000 cells.
    """
    check_cell_size(cell_size_m)
    return cover(area, cell_size_m)


def cover(area: StudyArea, cell_size_m: float) -> Grid:
    """Build the same cells of any size, also smaller than those of regions may be.

    Raises:
        LimitExceeded: over 300,000 cells.
    """
    west, south, east, north = area.polygon_m.bounds
    x0_m = math.floor(west / cell_size_m) * cell_size_m
    y0_m = math.floor(south / cell_size_m) * cell_size_m
    nx = max(1, math.ceil((east - x0_m) / cell_size_m))
    ny = max(1, math.ceil((north - y0_m) / cell_size_m))
    estimate = area.area_km2 * M2_PER_KM2 / cell_size_m**2
    if estimate > MAX_CELLS or nx * ny > 20 * MAX_CELLS:
        raise LimitExceeded(
            f"about {estimate:.0f} cells of {cell_size_m:g} m, the limit is {MAX_CELLS}",
            field="cell_size_m",
            limit=MAX_CELLS,
            asked=round(estimate),
        )
    area_m2 = _clipped_areas(area, x0_m, y0_m, cell_size_m, nx, ny)
    cell_id = np.flatnonzero(area_m2 > SLIVER_SHARE * cell_size_m**2)
    return Grid(area.crs, x0_m, y0_m, cell_size_m, nx, ny, cell_id, area_m2[cell_id] / M2_PER_KM2)


def _clipped_areas(
    area: StudyArea, x0_m: float, y0_m: float, size_m: float, nx: int, ny: int
) -> NDArray[np.float64]:
    """Return the (ny * nx,) area in m2 of each square that lies inside the polygon."""
    x_m = x0_m + np.arange(nx) * size_m
    y_m = y0_m + np.arange(ny) * size_m
    left, bottom = (a.ravel() for a in np.meshgrid(x_m, y_m))
    result = np.zeros(nx * ny)
    with area.prepared() as polygon_m:
        for start in range(0, nx * ny, BLOCK):
            give_way()
            part = slice(start, start + BLOCK)
            west, south = left[part], bottom[part]
            squares = shapely.box(west, south, west + size_m, south + size_m)
            inside = shapely.contains(polygon_m, squares)
            edge = ~inside & shapely.intersects(polygon_m, squares)
            size = np.where(inside, size_m**2, 0.0)
            size[edge] = shapely.area(shapely.intersection(squares[edge], area.polygon_m))
            result[part] = size
    return result
