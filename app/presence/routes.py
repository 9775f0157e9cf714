"""`/v1/regions/{region}/presence`: where somebody was, when, and what was done."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Header, Path, Query, Request, Response

from app.core.errors import InvalidInput
from app.core.media_types import JSON, MEDIA_TYPES, media_type_of
from app.core.roles import Role
from app.core.zones import localised
from app.http.app_state import State
from app.http.body_stream import BodyStream, beside_others
from app.http.cursors import after_cursor, cursor_of
from app.http.links import same_with
from app.http.parameters import TIME_PATTERN, RegionId, moment
from app.http.permissions import allow
from app.http.problems import DOCUMENTED
from app.http.schemas import offered
from app.presence.rows import MAX_UNIT_CHARS, TYPES
from app.presence.schemas import ExposureReply, PresenceErased, PresencePage, PresenceReply
from app.presence.service import (
    PresenceSummary,
    erase_presence,
    exposure_of,
    list_presence,
    store_presence,
)
from app.presence.store import PresenceQuery
from app.presence.views import HEADER, presence_csv, presence_geojson
from app.regions.store import get_region

router = APIRouter(prefix="/v1/regions/{region}/presence", tags=["presence"], responses=DOCUMENTED)
MAX_PAGE = 10_000
_TIME: Any = {"pattern": TIME_PATTERN}
_EXAMPLE = (
    '[{"from": "2026-01-09T22:00-05:00", "to": "2026-01-10T02:00-05:00", "activity": "patrol", '
    '"unit": "car 1", "cell": 101}]'
)
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            name: {
                "schema": {"type": "string"},
                **({"example": _EXAMPLE} if name == JSON else {}),
            }
            for name in TYPES
        },
    }
}
From = Annotated[
    str | None,
    Query(alias="from", max_length=64, description="rows that end later", json_schema_extra=_TIME),
]
To = Annotated[
    str | None,
    Query(
        alias="to", max_length=64, description="rows that start earlier", json_schema_extra=_TIME
    ),
]
Unit = Annotated[str | None, Query(max_length=MAX_UNIT_CHARS)]


@router.post("", response_model=PresenceReply, openapi_extra=_BODY)
@allow(Role.INGESTER, Role.ANALYST, streams=True)
async def record(
    request: Request,
    state: State,
    region: RegionId,
    content_type: Annotated[str, Header(include_in_schema=False)] = "",
) -> Response:
    """Store where somebody was: JSON, NDJSON, GeoJSON or CSV; the same row again adds nothing.

    A row has `from`, `to`, `activity`, perhaps `unit`, and one of `cell`, `cells` (of a zone), `area`
    (layer:area) and `geometry` (GeoJSON polygon; WKT too in CSV). Give no names of persons. Trainings
    never read the log.
    """
    body = BodyStream(request, state.settings)
    kind = media_type_of(content_type)
    work = partial(store_presence, state.engine, region, body, kind, state.settings)
    summary: PresenceSummary = await beside_others(state, work)
    return Response(orjson.dumps(vars(summary)), media_type=JSON)


@router.get(
    "",
    response_class=Response,
    responses={200: offered({"geojson": PresencePage}, ["csv"], csv=",".join(HEADER) + "\n")},
)
@allow(Role.ANALYST)
def list_stays(
    request: Request,
    state: State,
    region: RegionId,
    start: From = None,
    end: To = None,
    unit: Unit = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    f: Literal["geojson", "csv"] = "geojson",
) -> Response:
    """List the log in order of time; `next` links to the following page. The audit log says who read it."""
    query = _query(state, region, start, end, unit, after=after_cursor(cursor))
    found, rows = list_presence(state.engine, region, query, limit, f)
    following = None
    if len(rows) == limit:
        following = same_with(request, cursor=cursor_of(rows[-1].started_at, rows[-1].id))
    headers = {"Link": f'<{following}>; rel="next"'} if following else {}
    content = presence_csv(rows, found) if f == "csv" else presence_geojson(rows, found, following)
    return Response(content, headers=headers, media_type=MEDIA_TYPES[f])


@router.get("/exposure")
@allow(Role.ANALYST)
def exposure(state: State, region: RegionId, start: From = None, end: To = None) -> ExposureReply:
    """Sum up hours of presence by cell, in at most 31 days; without `from` and `to` in the last 28."""
    first, last = moment(start, "from"), moment(end, "to")
    return ExposureReply.model_validate(exposure_of(state.engine, region, first, last))


@router.delete("")
@allow(Role.ADMIN)
def erase(
    state: State,
    region: RegionId,
    start: From = None,
    end: To = None,
    unit: Unit = None,
    everything: Annotated[bool, Query(alias="all", description="the whole log")] = False,
) -> PresenceErased:
    """Erase the rows of a period, of a unit, or all, for good."""
    query = _query(state, region, start, end, unit)
    if everything == any(given is not None for given in (start, end, unit)):
        raise InvalidInput("give from, to or unit; or all=true for the whole log", field="all")
    return PresenceErased(erased=erase_presence(state.engine, region, query))


@router.delete("/rows/{row_id}", status_code=204)
@allow(Role.ADMIN)
def erase_one(
    state: State, region: RegionId, row_id: Annotated[int, Path(ge=1, lt=2**63, examples=[7])]
) -> Response:
    """Erase a row by the `id` that the listing shows."""
    erase_presence(state.engine, region, PresenceQuery(id=row_id))
    return Response(status_code=204)


def _query(
    state: State,
    region: str,
    start: str | None,
    end: str | None,
    unit: str | None,
    after: tuple[datetime, int] | None = None,
) -> PresenceQuery:
    with state.engine.connect() as connection:
        timezone = get_region(connection, region).timezone
    moments = moment(start, "from"), moment(end, "to")
    first, last = (None if one is None else localised(one, timezone) for one in moments)
    return PresenceQuery(first, last, unit, after=after)
