"""Layers of named areas in forecasts: which cells belong to which area, and what areas cover."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import shapely
from numpy.typing import NDArray
from sqlalchemy import Engine

from app.core.bounds import check_number
from app.core.caching.cache import BoundedCache
from app.core.errors import InvalidInput, NotFound
from app.core.processes.native import shareable
from app.core.texts import shortened
from app.forecasts.cells import DEFAULT_RESOLUTION, CellSet, HexCells, SquareCells
from app.geo.hexagons import projected
from app.geo.overlaps import MAX_PIECES, CellIndex, PolygonOverlap
from app.geo.study_area import M2_PER_KM2, make_valid
from app.regions.layer_store import StoredLayer, read_layer
from app.regions.store import Region, get_region

if TYPE_CHECKING:
    from app.forecasts.plan import Selector
    from app.forecasts.versions.loaded import LoadedVersion

LAYER_TTL_S = 60.0
"""How long another process's changes may go unseen."""
MOST = 0.5
"""Least share of a cell that a layer's areas must cover for the cell to belong to one of them."""
NONE = -1
NO_LAYER_BYTES = 100
MAX_NAMED = 8


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer as forecasts use it: names (P,) and shapes (P,) in degrees; equal names are joined."""

    name: str
    sha256: str
    names: tuple[str, ...]
    shapes: NDArray[Any]
    read_at_s: float

    def place(self, area: str) -> int:
        """Return the position of an area.

        Raises:
            NotFound: the layer has no such area.
        """
        if area not in self.names:
            known = ", ".join(self.names[:MAX_NAMED])
            more = ", ..." if len(self.names) > MAX_NAMED else ""
            raise NotFound(
                f"layer {self.name} has no area {shortened(area)}; it has {known}{more}",
                field="inside",
                code="no_area",
            )
        return self.names.index(area)

    @property
    def n_bytes(self) -> int:
        """Memory that it takes, about."""
        return 1000 + 64 * int(shapely.get_num_coordinates(self.shapes).sum())


@dataclass(frozen=True)
class Inside:
    """An area of a layer that a request is confined to."""

    layer: str
    area: str

    @classmethod
    def parse(cls, text: str) -> Inside:
        """Read `layer:area`.

        Raises:
            InvalidInput: it is not of that form.

        >>> Inside.parse("beats:D11: north")
        Inside(layer='beats', area='D11: north')
        """
        layer, colon, area = text.partition(":")
        if not (layer and colon and area):
            raise InvalidInput(
                f"inside is layer:area, such as beats:D11, got {shortened(text)}", field="inside"
            )
        return cls(layer, area)


@dataclass(frozen=True, eq=False)
class CellLayers:
    """What a request's layers say of a forecast's cells.

    Args:
        inside: (N,) whether each cell belongs to the area asked for; None: no area was.
        part: (N,) the area of `within` that each cell belongs to, -1 for none; None: no layer was.
        names: of the areas of `within`.
    """

    inside: NDArray[np.bool_] | None = None
    part: NDArray[np.int64] | None = None
    names: tuple[str, ...] = ()


class LayerReader:
    """Reads and caches layers, and which cells belong to their areas; shared by threads."""

    def __init__(self, engine: Engine, cache: BoundedCache) -> None:
        self.engine = engine
        self.cache = cache

    def forget(self, region_id: str, name: str) -> None:
        """Read a layer again at the next request."""
        of_layer = ("layer", "no layer")
        self.cache.discard_where(lambda key: key[0] in of_layer and key[2:] == (region_id, name))

    def cached(self, region: Region, name: str) -> Layer | None:
        """Return a layer, or None if that needs the database."""
        found = self.cache.get(("layer", region.key, region.id, name), Layer)
        is_fresh = found is not None and time.monotonic() < found.read_at_s + LAYER_TTL_S
        return found if is_fresh else None

    def read(self, region: Region, name: str) -> Layer:
        """Return a layer.

        Raises:
            NotFound: the region has no such layer.
        """
        found = self.cached(region, name)
        if found is None:
            with self.engine.connect() as connection:
                stored = read_layer(connection, get_region(connection, region.id), name)
            found = layer_of(stored)
            self.cache.put(("layer", region.key, region.id, name), found, found.n_bytes)
        return found

    def digest(self, region: Region, name: str) -> str:
        """Return the digest of a layer; empty where the region has no such layer."""
        known = self.known_digest(region, name)
        if known is not None:
            return known
        try:
            return self.read(region, name).sha256
        except NotFound:
            key = ("no layer", region.key, region.id, name)
            self.cache.put(key, time.monotonic(), NO_LAYER_BYTES)
            return ""

    def known_digest(self, region: Region, name: str) -> str | None:
        """Return the digest of a layer, or None if that needs the database."""
        found = self.cached(region, name)
        if found is not None:
            return found.sha256
        seen_s = self.cache.get(("no layer", region.key, region.id, name), float)
        is_fresh = seen_s is not None and time.monotonic() < seen_s + LAYER_TTL_S
        return "" if is_fresh else None

    def covered(self, version: LoadedVersion, layer: Layer) -> PolygonOverlap:
        """Return the pieces of the version's own cells in each area of a layer."""
        found: PolygonOverlap = self.cache.get_or_make(
            ("covered", version.record.grid_sha256, layer.sha256),
            PolygonOverlap,
            lambda: version.index.overlap(areas_m(layer, version.grid.crs)),
            lambda made: 24 * len(made.source),
        )
        return found

    def of(self, version: LoadedVersion, selector: Selector, cells: CellSet) -> CellLayers:
        """Return which cells belong to the area, and to the areas, that a request names.

        Raises:
            NotFound: no such layer or area.
            InvalidInput: no cell belongs to the area, or to any.
            LimitExceeded: the areas' outlines cross too many cells.
        """
        inside = part = None
        names: tuple[str, ...] = ()
        if selector.inside is not None:
            layer = self.read(version.region, selector.inside.layer)
            place = layer.place(selector.inside.area)
            inside = self.owners(version, selector, cells, layer) == place
            _check_any(inside, f"area {shortened(selector.inside.area)}", "inside")
        if selector.within is not None:
            layer = self.read(version.region, selector.within)
            part, names = self.owners(version, selector, cells, layer), layer.names
            _check_any(part != NONE, f"any area of layer {layer.name}", "within")
        return CellLayers(inside, part, names)

    def owners(
        self, version: LoadedVersion, selector: Selector, cells: CellSet, layer: Layer
    ) -> NDArray[np.int64]:
        """Return the area (N,) of a layer that each cell belongs to, -1 for none."""
        resolution = DEFAULT_RESOLUTION if selector.resolution is None else selector.resolution
        size = cells.grid.cell_size_m if isinstance(cells, SquareCells) else float(resolution)

        def make() -> NDArray[np.int64]:
            if cells is version.cells:
                found = self.covered(version, layer)
            elif isinstance(cells, SquareCells):
                index = CellIndex(version.area, cells.grid)
                found = index.overlap(areas_m(layer, cells.crs))
            else:
                found = _hexagons_in(cells, areas_m(layer, cells.crs))
            return owners_of(found, np.asarray(cells.area_km2, np.float64), len(layer.names))

        owners: NDArray[np.int64] = self.cache.get_or_make(
            ("owners", version.record.grid_sha256, cells.kind, size, layer.sha256),
            np.ndarray,
            make,
            lambda made: made.nbytes,
        )
        return owners


