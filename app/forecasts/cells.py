"""Cells of a reply: squares of the region's grid or H3 hexagons, and regridding between them.

Cells depend only on a grid; they are computed once and shared by all forecasts on it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import h3
import numpy as np
import orjson
import shapely
from numpy.typing import NDArray

from app.core.cache import BoundedCache
from app.core.errors import InvalidInput
from app.core.native import shareable
from app.core.once import once
from app.geo.antimeridian import HALF_TURN_DEG, TURN_DEG, cut_each, unwrapped
from app.geo.grid import Grid, build_grid, check_cell_size
from app.geo.hexagons import (
    check_resolution,
    h3_cells_over,
    h3_centres,
    h3_polygons_degrees,
    projected,
)
from app.geo.regrid import overlap_of
from app.geo.study_area import M2_PER_KM2, to_degrees
from models.units import FloatArray

if TYPE_CHECKING:
    from app.forecasts.plan import Selector
    from app.forecasts.versions.loaded import LoadedVersion

DEGREE_DECIMALS = 6
DEFAULT_RESOLUTION = 9
CELL_BYTES = 700
"""Memory that a cell's polygon and its text take."""
_JSON = orjson.OPT_SERIALIZE_NUMPY
_RING_END = b"]]],[[["


class SquareCells:
    """The squares of a grid, not clipped at the edge of the study area."""

    kind = "square"

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self.crs = grid.crs
        self.area_km2 = grid.area_km2

    def __len__(self) -> int:
        return len(self.grid)

    def head(self) -> dict[str, Any]:
        """Return size, CRS and lower-left corner, which locate every cell id."""
        grid = self.grid
        return {
            "cell_size_m": grid.cell_size_m,
            "crs": grid.crs,
            "grid": {"x0_m": grid.x0_m, "y0_m": grid.y0_m, "nx": grid.nx, "ny": grid.ny},
        }

    @once
    def ids(self) -> list[int]:
        """Cell ids."""
        ids: list[int] = self.grid.cell_id.tolist()
        return ids

    @once
    def centres(self) -> tuple[FloatArray, FloatArray]:
        """Longitude and latitude of the centres, six decimals."""
        longitude, latitude = self.grid.centres_degrees
        return longitude.round(DEGREE_DECIMALS), latitude.round(DEGREE_DECIMALS)

    @once
    def corners(self) -> FloatArray:
        """Closed rings (N, 5, 2) in degrees, six decimals; neighbours share corners.

        Over the 180th meridian longitudes continue beyond 180.
        """
        grid = self.grid
        x_m = grid.x0_m + np.arange(grid.nx + 1) * grid.cell_size_m
        y_m = grid.y0_m + np.arange(grid.ny + 1) * grid.cell_size_m
        x_m, y_m = np.meshgrid(x_m, y_m)
        longitude, latitude = to_degrees(x_m, y_m, grid.crs)
        longitude = unwrapped(longitude, float(longitude[grid.ny // 2, grid.nx // 2]))
        lattice = np.stack([longitude, latitude], axis=-1).round(DEGREE_DECIMALS)
        iy, ix = grid.iy, grid.ix
        ring = [lattice[iy, ix], lattice[iy, ix + 1], lattice[iy + 1, ix + 1], lattice[iy + 1, ix]]
        result: FloatArray = np.stack([*ring, ring[0]], axis=1)
        return result

    @once
    def geometry_json(self) -> list[bytes]:
        """Each cell's GeoJSON geometry."""
        text = orjson.dumps(np.ascontiguousarray(self.corners[:, None]), option=_JSON)
        rings = text[4:-4].split(_RING_END)
        found = [b'{"type":"Polygon","coordinates":[[[' + ring + b"]]]}" for ring in rings]
        over = np.flatnonzero(np.abs(self.corners[..., 0]).max(axis=1) > HALF_TURN_DEG)
        if len(over):
            shapes = cut_each(self.polygons_degrees()[over])
            for row, text_of_row in zip(over.tolist(), shapely.to_geojson(shapes), strict=True):
                found[row] = text_of_row.encode()
        return found

    @once
    def bounds(self) -> FloatArray:
        """West, south, east, north (N, 4); longitudes may continue beyond 180."""
        low, high = self.corners.min(axis=1), self.corners.max(axis=1)
        return np.concatenate([low, high], axis=1)

    @once
    def extent(self) -> tuple[float, float, float, float]:
        """West, south, east, north of all cells together."""
        low, high = self.bounds[:, :2].min(axis=0), self.bounds[:, 2:].max(axis=0)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])

    def polygons_degrees(self) -> NDArray[Any]:
        """Return shapely polygons (N,); longitudes may continue beyond 180."""
        return np.asarray(shapely.polygons(self.corners))


class HexCells:
    """H3 cells that overlap the study area; `area_km2` is the area inside it."""

    kind = "h3"

    def __init__(self, ids: list[str], resolution: int, area_km2: FloatArray, crs: str) -> None:
        self.ids = ids
        self.resolution = resolution
        self.area_km2 = area_km2
        self.crs = crs

    def __len__(self) -> int:
        return len(self.ids)

    def head(self) -> dict[str, Any]:
        """Return the resolution; H3 ids locate their cells."""
        return {"crs": self.crs, "grid": {"type": "h3", "resolution": self.resolution}}

    @once
    def centres(self) -> tuple[FloatArray, FloatArray]:
        """Longitude and latitude of the centres, six decimals."""
        longitude, latitude = h3_centres(self.ids)
        return longitude.round(DEGREE_DECIMALS), latitude.round(DEGREE_DECIMALS)

    @once
    def _polygons(self) -> NDArray[Any]:
        polygons: NDArray[Any] = shapely.transform(
            h3_polygons_degrees(self.ids), lambda xy: xy.round(DEGREE_DECIMALS)
        )
        shareable(polygons)
        return polygons

    @once
    def geometry_json(self) -> list[bytes]:
        """Each cell's GeoJSON geometry."""
        return [text.encode() for text in shapely.to_geojson(cut_each(self._polygons))]

    @once
    def bounds(self) -> FloatArray:
        """West, south, east, north (N, 4); longitudes may continue beyond 180."""
        bounds: FloatArray = shapely.bounds(self._polygons)
        return bounds

    def polygons_degrees(self) -> NDArray[Any]:
        """Return shapely polygons (N,); longitudes may continue beyond 180."""
        return self._polygons


CellSet = SquareCells | HexCells


def rows_in_bbox(cells: CellSet, bbox: tuple[float, float, float, float]) -> NDArray[np.int64]:
    """Return rows of the cells that touch a box in degrees; over the 180th meridian west > east."""
    west, south, east, north = bbox
    east = east if west <= east else east + TURN_DEG
    low, high = cells.bounds[:, :2], cells.bounds[:, 2:]
    touches = np.zeros(len(cells), np.bool_)
    for turn in (-TURN_DEG, 0.0, TURN_DEG):
        inside = (high >= (west + turn, south)).all(axis=1)
        touches |= inside & (low <= (east + turn, north)).all(axis=1)
    return np.flatnonzero(touches)


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
