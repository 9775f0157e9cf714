"""Read and cache the streets of regions, names of places, and shares of versions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from sqlalchemy import Engine

from app.core.caching.cache import BoundedCache, TTLCache
from app.core.caching.once import once
from app.forecasts.plan import Plan
from app.forecasts.versions.loaded import LoadedVersion
from app.geo.antimeridian import cut_each
from app.regions.store import get_region
from app.streets.layer import StreetLayer
from app.streets.places import PlaceNames
from app.streets.service import shares_of
from app.streets.store import StreetShares, get_layer, layer_facts, no_streets
from models.units import FloatArray

LAYER_TTL_S = 1.0
"""How long another process's changes may go unseen."""
NO_LAYER = ""
STREET_SHARES = "street shares"
BYTES_PER_VERTEX = 300
"""Memory of a layer with its trees and texts."""


@dataclass(frozen=True)
class LoadedStreets:
    """A layer in a region's CRS."""

    layer: StreetLayer
    digest: str
    crs: str

    @once
    def length_m(self) -> FloatArray:
        """Length (S,) of each segment."""
        return self.layer.length_m.astype(np.float64)

    @once
    def geometry_json(self) -> list[bytes]:
        """GeoJSON of each segment: equal in all replies."""
        of = np.repeat(np.arange(len(self.layer)), np.diff(self.layer.start))
        lines = np.asarray(shapely.linestrings(self.layer.degrees, indices=of))
        return [text.encode() for text in shapely.to_geojson(cut_each(lines)).tolist()]

    @once
    def names(self) -> PlaceNames:
        """Names of places."""
        return PlaceNames(self.layer, self.crs)


class StreetReader:
    """Reads and caches streets; one instance per process, shared by its threads."""

    def __init__(self, engine: Engine, cache: BoundedCache, brief: TTLCache) -> None:
        self.engine = engine
        self.cache = cache
        self.brief = brief

    def is_cached(self, region_id: str) -> bool:
        """Return whether `digest` needs no database."""
        return self.brief.recall("streets", region_id, str) is not None

    def digest(self, version: LoadedVersion) -> str:
        """Return the digest of the region's layer, or `NO_LAYER`."""
        region = version.region
        found = self.brief.recall("streets", region.id, str)
        if found is None:
            with self.engine.connect() as connection:
                facts = layer_facts(connection, region.key)
            found = NO_LAYER if facts is None else facts.digest
            self.brief.keep("streets", region.id, found, LAYER_TTL_S)
        return found

    def loaded(self, plan: Plan) -> LoadedStreets:
        """Return the layer of a plan.

        Raises:
            NotFound: the region has no streets, or has others since.
        """
        region, crs = plan.version.region, plan.version.grid.crs

        def read() -> LoadedStreets:
            with self.engine.connect() as connection:
                layer, digest = get_layer(connection, get_region(connection, region.id))
            if digest != plan.streets:
                raise no_streets(region.id)
            return LoadedStreets(layer, digest, crs)

        if plan.streets == NO_LAYER:
            raise no_streets(region.id)
        return self.cache.get_or_make(
            ("streets", plan.streets, crs),
            LoadedStreets,
            read,
            lambda made: BYTES_PER_VERTEX * len(made.layer.place),
        )

    def names(self, plan: Plan) -> PlaceNames | None:
        """Return the names of places; None: the region has no streets."""
        return None if plan.streets == NO_LAYER else self.loaded(plan).names

    def forget(self, region_id: str) -> None:
        """Read a region's layer and the shares of its versions again at the next request."""
        self.brief.forget("streets", region_id)
        self.cache.discard_where(lambda key: key[:2] == (STREET_SHARES, region_id))

    def shares(self, plan: Plan) -> StreetShares:
        """Return how the version's cells share their incidents among the plan's streets.

        Raises:
            NotFound: the region has no streets.
        """
        version = plan.version
        return self.cache.get_or_make(
            (STREET_SHARES, version.region.id, version.full_name, plan.streets),
            StreetShares,
            lambda: shares_of(self.engine, version.region, version.record),
            len,
        )
