"""Cells other than those a version was fitted on: squares of another size, H3 hexagons."""

from __future__ import annotations

import math
from dataclasses import dataclass

import h3
import numpy as np
from numpy.typing import NDArray

from app.core.cache import BoundedCache
from app.core.errors import InvalidInput
from app.forecasts.cells import CellSet, HexCells, SquareCells, rows_in_bbox
from app.forecasts.types import LoadedVersion, Selector
from app.geo.grid import build_grid, check_cell_size
from app.geo.hexagons import check_resolution, h3_cells_over, h3_polygons_degrees, projected
from app.geo.regrid import overlap_of
from app.geo.study_area import M2_PER_KM2
from models.base import FloatArray

DEFAULT_RESOLUTION = 9
CELL_BYTES = 700
"""What a cell's polygon and its text weigh in memory."""


@dataclass(frozen=True)
class Movement:
    """Exact re-aggregation: `share` of each `source` cell's mass goes to a `target` cell."""

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    share: FloatArray
    n_targets: int

    def moved(self, probability: FloatArray) -> FloatArray:
        """(n_targets,) probabilities of the target cells; they sum to one."""
        mass = np.bincount(self.target, probability[self.source] * self.share, self.n_targets)
        result: FloatArray = mass / mass.sum()
        return result


Made = tuple[CellSet, Movement]


class CellMaker:
    """Cells as a request wants them; what is made is kept by grid."""

    def __init__(self, cache: BoundedCache) -> None:
        self.cache = cache

    def of(self, version: LoadedVersion, selector: Selector) -> tuple[CellSet, Movement | None]:
        """The cells, and how to move probabilities there (None: they are the version's own).

        Raises:
            InvalidInput: the size or resolution is out of range, or belongs to the other kind.
            LimitExceeded: more cells than allowed; estimated before any work.
        """
        if selector.grid == "h3":
            if selector.cell_size_m is not None:
                raise InvalidInput("cell_size_m belongs to grid=square", field="cell_size_m")
            resolution = DEFAULT_RESOLUTION if selector.resolution is None else selector.resolution
            check_resolution(resolution, version.area.area_km2)
            return self._kept(version, ("h3", resolution))
        if selector.resolution is not None:
            raise InvalidInput("resolution belongs to grid=h3", field="resolution")
        size_m = selector.cell_size_m
        if size_m is None or size_m == version.grid.cell_size_m:
            return version.cells, None
        return self._kept(version, ("square", size_m))

    def estimate(self, version: LoadedVersion, selector: Selector) -> int:
        """About how many cells a reply shows (whole cells, of the box asked for); makes none.

        Raises:
            LimitExceeded: the size or resolution is out of range.
        """
        area_km2 = version.area.area_km2
        if selector.bbox is not None:
            # By the version's own cells: a box that goes far around the globe is no shape in metres.
            area_km2 = float(
                version.grid.area_km2[rows_in_bbox(version.cells, selector.bbox)].sum()
            )
        if selector.grid == "h3":
            resolution = DEFAULT_RESOLUTION if selector.resolution is None else selector.resolution
            check_resolution(resolution, version.area.area_km2)
            hexagon_km2: float = h3.average_hexagon_area(resolution, unit="km^2")
            return math.ceil(area_km2 / hexagon_km2)
        size_m = selector.cell_size_m or version.grid.cell_size_m
        check_cell_size(size_m)
        return math.ceil(area_km2 * M2_PER_KM2 / size_m**2)

    def _kept(self, version: LoadedVersion, what: tuple[str, float]) -> Made:
        kind, size = what

        def make() -> _Kept:
            return _Kept(
                *(_hexagons(version, int(size)) if kind == "h3" else _squares(version, size))
            )

        kept = self.cache.get_or_make(
            ("cells", version.record.grid_sha256, *what),
            _Kept,
            make,
            lambda k: CELL_BYTES * len(k.cells) + 24 * len(k.movement.share),
        )
        return kept.cells, kept.movement


@dataclass(frozen=True)
class _Kept:
    cells: CellSet
    movement: Movement


def _hexagons(version: LoadedVersion, resolution: int) -> Made:
    candidates = h3_cells_over(version.area, resolution)
    crs = version.grid.crs
    polygons_m = projected(h3_polygons_degrees(candidates), crs)
    found = version.index.overlap(polygons_m)
    area_km2: FloatArray = np.bincount(found.target, found.area_km2, len(candidates)).astype(
        np.float64
    )
    kept = np.flatnonzero(area_km2 > 0)
    place = np.full(len(candidates), -1, np.int64)
    place[kept] = np.arange(len(kept))
    covered = np.bincount(found.source, found.area_km2, len(version.grid))
    share = found.area_km2 / covered[found.source]
    cells = HexCells([candidates[i] for i in kept], resolution, area_km2[kept], crs)
    return cells, Movement(found.source, place[found.target], share, len(kept))


def _squares(version: LoadedVersion, cell_size_m: float) -> Made:
    grid = build_grid(version.area, cell_size_m)
    overlap = overlap_of(version.area, version.grid, grid)
    cells = SquareCells(grid)
    return cells, Movement(overlap.source, overlap.target, overlap.share, len(cells))
