"""The cells of a reply: squares of the region's grid or H3 hexagons, with their parts as JSON.

Everything here belongs to a grid alone, is made once and shared by all forecasts on it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import shapely
from numpy.typing import NDArray

from app.core.native import shareable
from app.core.once import once
from app.geo.grid import Grid
from app.geo.hexagons import h3_centres, h3_polygons_degrees
from app.geo.study_area import to_degrees
from models.base import FloatArray

DEGREE_DECIMALS = 6
_JSON = orjson.OPT_SERIALIZE_NUMPY
_RING_END = b"]]],[[["


class SquareCells:
    """The squares of a grid, whole also where the study area's edge cuts them."""

    kind = "square"

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self.crs = grid.crs
        self.area_km2 = grid.area_km2

    def __len__(self) -> int:
        return len(self.grid)

    def head(self) -> dict[str, Any]:
        """Size, CRS and lower-left corner, from which every id tells its place."""
        grid = self.grid
        return {
            "cell_size_m": grid.cell_size_m,
            "crs": grid.crs,
            "grid": {"x0_m": grid.x0_m, "y0_m": grid.y0_m, "nx": grid.nx, "ny": grid.ny},
        }

    @once
    def ids(self) -> list[int]:
        """The contract's cell ids."""
        ids: list[int] = self.grid.cell_id.tolist()
        return ids

    @once
    def centres(self) -> tuple[FloatArray, FloatArray]:
        """Longitude and latitude of the middles, six decimals."""
        longitude, latitude = self.grid.centres_degrees
        return longitude.round(DEGREE_DECIMALS), latitude.round(DEGREE_DECIMALS)

    @once
    def corners(self) -> FloatArray:
        """(N, 5, 2) closed rings in degrees, six decimals: neighbours share their corners."""
        grid = self.grid
        x_m = grid.x0_m + np.arange(grid.nx + 1) * grid.cell_size_m
        y_m = grid.y0_m + np.arange(grid.ny + 1) * grid.cell_size_m
        x_m, y_m = np.meshgrid(x_m, y_m)
        longitude, latitude = to_degrees(x_m, y_m, grid.crs)
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
        return [b'{"type":"Polygon","coordinates":[[[' + ring + b"]]]}" for ring in rings]

    @once
    def bounds(self) -> FloatArray:
        """(N, 4) west, south, east, north."""
        low, high = self.corners.min(axis=1), self.corners.max(axis=1)
        return np.concatenate([low, high], axis=1)

    def polygons_degrees(self) -> NDArray[Any]:
        """(N,) shapely polygons."""
        return np.asarray(shapely.polygons(self.corners))


class HexCells:
    """H3 cells that overlap the study area; `area_km2` counts the part inside it."""

    kind = "h3"

    def __init__(self, ids: list[str], resolution: int, area_km2: FloatArray, crs: str) -> None:
        self.ids = ids
        self.resolution = resolution
        self.area_km2 = area_km2
        self.crs = crs

    def __len__(self) -> int:
        return len(self.ids)

    def head(self) -> dict[str, Any]:
        """The resolution; H3 ids tell their places by themselves."""
        return {"crs": self.crs, "grid": {"type": "h3", "resolution": self.resolution}}

    @once
    def centres(self) -> tuple[FloatArray, FloatArray]:
        """Longitude and latitude of the middles, six decimals."""
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
        return [text.encode() for text in shapely.to_geojson(self._polygons)]

    @once
    def bounds(self) -> FloatArray:
        """(N, 4) west, south, east, north."""
        bounds: FloatArray = shapely.bounds(self._polygons)
        return bounds

    def polygons_degrees(self) -> NDArray[Any]:
        """(N,) shapely polygons."""
        return self._polygons


CellSet = SquareCells | HexCells


def rows_in_bbox(cells: CellSet, bbox: tuple[float, float, float, float]) -> NDArray[np.int64]:
    """Rows of the cells that touch a box of degrees."""
    west, south, east, north = bbox
    low, high = cells.bounds[:, :2], cells.bounds[:, 2:]
    touches = (high >= (west, south)).all(axis=1) & (low <= (east, north)).all(axis=1)
    return np.flatnonzero(touches)
