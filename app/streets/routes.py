"""`/v1/regions/{region}/streets`: store, show and remove a region's streets."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query, Request, Response

from app.core.caching.cache import BoundedCache
from app.core.errors import InvalidInput
from app.core.media_types import GEOJSON, JSON, MEDIA_TYPES, media_type_of
from app.core.roles import Role
from app.http.app_state import ApiState, State
from app.http.body_stream import BodyStream, beside_others
from app.http.content_negotiation import matches
from app.http.parameters import RegionId
from app.http.permissions import allow
from app.http.problems import DOCUMENTED
from app.http.schemas import offered
from app.readers.isolated import reading_limits
from app.regions.store import get_region
from app.streets.documents import TOLERANCE_M, lines_json, streets_geojson
from app.streets.layer import StreetLayer
from app.streets.schemas import StreetFeatures, StreetLines, StreetsReply, facts_json
from app.streets.service import remove_streets, set_streets, streets_of
from app.streets.store import get_layer, layer_facts, no_streets

router = APIRouter(prefix="/v1/regions/{region}/streets", tags=["streets"], responses=DOCUMENTED)
STREET_TYPES = (
    GEOJSON,
    JSON,
    "application/geopackage+sqlite3",
    "application/zip",
    "application/flatgeobuf",
    "application/vnd.openstreetmap.data+pbf",
    "application/vnd.openstreetmap.data+xml",
    "application/octet-stream",
)
"""The file itself says which of them it is."""
CACHE_BYTES = 64 << 20
MIN_TOLERANCE_M, MAX_TOLERANCE_M = 1.0, 200.0
_EXAMPLE = (
    '{"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {"name": "King Street"}, '
    '"geometry": {"type": "LineString", "coordinates": [[-79.3807, 43.6487], [-79.3778, 43.6493]]}}]}'
)
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            kind: {
                "schema": {"type": "string", "format": "binary"},
                **({"example": _EXAMPLE} if kind == "application/json" else {}),
            }
            for kind in STREET_TYPES
        },
    }
}
_made = BoundedCache(CACHE_BYTES)
"""Bodies by digest: layers never change."""


@router.put("", response_model=StreetsReply, openapi_extra=_BODY)
@allow(Role.ADMIN, streams=True)
async def put(
    request: Request,
    state: State,
    region: RegionId,
    content_type: Annotated[str, Header(include_in_schema=False)] = "",
) -> StreetsReply:
    """Store street lines as the region's layer: cut to the study area, split at junctions.

    GeoJSON, GeoPackage, FlatGeobuf, a zipped shapefile or an OpenStreetMap extract (.osm.pbf, .osm), of which
    only roads are taken. Lines meet where they share a vertex.
    """
    if media_type_of(content_type) not in STREET_TYPES:
        raise InvalidInput(
            f"streets are sent as {', '.join(STREET_TYPES)}", code="unsupported_media_type"
        )
    body = BodyStream(request, state.settings)
    limits = reading_limits(state.settings, body.gone)
    facts = await beside_others(state, partial(set_streets, state.engine, region, body, limits))
    request.app.state.forecasts.streets.forget(region)
    return StreetsReply.model_validate(facts_json(region, facts, changed=False))


@router.get(
    "",
    response_class=Response,
    responses={200: offered({"json": StreetsReply, "geojson": StreetFeatures})},
)
@allow(Role.READER)
def show(
    request: Request,
    state: State,
    region: RegionId,
    f: Annotated[
        Literal["json", "geojson"], Query(description="json: what is known of it")
    ] = "json",
) -> Response:
    """Show what is known of the region's streets, or all segments."""
    if f == "json":
        facts, changed = streets_of(state.engine, region)
        shown = StreetsReply.model_validate(facts_json(region, facts, changed=changed))
        return Response(shown.model_dump_json(), media_type=JSON)
    return _document(request, state, region, ("geojson",), lambda layer, _: streets_geojson(layer))


@router.get("/lines", response_class=Response, responses={200: offered({"json": StreetLines})})
@allow(Role.READER)
def lines(
    request: Request,
    state: State,
    region: RegionId,
    tolerance_m: Annotated[
        float,
        Query(
            ge=MIN_TOLERANCE_M,
            le=MAX_TOLERANCE_M,
            allow_inf_nan=False,
            description="lines are simplified by at most this",
        ),
    ] = TOLERANCE_M,
) -> Response:
    """Return the streets as compact lines to draw beneath a forecast."""
    return _document(
        request,
        state,
        region,
        ("json", tolerance_m),
        lambda layer, digest: lines_json(layer, digest, tolerance_m),
    )


def _document(
    request: Request,
    state: ApiState,
    region_id: str,
    what: tuple[object, ...],
    make: Callable[[StreetLayer, str], bytes],
) -> Response:
    """Reply with a document of the layer; its ETag is the layer's digest."""
    with state.engine.connect() as connection:
        region = get_region(connection, region_id)
        facts = layer_facts(connection, region.key)
    if facts is None:
        raise no_streets(region_id)
    etag = f'W/"{facts.digest[:32]}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if matches(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)

    def made() -> bytes:
        with state.engine.connect() as connection:
            layer, digest = get_layer(connection, region)
        return make(layer, digest)

    body = _made.get_or_make((facts.digest, *what), bytes, made, len)
    return Response(body, media_type=MEDIA_TYPES[str(what[0])], headers=headers)


@router.delete("", status_code=204)
@allow(Role.ADMIN)
def remove(request: Request, state: State, region: RegionId) -> Response:
    """Remove the region's streets; its forecasts stay."""
    remove_streets(state.engine, region)
    request.app.state.forecasts.streets.forget(region)
    return Response(status_code=204)
