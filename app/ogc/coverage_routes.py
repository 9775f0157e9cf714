"""`/ogc/collections/{region}.density`: the density by OGC API - EDR, and as map tiles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any

import shapely
from fastapi import APIRouter, Query, Request, Response

from app.core.errors import InvalidInput
from app.core.media_types import MEDIA_TYPES
from app.core.processes.priority import long_work
from app.core.roles import Role
from app.forecasts.forecast import Forecast
from app.forecasts.plan import Selector
from app.forecasts.replies.serialisers import check_series
from app.forecasts.selectors import Forecasts
from app.forecasts.service import ForecastService
from app.http.app_state import CallerOf, State
from app.http.links import link
from app.http.parameters import RegionId
from app.http.permissions import allow, public
from app.http.problems import DOCUMENTED
from app.http.schemas import offered
from app.ogc.collections import DENSITY, Ground, check_kind, collection, to
from app.ogc.coverages import MAX_WKT_CHARS, grid_json, parse_coords, parse_names, place_json
from app.ogc.crs import box_in_degrees, parse_crs, point_in_degrees, storage_of
from app.ogc.route_class import OgcRoute
from app.ogc.routes import Asked, Box, Crs, Json, ground_of_region
from app.ogc.schemas import Coverage, TileMatrixSet, TileMatrixSetList, TileSet, TileSetList
from app.ogc.tile_matrices import SUMMARY, WEB_MERCATOR

router = APIRouter(prefix="/ogc", tags=["ogc"], responses=DOCUMENTED, route_class=OgcRoute)
_OWN = "/collections/{region}.density"
Coords = Annotated[
    str, Query(max_length=MAX_WKT_CHARS, description="WKT in the axes of crs, by default degrees")
]
Names = Annotated[
    str | None,
    Query(alias="parameter-name", max_length=200, description="joined by commas; default: all"),
]
CovJson = Annotated[str | None, Query(pattern="^CoverageJSON$", description="format; there is one")]
_REPLIES: dict[int | str, dict[str, Any]] = {200: offered({"covjson": Coverage})}


def _reply(
    forecasts: ForecastService,
    region: str,
    selector: Selector,
    make: Callable[[Forecast], bytes],
) -> Response:
    plan = forecasts.plan(region, selector)
    check_series(forecasts, plan)
    with long_work():
        body = make(forecasts.forecast_of(plan))
    return Response(body, media_type=MEDIA_TYPES["covjson"])


@router.get(f"{_OWN}/position", response_class=Response, responses=_REPLIES)
@allow(Role.READER)
def position(
    state: State,
    forecasts: Forecasts,
    region: RegionId,
    selector: Asked,
    coords: Coords,
    names: Names = None,
    crs: Crs = None,
    f: CovJson = None,
) -> Response:
    """Forecast one place, hour by hour: the cell in which `POINT(x y)` lies."""
    wanted = parse_names(names)
    point = parse_coords(coords, ("Point",))
    own = ground_of_region(state, forecasts, region).crs
    reference = parse_crs(crs, own, "crs")
    given = (float(point.x), float(point.y))
    place = point_in_degrees(*given, reference)

    def make(forecast: Forecast) -> bytes:
        return place_json(forecasts, forecast, place, (reference, given), wanted)

    return _reply(forecasts, region, selector, make)


@router.get(f"{_OWN}/area", response_class=Response, responses=_REPLIES)
@allow(Role.READER)
def area(
    state: State,
    forecasts: Forecasts,
    region: RegionId,
    selector: Asked,
    coords: Coords,
    names: Names = None,
    crs: Crs = None,
    f: CovJson = None,
) -> Response:
    """Forecast the cells that a polygon touches, hour by hour, on the region's grid.

    `coords` is in degrees; the reply is in the region's own system, the only one that `crs` may name.
    """
    wanted = parse_names(names)
    _check_own(ground_of_region(state, forecasts, region), crs)
    polygon = parse_coords(coords, ("Polygon", "MultiPolygon"))
    bounds = ",".join(map(repr, shapely.bounds(polygon).tolist()))
    selector = replace(selector, bbox=_corners(bounds))
    return _reply(
        forecasts, region, selector, lambda found: grid_json(forecasts, found, wanted, polygon)
    )


@router.get(f"{_OWN}/cube", response_class=Response, responses=_REPLIES)
@allow(Role.READER)
def cube(
    state: State,
    forecasts: Forecasts,
    region: RegionId,
    selector: Asked,
    bbox: Box = None,
    names: Names = None,
    crs: Crs = None,
    f: CovJson = None,
) -> Response:
    """Forecast the cells that a box in degrees touches, hour by hour, on the region's grid."""
    wanted = parse_names(names)
    _check_own(ground_of_region(state, forecasts, region), crs)
    if bbox is None:
        raise InvalidInput("bbox is required: west,south,east,north in degrees", field="bbox")
    selector = replace(selector, bbox=_corners(bbox))
    return _reply(forecasts, region, selector, lambda found: grid_json(forecasts, found, wanted))