def _check_any(chosen: NDArray[np.bool_], what: str, field: str) -> None:
    if not chosen.any():
        raise InvalidInput(
            f"no cell belongs to {what}: a cell belongs to the area that covers most of it; "
            "ask for smaller cells, or for another area",
            field=field,
            code="no_cells",
        )


def layer_of(stored: StoredLayer) -> Layer:
    """Return a stored layer as forecasts use it."""
    parts: dict[str, list[Any]] = {}
    for feature in stored.features["features"]:
        if feature["geometry"] is not None:
            shape = shapely.from_geojson(orjson.dumps(feature["geometry"]))
            parts.setdefault(str(feature["properties"]["name"]), []).append(shape)
    shapes = np.empty(len(parts), object)
    for place, found in enumerate(parts.values()):
        shapes[place] = found[0] if len(found) == 1 else shapely.union_all(make_valid(found))
    shareable(shapes)
    return Layer(stored.name, stored.sha256, tuple(parts), shapes, time.monotonic())


def areas_m(layer: Layer, crs: str) -> NDArray[Any]:
    """Return the areas (P,) of a layer in metres of a CRS."""
    found: NDArray[Any] = np.asarray(make_valid(projected(layer.shapes, crs)))
    return found


def owners_of(
    pieces: PolygonOverlap, area_km2: NDArray[np.float64], n_areas: int
) -> NDArray[np.int64]:
    """Return the area (N,) that each cell belongs to, -1 for none.

    A cell belongs to the area that covers most of it, the first of equals, if the areas together cover at
    least half of it: so areas divide the cells, and none is in two.

    Args:
        pieces: what of each cell lies in each area.
        area_km2: (N,) of the cells, inside the study area.
    """
    n = len(area_km2)
    owner = np.full(n, NONE, np.int64)
    covered = np.bincount(pieces.source, pieces.area_km2, n)
    # Rounded, so that a border through the middle of cells does not depend on the last digit.
    share = np.round(pieces.area_km2 / area_km2[pieces.source], 9)
    order = np.lexsort((n_areas - pieces.target, share, pieces.source))
    owner[pieces.source[order]] = pieces.target[order]
    owner[covered < MOST * (1 - 1e-9) * area_km2] = NONE
    return owner


def _hexagons_in(cells: HexCells, polygons_m: NDArray[Any]) -> PolygonOverlap:
    """Return the pieces of hexagons in polygons; over the study area's edge they count whole."""
    hexagons_m = projected(cells.polygons_degrees(), cells.crs)
    target, source = shapely.STRtree(hexagons_m).query(polygons_m, predicate="intersects")
    check_number(len(source), MAX_PIECES, f"areas cross {len(source)} cells", "within")
    size_m2 = shapely.area(shapely.intersection(hexagons_m[source], polygons_m[target]))
    return PolygonOverlap(source, target, size_m2 / M2_PER_KM2)
