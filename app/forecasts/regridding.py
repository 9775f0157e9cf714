"""Regridding from a version's cells to those that a request asks for, which are cached by grid."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import h3
import numpy as np
from numpy.typing import NDArray

from app.core.caching.cache import BoundedCache
from app.core.errors import InvalidInput
from app.forecasts.cells import (
    CELL_BYTES,
    DEFAULT_RESOLUTION,
    CellSet,
    HexCells,
    SquareCells,
    rows_in_bbox,
)
from app.geo.grid import build_grid, check_cell_size
from app.geo.hexagons import check_resolution, h3_cells_over, h3_polygons_degrees, projected
from app.geo.regrid import overlap_of
from app.geo.study_area import M2_PER_KM2
from models.units import FloatArray

if TYPE_CHECKING:
    from app.forecasts.plan import Selector
    from app.forecasts.versions.loaded import LoadedVersion


@dataclass(frozen=True)
class Regridding:
    """Exact re-aggregation: a `share` of the mass of each `source` cell goes to a `target` cell."""

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    share: FloatArray
    n_targets: int

    def apply(self, probability: FloatArray) -> FloatArray:
        """Return the probabilities of the target cells (n_targets,); they sum to one."""
        mass = np.bincount(self.target, probability[self.source] * self.share, self.n_targets)
        result: FloatArray = mass / mass.sum()
        return result

    def mean(self, values: FloatArray, probability: FloatArray) -> FloatArray:
        """Return the means of values in the target cells (n_targets,), weighted by probability."""
        weight = probability[self.source] * self.share
        total = np.bincount(self.target, weight, self.n_targets)
        summed = np.bincount(self.target, weight * values[self.source], self.n_targets)
        result: FloatArray = summed / np.maximum(total, np.finfo(float).tiny)
        return result


Regridded = tuple[CellSet, Regridding]


class CellRegridder:
    """Creates the cells that a request asks for; caches them by grid."""

    def __init__(self, cache: BoundedCache) -> None:
        self.cache = cache

    def of(self, version: LoadedVersion, selector: Selector) -> tuple[CellSet, Regridding | None]:
        """Return the cells and the regridding to them (None: the version's own cells).

        Raises:
            InvalidInput: the size or resolution is out of range, or belongs to the other kind of grid.
            LimitExceeded: more cells than allowed, by an estimate before any computation.
        """
        if selector.grid == "h3":
            if selector.cell_size_m is not None:
                raise InvalidInput("cell_size_m belongs to grid=square", field="cell_size_m")
            resolution = DEFAULT_RESOLUTION if selector.resolution is None else selector.resolution
            check_resolution(resolution, version.area.area_km2)
            return self._cached(version, ("h3", resolution))
        if selector.resolution is not None:
            raise InvalidInput("resolution belongs to grid=h3", field="resolution")
        size_m = selector.cell_size_m
        if size_m is None or size_m == version.grid.cell_size_m:
            return version.cells, None
        return self._cached(version, ("square", size_m))

    def estimate(self, version: LoadedVersion, selector: Selector) -> int:
        """Estimate the number of cells of a reply, within the requested box, without creating them.

        Raises:
            LimitExceeded: the size or resolution is out of range.
        """
        area_km2 = version.area.area_km2
        if selector.bbox is not None:
            # By the version's own cells, because a box around the globe cannot be projected.
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

    def _cached(self, version: LoadedVersion, what: tuple[str, float]) -> Regridded:
        kind, size = what
        found: Regridded = self.cache.get_or_make(
            ("cells", version.record.grid_sha256, *what),
            tuple,
            lambda: _hexagons(version, int(size)) if kind == "h3" else _squares(version, size),
            lambda made: CELL_BYTES * len(made[0]) + 24 * len(made[1].share),
        )
        return found


def _hexagons(version: LoadedVersion, resolution: int) -> Regridded:
    candidates = h3_cells_over(version.area, resolution)
    crs = version.grid.crs
    polygons_m = projected(h3_polygons_degrees(candidates), crs)
    found = version.index.overlap(polygons_m)
    area_km2: FloatArray = np.bincount(found.target, found.area_km2, len(candidates)).astype(
        np.float64
    )
    used = np.flatnonzero(area_km2 > 0)
    place = np.full(len(candidates), -1, np.int64)
    place[used] = np.arange(len(used))
    covered = np.bincount(found.source, found.area_km2, len(version.grid))
    share = found.area_km2 / covered[found.source]
    cells = HexCells([candidates[i] for i in used], resolution, area_km2[used], crs)
    return cells, Regridding(found.source, place[found.target], share, len(used))


def _squares(version: LoadedVersion, cell_size_m: float) -> Regridded:
    grid = build_grid(version.area, cell_size_m)
    overlap = overlap_of(version.area, version.grid, grid)
    cells = SquareCells(grid)
    return cells, Regridding(overlap.source, overlap.target, overlap.share, len(cells))
