"""`/v1/regions/{region}/layers`: store, show and remove layers of named areas."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import orjson
from fastapi import APIRouter, Header, Path, Query, Request, Response

from app.core.errors import InvalidInput
from app.core.media_types import GEOJSON, JSON, media_type_of
from app.core.roles import Role
from app.http.app_state import State
from app.http.body_stream import BodyStream, beside_others
from app.http.parameters import RegionId
from app.http.permissions import allow
from app.http.problems import DOCUMENTED
from app.http.schemas import offered
from app.readers.isolated import reading_limits
from app.regions.layer_store import read_layer
from app.regions.layers import remove_layer, set_layer
from app.regions.schemas import LayerFeatures, LayerReply
from app.regions.store import get_region

router = APIRouter(prefix="/v1/regions/{region}/layers", tags=["regions"], responses=DOCUMENTED)
LayerName = Annotated[str, Path(max_length=63, examples=["beats"])]
_EXAMPLE = orjson.dumps(
    {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "properties": {"name": "D11"},
                "geometry": {
                    "type": "Polygon",
                    "coordinates": [
                        [[-74.2, 4.5], [-74.0, 4.5], [-74.0, 4.8], [-74.2, 4.8], [-74.2, 4.5]]
                    ],
                },
            }
        ],
    }
).decode()
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            name: {"schema": {"type": "string"}, "example": _EXAMPLE} for name in (GEOJSON, JSON)
        },
    }
}


@router.put("/{name}", response_model=LayerReply, openapi_extra=_BODY)
@allow(Role.ADMIN, streams=True)
async def save_layer(
    request: Request,
    state: State,
    region: RegionId,
    name: LayerName,
    content_type: Annotated[str, Header(include_in_schema=False)] = "",
    name_property: Annotated[
        str | None, Query(max_length=200, description="property that names the areas")
    ] = None,
) -> Response:
    """Store a layer of named polygons, such as beats, as GeoJSON; it replaces one of that name."""
    if media_type_of(content_type) not in (GEOJSON, JSON):
        raise InvalidInput("a layer is GeoJSON", code="unsupported_media_type")
    body = BodyStream(request, state.settings)
    limits = reading_limits(state.settings, body.gone)
    work = partial(set_layer, state.engine, region, name, body, limits, name_property)
    stored = await beside_others(state, work)
    areas = [feature["properties"]["name"] for feature in stored.features["features"]]
    reply = LayerReply.model_validate({**vars(stored), "areas": areas})
    request.app.state.forecasts.forget_layer(region, name)
    return Response(reply.model_dump_json(), media_type=JSON)


@router.get(
    "/{name}",
    response_class=Response,
    responses={200: offered({"geojson": LayerFeatures})},
)
@allow(Role.READER, Role.INGESTER)
def show_layer(state: State, region: RegionId, name: LayerName) -> Response:
    """Show a layer's areas as GeoJSON, which may be stored again as it is."""
    with state.engine.connect() as connection:
        found = read_layer(connection, get_region(connection, region), name)
    return Response(orjson.dumps({**found.features, "name": found.name}), media_type=GEOJSON)


@router.delete("/{name}", status_code=204)
@allow(Role.ADMIN)
def drop(request: Request, state: State, region: RegionId, name: LayerName) -> Response:
    """Remove a layer."""
    remove_layer(state.engine, region, name)
    request.app.state.forecasts.forget_layer(region, name)
    return Response(status_code=204)
