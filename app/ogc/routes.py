"""`/ogc`: OGC API - Features; collections of all regions, their items, and what conforms to what."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Depends, Path, Query, Request, Response

from app.core.media_types import GEOJSON, JSON, MEDIA_TYPES
from app.core.roles import Caller, Role
from app.forecasts.plan import Selector
from app.forecasts.rendering.tiles import STEP
from app.forecasts.selectors import Forecasts, VersionSelection
from app.forecasts.service import ForecastService
from app.http.app_state import ApiState, CallerOf, State
from app.http.links import link, same_with
from app.http.parameters import RegionId
from app.http.permissions import allow, public
from app.http.problems import DOCUMENTED
from app.http.schemas import Feature, offered
from app.ogc.collections import (
    FEATURES,
    Ground,
    check_kind,
    collection,
    ground_of,
    to,
    whole,
)
from app.ogc.crs import CRS84_URI, Reference, box_in_degrees, parse_crs
from app.ogc.features import FeatureSet, feature_set, pins_of
from app.ogc.parameters import parse_datetime, utc_text
from app.ogc.route_class import OgcRoute
from app.ogc.schemas import Collection, CollectionList, Conformance, Items, Landing
from app.regions.store import get_region, list_regions

router = APIRouter(prefix="/ogc", tags=["ogc"], responses=DOCUMENTED, route_class=OgcRoute)
OPENAPI = "application/vnd.oai.openapi+json;version=3.1"
DEFAULT_LIMIT, MAX_LIMIT = 1000, 10_000
_FEATURES = "http://www.opengis.net/spec/ogcapi-features-{}/1.0/conf/{}"
_EDR = "http://www.opengis.net/spec/ogcapi-edr-1/1.1/conf/{}"
_TILES = "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/{}"
CONFORMS_TO = [
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-common-2/1.0/conf/collections",
    *(_FEATURES.format(1, name) for name in ("core", "geojson")),
    _FEATURES.format(2, "crs"),
    *(_EDR.format(name) for name in ("core", "collections", "json", "covjson", "queries")),
    *(_TILES.format(name) for name in ("core", "tileset", "tilesets-list", "png")),
]
Kind = Annotated[str, Path(max_length=63, examples=["hotspots"])]
Json = Annotated[str | None, Query(pattern="^json$", description="format; there is one")]
GeoJson = Annotated[
    Literal["json", "geojson"] | None, Query(description="GeoJSON, by either name; default geojson")
]
When = Annotated[
    str | None,
    Query(
        alias="datetime",
        max_length=130,
        description="an instant, or start/end, of which one may be '..': the hour or hours to forecast, "
        "RFC 3339 with offsets; without it the present hour",
        examples=["2026-01-10T23:00:00Z"],
    ),
]
Box = Annotated[
    str | None,
    Query(max_length=200, description="four or six numbers in the axes of bbox-crs"),
]
BoxCrs = Annotated[str | None, Query(alias="bbox-crs", max_length=200)]
Crs = Annotated[str | None, Query(max_length=200, description="of the reply; default CRS84")]
Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT)]
Offset = Annotated[int, Query(ge=0, le=10_000_000)]


@router.get("/", include_in_schema=False)  # as OWSLib asks for it
@router.get("", response_model=Landing, response_model_exclude_none=True)
@allow(Role.READER, confined=True)
def landing(
    request: Request, state: State, forecasts: Forecasts, caller: CallerOf, f: Json = None
) -> Any:
    """Show where everything is, the area and hours of all collections, and the step of their times."""
    found = _grounds(state, forecasts, caller)
    boxes = [ground.bbox for ground in found if ground.bbox is not None]
    starts = [ground.plan.version.data_until for ground in found if ground.plan is not None]
    extent: dict[str, Any] = {"spatial": {"bbox": whole(boxes), "crs": CRS84_URI}} if boxes else {}
    if starts:
        first = min(starts).replace(minute=0, second=0, microsecond=0)
        extent["temporal"] = {
            "interval": [[utc_text(first), None]],
            "grid": {"resolution": STEP},
        }
    return {
        "title": "hotslot",
        "description": "Forecasts where crime concentrates in which hour of the week.",
        "extent": extent,
        "links": [
            to(request, "self", "/ogc"),
            to(request, "service-desc", "/openapi.json", OPENAPI),
            to(request, "service-doc", "/docs", MEDIA_TYPES["html"]),
            to(request, "conformance", "/ogc/conformance"),
            to(request, "data", "/ogc/collections"),
            to(
                request,
                "http://www.opengis.net/def/rel/ogc/1.0/tiling-schemes",
                "/ogc/tileMatrixSets",
            ),
        ],
    }


@router.get("/conformance")
@public
async def conformance(f: Json = None) -> Conformance:
    """List the classes of OGC API that this service conforms to."""
    return Conformance(conformsTo=CONFORMS_TO)


@router.get("/collections", response_model=CollectionList, response_model_exclude_none=True)
@allow(Role.READER, confined=True)
def collections(
    request: Request, state: State, forecasts: Forecasts, caller: CallerOf, f: Json = None
) -> Any:
    """List the collections of all regions that the caller may see."""
    return {
        "collections": [
            collection(request, ground, kind)
            for ground in _grounds(state, forecasts, caller)
            for kind in ground.kinds(caller)
        ],
        "links": [to(request, "self", "/ogc/collections")],
    }


def _grounds(state: ApiState, forecasts: ForecastService, caller: Caller) -> list[Ground]:
    with state.engine.connect() as connection:
        found = list_regions(connection)
    return [ground_of(forecasts, region) for region in found if caller.sees(region.id)]


def ground_of_region(state: ApiState, forecasts: ForecastService, region: str) -> Ground:
    """Return a region with its present forecast, as far as there is one."""
    with state.engine.connect() as connection:
        found = get_region(connection, region)
    return ground_of(forecasts, found)


@router.get(
    "/collections/{region}.{kind}", response_model=Collection, response_model_exclude_none=True
)
@allow(Role.READER)
def describe_collection(
    request: Request,
    state: State,
    forecasts: Forecasts,
    caller: CallerOf,
    region: RegionId,
    kind: Kind,
    f: Json = None,
) -> Any:
    """Describe one collection: its area, its hours, its coordinate reference systems."""
    ground = ground_of_region(state, forecasts, region)
    check_kind(ground, caller, kind)
    return collection(request, ground, kind)


def _selector(which: VersionSelection, when: When = None) -> Selector:
    """Return what to forecast: the hour or hours of `datetime`, by default the present one."""
    category, model, as_of, state = which
    interval = parse_datetime(when)
    times = {"at": datetime.now(UTC)} if interval is None else interval.selected()
    return Selector(category=category, model=model, as_of=as_of, state=state, **times)


Asked = Annotated[Selector, Depends(_selector)]


def geojson_reply(body: dict[str, Any], reference: Reference, f: str | None) -> Response:
    """Return a reply whose header names the system of its shapes, under the name of its format asked for."""
    headers = {"Content-Crs": f"<{reference.uri}>"}
    return Response(orjson.dumps(body), media_type=MEDIA_TYPES[f or "geojson"], headers=headers)


@router.get(
    "/collections/{region}.{kind}/items",
    response_class=Response,
    responses={200: offered({"geojson": Items, "json": Items})},
)
@allow(Role.READER)
def items(
    request: Request,
    state: State,
    forecasts: Forecasts,
    caller: CallerOf,
    region: RegionId,
    kind: Kind,
    selector: Asked,
    bbox: Box = None,
    bbox_crs: BoxCrs = None,
    crs: Crs = None,
    limit: Limit = DEFAULT_LIMIT,
    offset: Offset = 0,
    f: GeoJson = None,
) -> Response:
    """List what is forecast for the hour or hours of `datetime`; `next` leads to further features.

    `bbox` filters what the whole region's forecast has: it does not change what is chosen.
    """
    ground = _checked(state, forecasts, caller, region, kind)
    reference = parse_crs(crs, ground.crs, "crs")
    box = box_in_degrees(bbox, parse_crs(bbox_crs, ground.crs, "bbox-crs"))
    found = feature_set(forecasts, region, kind, selector)
    matched = found.touching(box)
    rows = matched[offset : offset + limit]
    pins = {**pins_of(found.plan), "as_of": None}
    links = [
        {"rel": "self", "href": same_with(request), "type": GEOJSON},
        to(request, "collection", f"/ogc/collections/{region}.{kind}"),
    ]
    if offset + limit < len(matched):
        href = same_with(request, **pins, limit=limit, offset=offset + limit)
        links.append({"rel": "next", "href": href, "type": GEOJSON})
    if offset > 0:
        href = same_with(request, **pins, limit=limit, offset=max(0, offset - limit))
        links.append({"rel": "prev", "href": href, "type": GEOJSON})
    body = {
        "type": "FeatureCollection",
        "numberMatched": len(matched),
        "numberReturned": len(rows),
        "timeStamp": utc_text(datetime.now(UTC)),
        "links": links,
        "hotslot": found.head,
        "features": found.shown(rows, reference),
    }
    return geojson_reply(body, reference, f)


@router.get(
    "/collections/{region}.{kind}/items/{feature}",
    response_class=Response,
    responses={200: offered({"geojson": Feature, "json": Feature})},
)
@allow(Role.READER)
def item(
    request: Request,
    state: State,
    forecasts: Forecasts,
    caller: CallerOf,
    region: RegionId,
    kind: Kind,
    feature: Annotated[str, Path(max_length=200, examples=["1"])],
    selector: Asked,
    crs: Crs = None,
    f: GeoJson = None,
) -> Response:
    """Show one feature of the forecast for the hour or hours of `datetime`."""
    ground = _checked(state, forecasts, caller, region, kind)
    reference = parse_crs(crs, ground.crs, "crs")
    found: FeatureSet = feature_set(forecasts, region, kind, selector)
    (shown,) = found.shown(found.row_of(feature), reference)
    path = f"/ogc/collections/{region}.{kind}"
    pinned = {
        "rel": "self",
        "href": link(request, f"{path}/items/{feature}", **pins_of(found.plan)),
    }
    body = {**shown, "links": [{**pinned, "type": GEOJSON}, to(request, "collection", path, JSON)]}
    return geojson_reply(body, reference, f)


def _checked(
    state: ApiState, forecasts: ForecastService, caller: Caller, region: str, kind: str
) -> Ground:
    """Return the region of a collection of forecasts.

    Raises:
        NotFound: it has no such collection.
        NotReady: it has no version yet.
    """
    ground = ground_of_region(state, forecasts, region)
    if ground.plan is None and kind in FEATURES:
        forecasts.versions.read(region)  # says what is missing
    check_kind(ground, caller, kind)
    return ground
