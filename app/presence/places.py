"""Polygons of the places that rows of the presence log name: cells, areas of layers, geometries."""

from __future__ import annotations

import re
from typing import Any

import h3
import numpy as np
import orjson
import shapely
from sqlalchemy import Connection

from app.core.errors import InvalidInput, NotFound
from app.core.texts import shortened
from app.geo.grid import Grid
from app.geo.hexagons import h3_polygons_degrees
from app.geo.study_area import make_valid, to_degrees
from app.presence.rows import MAX_VERTICES, PLACES, polygon_of
from app.readers.files.documents import MAX_NAME_CHARS
from app.regions.layer_store import read_layer
from app.regions.store import Region
from app.registry import store as registry

MAX_CELLS = 200
"""Cells of one row."""
SIMPLE_DEG = 1e-4
"""About ten metres."""
_H3 = re.compile(r"[0-9a-f]{15}")


class Places:
    """Turns what rows name into polygons; grid and layers are read when the first row needs them."""

    def __init__(self, connection: Connection, region: Region) -> None:
        self.connection = connection
        self.region = region
        self._grid: Grid | None = None
        self._layers: dict[str, dict[str, list[Any]]] = {}

    def shape(self, name: str, value: Any) -> Any:
        """Return the polygon (degrees) of a `cell`, of `cells`, of an `area` or of a `geometry`.

        Raises:
            InvalidInput: it is none of this region.
            NotFound: the region has no such layer or area.
            NotReady: cells, and the region has no version yet.
        """
        if name not in PLACES:
            raise InvalidInput(f"unknown place {name}", code="bad_place")
        if name == "geometry":
            return polygon_of(value)
        if name == "area":
            return self._area(value)
        cells = value if isinstance(value, list) else str(value).split()
        if not 0 < len(cells) <= MAX_CELLS:
            raise InvalidInput(f"a row names 1 to {MAX_CELLS} cells", code="bad_place")
        return shapely.union_all([self._cell(str(cell)) for cell in cells])

    def _cell(self, cell: str) -> Any:
        if _H3.fullmatch(cell) and h3.is_valid_cell(cell):
            return h3_polygons_degrees([cell])[0]
        if not cell.isdecimal() or len(cell) > 12:
            raise InvalidInput(
                f"{shortened(cell)} is no cell: ids are numbers of the serving version, or H3",
                code="bad_place",
            )
        grid = self._own_grid()
        rows = np.flatnonzero(grid.cell_id == int(cell))
        if len(rows) == 0:
            raise InvalidInput(f"the serving version has no cell {cell}", code="bad_place")
        square_m = grid.squares_m(rows)[0]
        return shapely.transform(square_m, lambda xy: _degrees(xy, grid.crs))

    def _own_grid(self) -> Grid:
        if self._grid is None:
            version = registry.get_version(self.connection, self.region.key)
            self._grid, _ = registry.grid_of(self.connection, version)
        return self._grid

    def _area(self, value: Any) -> Any:
        layer, colon, area = str(value).partition(":")
        if not (layer and colon and area) or len(area) > MAX_NAME_CHARS:
            raise InvalidInput("area is layer:area, such as beats:D11", code="bad_place")
        if layer not in self._layers:
            stored = read_layer(self.connection, self.region, layer)
            found: dict[str, list[Any]] = {}
            for feature in stored.features["features"]:
                found.setdefault(str(feature["properties"]["name"]), []).append(feature["geometry"])
            self._layers[layer] = found
        geometries = [one for one in self._layers[layer].get(area, []) if one is not None]
        if not geometries:
            raise NotFound(f"layer {layer} has no area {shortened(area)}", code="no_area")
        shapes = [shapely.from_geojson(orjson.dumps(one)) for one in geometries]
        return _simple(shapely.union_all(make_valid(shapes)))


def _simple(shape: Any) -> Any:
    """Return an area's outline with few corners: its coast may have ten thousand."""
    step = SIMPLE_DEG
    while shapely.get_num_coordinates(shape) > MAX_VERTICES // 2:
        shape, step = shapely.simplify(shape, step), 2 * step
    return shape


def _degrees(xy: Any, crs: str) -> Any:
    return np.column_stack(to_degrees(xy[:, 0], xy[:, 1], crs))