def _corners(bbox: str) -> tuple[float, float, float, float]:
    """Return west, south, east, north of a box in degrees; over the 180th meridian west > east."""
    parts = shapely.get_parts(box_in_degrees(bbox, parse_crs(None, None, "crs")))
    west, south, _, north = shapely.bounds(parts[0]).tolist()
    return west, south, float(shapely.bounds(parts[-1])[2]), north


def _check_own(ground: Ground, crs: str | None) -> None:
    """Raise if a grid is asked for in a system in which it is not regular.

    Raises:
        InvalidInput: `crs` is not the region's own.
    """
    if crs is not None:
        own = storage_of(ground.crs)
        if parse_crs(crs, ground.crs, "crs") != own:
            raise InvalidInput(f"grids are in the region's own system, {own.uri}", field="crs")


@router.get(f"{_OWN}/map/tiles", response_model=TileSetList, response_model_exclude_none=True)
@allow(Role.READER)
def tilesets(
    request: Request,
    state: State,
    forecasts: Forecasts,
    caller: CallerOf,
    region: RegionId,
    f: Json = None,
) -> Any:
    """List the tile sets of the density: there is one."""
    ground = _density_of(state, forecasts, caller, region)
    return {
        "tilesets": [_tileset(request, ground)],
        "links": [to(request, "self", f"/ogc/collections/{region}.density/map/tiles")],
    }


@router.get(
    f"{_OWN}/map/tiles/WebMercatorQuad", response_model=TileSet, response_model_exclude_none=True
)
@allow(Role.READER)
def tileset(
    request: Request,
    state: State,
    forecasts: Forecasts,
    caller: CallerOf,
    region: RegionId,
    f: Json = None,
) -> Any:
    """Describe the map tiles: of the present hour, or with `at` or `from` and `to` of others."""
    return _tileset(request, _density_of(state, forecasts, caller, region))


def _density_of(state: State, forecasts: ForecastService, caller: CallerOf, region: str) -> Ground:
    ground = ground_of_region(state, forecasts, region)
    if ground.plan is None:
        forecasts.versions.read(region)  # says what is missing
    check_kind(ground, caller, DENSITY)
    return ground


def _tileset(request: Request, ground: Ground) -> dict[str, Any]:
    region = ground.region.id
    about = collection(request, ground, DENSITY)
    template = f"/v1/regions/{region}/tiles/{{tileMatrix}}/{{tileCol}}/{{tileRow}}.png"
    own = f"/ogc/collections/{region}.density/map/tiles/WebMercatorQuad"
    scheme = "http://www.opengis.net/def/rel/ogc/1.0/tiling-scheme"
    return {
        "title": about["title"],
        "dataType": "map",
        "crs": SUMMARY["crs"],
        "tileMatrixSetURI": SUMMARY["uri"],
        "extent": about["extent"],
        "links": [
            to(request, "self", own),
            {
                "rel": "item",
                "href": link(request, template),
                "type": "image/png",
                "templated": True,
            },
            to(request, "related", f"/v1/regions/{region}/tiles/tilejson.json", title="TileJSON"),
            to(request, scheme, "/ogc/tileMatrixSets/WebMercatorQuad"),
        ],
    }


@router.get("/tileMatrixSets")
@public
async def tile_matrix_sets(request: Request, f: Json = None) -> TileMatrixSetList:
    """List the tile matrix sets: there is one."""
    own = to(request, "self", "/ogc/tileMatrixSets/WebMercatorQuad")
    return TileMatrixSetList(tileMatrixSets=[{**SUMMARY, "links": [own]}])


@router.get("/tileMatrixSets/WebMercatorQuad")
@public
async def tile_matrix_set(f: Json = None) -> TileMatrixSet:
    """Describe how the world is cut into tiles."""
    return TileMatrixSet.model_validate(WEB_MERCATOR)
