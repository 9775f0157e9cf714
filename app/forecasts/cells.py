"""Cells of a reply: squares of the region's grid or H3 hexagons.

Cells depend only on a grid; they are computed once and shared by all forecasts on it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import shapely
from numpy.typing import NDArray

from app.core.caching.once import once
from app.core.processes.native import shareable
from app.geo.antimeridian import HALF_TURN_DEG, TURN_DEG, cut_each, normalised, unwrapped
from app.geo.grid import Grid
from app.geo.hexagons import h3_centres, h3_polygons_degrees
from app.geo.study_area import to_degrees, to_metres
from app.http.parameters import Bbox
from models.units import FloatArray

DEGREE_DECIMALS = 6
DEFAULT_RESOLUTION = 9
CELL_BYTES = 700
"""Memory that a cell's polygon and its text take."""
SIDE_POINTS, MARGIN_CELLS, MARGIN_SHARE = 17, 2.0, 0.02
"""A box's sides are projected in so many points; between them, and at the cells' corners, it may reach so
many cells and this share of its size further."""
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
        if len(self) == 0:
            return np.empty((0, 5, 2))
        ix, iy = self.grid.ix, self.grid.iy
        ix0, iy0 = ix.min(), iy.min()
        columns, rows = np.arange(ix0, ix.max() + 2), np.arange(iy0, iy.max() + 2)
        lattice = self._degrees(*np.meshgrid(columns, rows))
        ix, iy = ix - ix0, iy - iy0
        ring = [lattice[iy, ix], lattice[iy, ix + 1], lattice[iy + 1, ix + 1], lattice[iy + 1, ix]]
        result: FloatArray = np.stack([*ring, ring[0]], axis=1)
        return result

    def _degrees(self, ix: NDArray[np.int64], iy: NDArray[np.int64]) -> FloatArray:
        """Return longitude and latitude (..., 2) of the lower-left corners of squares, six decimals."""
        grid = self.grid

        def degrees(ix: Any, iy: Any) -> tuple[NDArray[Any], NDArray[Any]]:
            size_m = grid.cell_size_m
            return to_degrees(grid.x0_m + ix * size_m, grid.y0_m + iy * size_m, grid.crs)

        (longitude, latitude), (middle, _) = degrees(ix, iy), degrees(grid.nx // 2, grid.ny // 2)
        continuous = unwrapped(longitude, float(middle))
        result: FloatArray = np.stack([continuous, latitude], axis=-1).round(DEGREE_DECIMALS)
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
    def extent(self) -> Bbox:
        """West, south, east, north of all cells together, by the corners of those without some neighbour."""
        rim = self.grid.on_rim()
        ix, iy = self.grid.ix[rim, None], self.grid.iy[rim, None]
        corners = self._degrees(ix + np.array([0, 1, 1, 0]), iy + np.array([0, 0, 1, 1]))
        low, high = corners.min(axis=(0, 1)), corners.max(axis=(0, 1))
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])

    def touching(self, box: Bbox) -> NDArray[np.int64]:
        """Return rows of the cells that touch a continuous box; only those near it are projected."""
        if len(self) == 0:
            return np.arange(0)
        known = self.extent
        low, high = np.maximum(box[:2], known[:2]), np.minimum(box[2:], known[2:])
        if (low > high).any():
            return np.arange(0)
        if (*low, *high) == known:
            return np.arange(len(self))
        rows = self._near(*low.tolist(), *high.tolist())
        few = 4 * len(rows) < len(self)
        bounds = self.take(rows).bounds if few else self.bounds[rows]
        return np.asarray(rows[_meet(bounds, box)])

    def _near(self, west: float, south: float, east: float, north: float) -> NDArray[np.int64]:
        """Return rows of all cells that touch a box within the extent, and some of their neighbours."""
        along = np.linspace(0, 1, SIDE_POINTS)
        x, y = west + (east - west) * along, south + (north - south) * along
        longitude = np.concatenate([x, x, np.full_like(y, west), np.full_like(y, east)])
        latitude = np.concatenate([np.full_like(x, south), np.full_like(x, north), y, y])
        sides_m = np.stack(to_metres(normalised(longitude), latitude, self.crs))
        if not np.isfinite(sides_m).all():
            return np.arange(len(self))
        low, high = sides_m.min(axis=1), sides_m.max(axis=1)
        margin_m = MARGIN_CELLS * self.grid.cell_size_m + MARGIN_SHARE * (high - low).max()
        return self.grid.rows_within(low - margin_m, high + margin_m)

    def take(self, rows: NDArray[np.int64]) -> SquareCells:
        """Return some of the cells, in ascending order."""
        grid = self.grid
        return SquareCells(replace(grid, cell_id=grid.cell_id[rows], area_km2=grid.area_km2[rows]))

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

    def touching(self, box: Bbox) -> NDArray[np.int64]:
        """Return rows of the cells that touch a continuous box."""
        return np.flatnonzero(_meet(self.bounds, box))

    def take(self, rows: NDArray[np.int64]) -> HexCells:
        """Return some of the cells."""
        ids = [self.ids[row] for row in rows.tolist()]
        return HexCells(ids, self.resolution, self.area_km2[rows], self.crs)


CellSet = SquareCells | HexCells


def rows_in_bbox(cells: CellSet, bbox: Bbox) -> NDArray[np.int64]:
    """Return rows of the cells that touch a box in degrees; over the 180th meridian west > east."""
    west, south, east, north = bbox
    east = east if west <= east else east + TURN_DEG
    turns = (-TURN_DEG, 0.0, TURN_DEG)
    found = [cells.touching((west + turn, south, east + turn, north)) for turn in turns]
    return np.unique(np.concatenate(found))


def _meet(bounds: FloatArray, box: Bbox) -> NDArray[np.bool_]:
    """Return whether cells with these bounds (n, 4) touch a continuous box."""
    west, south, east, north = bounds.T
    across, along = (east >= box[0]) & (west <= box[2]), (north >= box[1]) & (south <= box[3])
    return np.asarray(across & along)
