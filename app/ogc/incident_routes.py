"""`/ogc/collections/{region}.incidents`: reported incidents, for keys that may list them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import numpy as np
import orjson
import shapely
from fastapi import APIRouter, Path, Query, Request, Response

from app.core.errors import NotFound
from app.core.media_types import GEOJSON
from app.core.roles import Role
from app.forecasts.selectors import Forecasts
from app.http.app_state import CallerOf, State
from app.http.cursors import after_cursor, cursor_of
from app.http.links import link, same_with
from app.http.parameters import RegionId
from app.http.permissions import allow
from app.http.problems import DOCUMENTED
from app.http.schemas import Feature, offered
from app.incidents.listing import record_listing
from app.incidents.store import PageQuery, page
from app.incidents.views import Rows, incidents_geojson
from app.ogc.collections import INCIDENTS, check_kind, collection, to
from app.ogc.crs import Reference, box_in_degrees, in_reference, parse_crs
from app.ogc.parameters import Interval, parse_datetime, utc_text
from app.ogc.route_class import OgcRoute
from app.ogc.routes import (
    DEFAULT_LIMIT,
    Box,
    BoxCrs,
    Crs,
    GeoJson,
    Json,
    Limit,
    When,
    geojson_reply,
    ground_of_region,
)
from app.ogc.schemas import Collection, Items
from app.regions.store import Region, get_region

router = APIRouter(
    prefix="/ogc/collections/{region}.incidents",
    tags=["ogc"],
    responses=DOCUMENTED,
    route_class=OgcRoute,
)


@router.get("", response_model=Collection, response_model_exclude_none=True)
@allow(Role.ANALYST)
def describe_incidents(
    request: Request,
    state: State,
    forecasts: Forecasts,
    caller: CallerOf,
    region: RegionId,
    f: Json = None,
) -> Any:
    """Describe the collection of a region's incidents."""
    ground = ground_of_region(state, forecasts, region)
    check_kind(ground, caller, INCIDENTS)
    return collection(request, ground, INCIDENTS)


@router.get(
    "/items", response_class=Response, responses={200: offered({"geojson": Items, "json": Items})}
)
@allow(Role.ANALYST)
def incident_items(
    request: Request,
    state: State,
    region: RegionId,
    when: When = None,
    bbox: Box = None,
    bbox_crs: BoxCrs = None,
    crs: Crs = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Annotated[
        str | None, Query(max_length=200, description="follow `next` instead")
    ] = None,
    f: GeoJson = None,
) -> Response:
    """List incidents in order of time; `next` leads to further ones. Each listing is audited."""
    with state.engine.connect() as connection:
        found = get_region(connection, region)
        reference = parse_crs(crs, found.crs, "crs")
        box = box_in_degrees(bbox, parse_crs(bbox_crs, found.crs, "bbox-crs"))
        start, end = _span(parse_datetime(when))
        bounds = None if box is None else _bounds(box)
        query = PageQuery(bounds, start, end, after=after_cursor(cursor), limit=limit)
        n_filters = sum(asked is not None for asked in (bbox, when))
        rows = page(connection, found, query)
    record_listing(state.engine, found, len(rows), n_filters, "geojson")
    links = [
        {"rel": "self", "href": same_with(request), "type": GEOJSON},
        to(request, "collection", f"/ogc/collections/{region}.incidents"),
    ]
    if len(rows) == limit:
        last = cursor_of(rows[-1].occurred_at, rows[-1].id)
        href = same_with(request, cursor=last)
        links.append({"rel": "next", "href": href, "type": GEOJSON})
    shown = _features(rows, found, reference, box)
    body = {
        "type": "FeatureCollection",
        "numberReturned": len(shown),
        "timeStamp": utc_text(datetime.now(UTC)),
        "links": links,
        "features": shown,
    }
    return geojson_reply(body, reference, f)


@router.get(
    "/items/{incident}",
    response_class=Response,
    responses={200: offered({"geojson": Feature, "json": Feature})},
)
@allow(Role.ANALYST)
def incident_item(
    request: Request,
    state: State,
    region: RegionId,
    incident: Annotated[int, Path(ge=0, lt=2**63, examples=[1])],
    crs: Crs = None,
    f: GeoJson = None,
) -> Response:
    """Show one incident; audited like a listing."""
    with state.engine.connect() as connection:
        found = get_region(connection, region)
        reference = parse_crs(crs, found.crs, "crs")
        query = PageQuery(only=incident, limit=1)
        rows = page(connection, found, query)
    record_listing(state.engine, found, len(rows), 1, "geojson")
    if not rows:
        raise NotFound(f"no incident {incident} in {region}", field="incident", code="no_feature")
    (shown,) = _features(rows, found, reference, None)
    path = f"/ogc/collections/{region}.incidents"
    own = {"rel": "self", "href": link(request, f"{path}/items/{incident}"), "type": GEOJSON}
    body = {**shown, "links": [own, to(request, "collection", path)]}
    return geojson_reply(body, reference, f)


def _span(interval: Interval | None) -> tuple[datetime | None, datetime | None]:
    """Return start and end, which listings exclude, of a closed interval."""
    if interval is None:
        return None, None
    end = interval.end
    if end is not None and end < datetime.max.replace(tzinfo=UTC) - timedelta(days=1):
        end += timedelta(microseconds=1)
    return interval.start, end


def _bounds(box: Any) -> tuple[float, float, float, float]:
    """Return west, south, east, north of an area; over the 180th meridian its west exceeds its east."""
    parts = [shapely.bounds(part).tolist() for part in shapely.get_parts(box)]
    if len(parts) == 2 and parts[0][2] == 180 and parts[1][0] == -180:
        return parts[0][0], parts[0][1], parts[1][2], parts[0][3]
    west, south, east, north = shapely.bounds(box).tolist()
    return west, south, east, north


def _features(rows: Rows, region: Region, reference: Reference, box: Any) -> list[dict[str, Any]]:
    """Return incidents as features in a system, without those outside an area."""
    features: list[dict[str, Any]] = orjson.loads(incidents_geojson(rows, region, None))["features"]
    places = [(row.longitude, row.latitude) for row in rows]
    points = np.asarray(shapely.points(np.array(places, np.float64).reshape(-1, 2)))
    if box is not None:
        inside = shapely.intersects(points, box)
        features = [one for one, touches in zip(features, inside, strict=True) if touches]
        points = points[inside]
    if not reference.is_default:
        moved = shapely.get_coordinates(in_reference(points, reference)).tolist()
        for one, place in zip(features, moved, strict=True):
            one["geometry"]["coordinates"] = place
    for one in features:
        one["properties"]["region"] = region.id
    return features
