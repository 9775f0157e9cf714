"""Overlaps of square cells with polygons; exact, since densities are constant inside a cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from app.core.caching.once import once
from app.core.errors import LimitExceeded
from app.core.processes.native import prepared, shareable
from app.geo.grid import Grid
from app.geo.study_area import M2_PER_KM2, StudyArea, make_valid

MANY_CORNERS = 256
"""A polygon with more corners is cut into rows of cells first."""
MAX_CELLS_COVERED = 2_000_000
MAX_CORNER_ROWS = 30_000_000
MAX_ROWS_CROSSED = 40_000
"""By sides of polygons with many corners: a star of 2,000 rows takes a second, of 10,000 fifteen."""
MAX_PIECES = 100_000
"""Cells crossed by outlines: each costs an intersection, about 20 microseconds."""


@dataclass(frozen=True)
class PolygonOverlap:
    """Pieces of cells in polygons: `source` cell, `target` polygon, area inside the study area."""

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    area_km2: NDArray[np.float64]


class CellIndex:
    """A spatial index of a grid's cells; `overlap` measures their parts inside given polygons."""

    def __init__(self, area: StudyArea, grid: Grid) -> None:
        self.area = area
        self.grid = grid

    @once
    def _shapes_m(self) -> NDArray[Any]:
        """(N,) each cell's square, clipped to the study area at its edge.

        The outline is cut into rows of cells first: a city's has ten thousand corners, a row's only a few.
        """
        grid = self.grid
        shapes = grid.squares_m(np.arange(len(grid)))
        edge = np.flatnonzero(~self._whole)
        west, _, east, _ = self.area.polygon_m.bounds
        for iy in np.unique(grid.iy[edge]).tolist():
            south_m = grid.y0_m + iy * grid.cell_size_m
            row = shapely.clip_by_rect(
                self.area.polygon_m, west - 1.0, south_m, east + 1.0, south_m + grid.cell_size_m
            )
            mine = edge[grid.iy[edge] == iy]
            shapes[mine] = shapely.intersection(shapes[mine], make_valid(row))
        shareable(shapes)
        return shapes

    @once
    def _whole(self) -> NDArray[np.bool_]:
        """(N,) whether a cell lies inside the study area with all its square."""
        full_km2 = self.grid.cell_size_m**2 / M2_PER_KM2
        whole: NDArray[np.bool_] = self.grid.area_km2 >= full_km2 * (1 - 1e-12)
        return whole

    @once
    def _tree(self) -> shapely.STRtree:
        return shapely.STRtree(self._shapes_m)

    def overlap(self, polygons_m: NDArray[Any]) -> PolygonOverlap:
        """Compute exact overlaps; `polygons_m` (P,) may overlap, each is measured separately.

        Polygons inside one whole square, and cells inside one polygon, need no intersection.

        Raises:
            LimitExceeded: together they cover or cross more cells than may be measured at once.
        """
        self._check(polygons_m)
        polygons_m = prepared(polygons_m)
        target, source = self._tree.query(polygons_m, predicate="intersects")
        size_m2 = np.zeros(len(source))
        todo = np.ones(len(source), bool)
        held = shapely.contains_properly(polygons_m[target], self._shapes_m[source])
        size_m2[held] = self.grid.area_km2[source[held]] * M2_PER_KM2
        todo[held] = False
        bounds, squares = shapely.bounds(polygons_m)[target], shapely.bounds(self._shapes_m)[source]
        within = (bounds[:, :2] >= squares[:, :2]).all(axis=1)
        within &= (bounds[:, 2:] <= squares[:, 2:]).all(axis=1) & self._whole[source] & todo
        size_m2[within] = shapely.area(polygons_m[target[within]])
        todo[within] = False
        _within("areas cross", int(todo.sum()), MAX_PIECES)
        outlines = self._cut_into_rows(polygons_m, target[todo], source[todo])
        size_m2[todo] = shapely.area(shapely.intersection(self._shapes_m[source[todo]], outlines))
        keep = size_m2 > 0
        return PolygonOverlap(
            source[keep].astype(np.int64), target[keep].astype(np.int64), size_m2[keep] / M2_PER_KM2
        )

    def _check(self, polygons_m: NDArray[Any]) -> None:
        """Raise if the overlap would cost too much, judged by the polygons' boxes and corners alone."""
        grid = self.grid
        low, high = np.array([grid.x0_m, grid.y0_m]), np.array([grid.nx, grid.ny])
        box = np.nan_to_num(shapely.bounds(polygons_m), nan=0.0)
        first = np.clip((box[:, :2] - low) // grid.cell_size_m, 0, high)
        last = np.clip((box[:, 2:] - low) // grid.cell_size_m + 1, 0, high)
        columns, rows = np.maximum(last - first, 0).T
        corners = shapely.get_num_coordinates(polygons_m)
        _within("areas cover up to", int((columns * rows).sum()), MAX_CELLS_COVERED)
        _within("areas have corners in", int((corners * rows).sum()), MAX_CORNER_ROWS)
        xy_m, of = shapely.get_coordinates(polygons_m[corners > MANY_CORNERS], return_index=True)
        row = np.clip((xy_m[:, 1] - grid.y0_m) // grid.cell_size_m, -1, grid.ny)
        crossed = np.abs(np.diff(row))[np.diff(of) == 0]
        _within("sides of areas cross rows of", int(crossed.sum()), MAX_ROWS_CROSSED)

    def _cut_into_rows(
        self, polygons_m: NDArray[Any], target: NDArray[np.int64], source: NDArray[np.int64]
    ) -> NDArray[Any]:
        """Return the (n,) polygons of pairs; those with many corners are cut to the pair's row of cells."""
        outlines: NDArray[Any] = polygons_m[target]
        grid, many = self.grid, shapely.get_num_coordinates(polygons_m) > MANY_CORNERS
        chosen = np.flatnonzero(many[target])
        places = np.stack([target[chosen], grid.iy[source[chosen]]])
        pairs, which = np.unique(places, axis=1, return_inverse=True)
        strips = np.empty(pairs.shape[1], object)
        for i, (polygon, iy) in enumerate(pairs.T.tolist()):
            west, _, east, _ = polygons_m[polygon].bounds
            south_m = grid.y0_m + iy * grid.cell_size_m
            north_m = south_m + grid.cell_size_m
            strips[i] = shapely.clip_by_rect(
                polygons_m[polygon], west - 1.0, south_m, east + 1.0, north_m
            )
        if len(strips):
            outlines[chosen] = make_valid(strips)[which.ravel()]
        return outlines


def _within(what: str, asked: int, limit: int) -> None:
    if asked > limit:
        raise LimitExceeded(
            f"{what} {asked} cells, the limit is {limit}", field="areas", limit=limit, asked=asked
        )
