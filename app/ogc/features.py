"""Features of forecasts, as the API's own replies have them: filtered by box, paged, with their hour."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import orjson
import shapely
from numpy.typing import NDArray

from app.core.errors import NotFound
from app.core.processes.priority import long_work
from app.core.texts import shortened
from app.forecasts.areas.documents import layer_geojson
from app.forecasts.forecast import Forecast
from app.forecasts.hotspots.documents import hotspots_geojson
from app.forecasts.hotspots.selection import DEFAULT_TOP, HotspotOptions
from app.forecasts.plan import Plan, Selector
from app.forecasts.replies.responses import ResponseSpec, body_of
from app.forecasts.replies.serialisers import density_geojson
from app.forecasts.service import ForecastService
from app.forecasts.streets.documents import streets_geojson
from app.forecasts.streets.selection import DEFAULT_TOP as TOP_STREETS
from app.forecasts.zones.documents import zones_geojson
from app.forecasts.zones.plan import zone_plan
from app.forecasts.zones.selection import ZoneOptions
from app.ogc.collections import DENSITY, HOTSPOTS, NEIGHBOURHOODS, STREETS, ZONES
from app.ogc.crs import Reference, in_reference
from app.ogc.parameters import interval_text
from app.regions.layer_store import NEIGHBOURHOODS as LAYER

Make = Callable[[Forecast], bytes]
BYTES_PER_FEATURE = 4_000
"""Memory of a feature and its shape, about."""


@dataclass(frozen=True)
class FeatureSet:
    """All features of a forecast, with their shapes (N,) in degrees."""

    plan: Plan
    head: dict[str, Any]
    features: list[dict[str, Any]]
    shapes: NDArray[Any]

    def touching(self, box: Any) -> NDArray[np.int64]:
        """Return the rows of the features that touch a box; all without one."""
        if box is None:
            return np.arange(len(self.features))
        return np.flatnonzero(shapely.intersects(self.shapes, box))

    def shown(self, rows: NDArray[np.int64], reference: Reference) -> list[dict[str, Any]]:
        """Return features in a coordinate reference system."""
        if reference.is_default:
            return [self.features[row] for row in rows.tolist()]
        moved = shapely.to_geojson(in_reference(self.shapes[rows], reference)).tolist()
        return [
            {**self.features[row], "geometry": orjson.loads(text)}
            for row, text in zip(rows.tolist(), moved, strict=True)
        ]

    def row_of(self, feature: str) -> NDArray[np.int64]:
        """Return the row (1,) of a feature by its id.

        Raises:
            NotFound: this forecast has no such feature.
        """
        for row, one in enumerate(self.features):
            if str(one["id"]) == feature:
                return np.array([row])
        raise NotFound(
            f"no feature {shortened(feature)} among the {len(self.features)} of these hours",
            field="feature",
            code="no_feature",
        )


def pins_of(plan: Plan) -> dict[str, str]:
    """Return parameters that ask for the same hours, version and state as a plan."""
    start = datetime.fromtimestamp(plan.start_s, UTC)
    return {
        "datetime": interval_text(start, start + timedelta(hours=plan.n_slots), plan.n_slots),
        "model": plan.version.record.version,
        "state": plan.version.state_id,
    }


def feature_set(
    forecasts: ForecastService, region: str, kind: str, selector: Selector
) -> FeatureSet:
    """Return the features of a kind for the hours of a selector.

    Raises:
        NotFound: no such region, version, category, or no streets or neighbourhoods.
        InvalidInput: the hours are out of range.
    """
    if kind == NEIGHBOURHOODS:
        selector = replace(selector, summed_by=LAYER)
    plan = forecasts.plan(region, selector)
    with long_work():
        # Each page of a listing needs all features.
        return forecasts.cache.get_or_make(
            ("ogc features", kind, *plan.key),
            FeatureSet,
            lambda: _feature_set(forecasts, plan, kind),
            lambda found: BYTES_PER_FEATURE * len(found.features),
        )


def _feature_set(forecasts: ForecastService, plan: Plan, kind: str) -> FeatureSet:
    body = body_of(forecasts, plan, _spec(forecasts, kind)).body
    collection = orjson.loads(body)
    found = collection.pop("features")
    del collection["type"]
    # Cells of a whole grid do not repeat what they are of in the API's own reply.
    labels = forecasts.forecast_of(plan).labels()
    said = {**labels, "from": labels["at"]}
    features = [
        {**one, "id": one.get("id", place), "properties": {**one["properties"], **said}}
        for place, one in enumerate(found, start=1)
    ]
    shapes = shapely.get_parts(shapely.from_geojson(body)) if found else np.empty(0, object)
    return FeatureSet(plan, collection, features, shapes)


def _spec(forecasts: ForecastService, kind: str) -> ResponseSpec:
    """Return how the API itself replies with these features: both share their cached replies."""
    hotspots, zones = HotspotOptions(DEFAULT_TOP), ZoneOptions()
    made: dict[str, tuple[tuple[object, ...], Make]] = {
        HOTSPOTS: (
            ("hotspots", hotspots),
            lambda f: hotspots_geojson(f, hotspots, forecasts, forecasts.streets.names(f.plan)),
        ),
        ZONES: (("zones", zones), lambda f: zones_geojson(zone_plan(forecasts, f, zones))),
        STREETS: (
            ("streets", TOP_STREETS),
            lambda f: streets_geojson(f, forecasts.streets, TOP_STREETS),
        ),
        DENSITY: (("density",), density_geojson),
        NEIGHBOURHOODS: (
            ("areas", True),
            lambda f: layer_geojson(f, forecasts.layers, LAYER),
        ),
    }
    variant, make = made[kind]
    return ResponseSpec(variant, "geojson", make)
