"""`/v1/regions/{region}/incidents`: upload, list, delete."""

from __future__ import annotations

import base64
from datetime import datetime
from functools import partial
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import Row

from app.audit import store as audit
from app.core.errors import InvalidInput
from app.core.roles import Role
from app.core.texts import shortened
from app.core.zones import zone
from app.http.app_state import State
from app.http.body_stream import BodyStream, beside_others
from app.http.permissions import allow
from app.http.text_fields import LongText, ShortText
from app.incidents.mappings import resolve_mapping
from app.incidents.service import UploadSource, ingest
from app.incidents.store import PageQuery, page
from app.incidents.views import incidents_csv, incidents_geojson, incidents_parquet
from app.readers.columns import ColumnMapping
from app.readers.formats import READERS
from app.regions.store import get_region

router = APIRouter(prefix="/v1/regions/{region}/incidents", tags=["incidents"])
MAX_PAGE = 10_000
_MEDIA_TYPES = {
    "geojson": "application/geo+json",
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {name: {"schema": {"type": "string"}} for name in READERS},
    }
}


_NO_MAPPING = ColumnMapping()


def _mapping(
    columns: Annotated[
        list[LongText] | None,
        Query(max_length=20, description="field=column; occurred_at=A+B joins a date and a time"),
    ] = None,
    crs: Annotated[
        str | None, Query(max_length=64, description="of projected x, y, such as EPSG:26910")
    ] = None,
    time_format: Annotated[
        str | None, Query(max_length=60, description="of times that are not RFC 3339")
    ] = None,
) -> ColumnMapping:
    return ColumnMapping.parse(columns or [], crs, time_format)


@router.post("", openapi_extra=_BODY)
@allow(Role.INGESTER, streams=True)
async def upload(
    request: Request,
    state: State,
    region: str,
    content_type: Annotated[str, Header(include_in_schema=False)] = "",
    content_encoding: Annotated[
        str | None, Header(json_schema_extra={"enum": ["gzip", "identity"]})
    ] = None,
    idempotency_key: Annotated[str | None, Header()] = None,
    own: Annotated[ColumnMapping, Depends(_mapping)] = _NO_MAPPING,
    mapping: Annotated[
        str | None, Query(max_length=63, description="a kept mapping's name")
    ] = None,
) -> Response:
    """Store incidents: all accepted rows of a body, or nothing.

    Rows that are not accepted are named with row, field, code and message. Sending the same body
    again adds nothing; an `Idempotency-Key` makes a retry replay the first answer. Columns of
    well-known portals are recognised; others are named by `columns`, `crs` and `time_format`.
    """

    def resolved() -> ColumnMapping:
        with state.engine.connect() as connection:
            return resolve_mapping(connection, region, mapping, own)

    source = UploadSource(
        content_type.split(";")[0].strip().lower(),
        content_encoding.strip().lower() if content_encoding else None,
        idempotency_key,
        mapping=own if mapping is None else await run_in_threadpool(resolved),
    )
    body = BodyStream(request, state.settings)
    work = partial(
        ingest, state.engine, region, body, source, settings=state.settings, gone=body.gone
    )
    summary = await beside_others(state, work)
    return Response(orjson.dumps(summary.to_json()), media_type="application/json")


def _bbox(text: str | None) -> tuple[float, float, float, float] | None:
    if text is None:
        return None
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError as error:
        raise InvalidInput("bbox is west,south,east,north in degrees", field="bbox") from error
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        raise InvalidInput("bbox is west,south,east,north in degrees", field="bbox")
    return west, south, east, north


def _interval(text: str | None, timezone: str) -> tuple[datetime | None, datetime | None]:
    if text is None:
        return None, None
    parts = text.split("/")
    if len(parts) != 2:
        raise InvalidInput("datetime is start/end, either may be '..'", field="datetime")

    def moment(part: str) -> datetime | None:
        if part in ("", ".."):
            return None
        try:
            parsed = datetime.fromisoformat(part)
        except ValueError as error:
            raise InvalidInput(
                f"not an RFC 3339 time: {shortened(part)}", field="datetime"
            ) from error
        return parsed if parsed.tzinfo else parsed.replace(tzinfo=zone(timezone))

    return moment(parts[0]), moment(parts[1])


def _cursor(row: Row[Any]) -> str:
    return base64.urlsafe_b64encode(f"{row.occurred_at.isoformat()}|{row.id}".encode()).decode()


def _after(cursor: str | None) -> tuple[datetime, int] | None:
    if cursor is None:
        return None
    try:
        at, _, last_id = base64.urlsafe_b64decode(cursor.encode()).decode().partition("|")
        moment = datetime.fromisoformat(at)
        number = int(last_id)
    except ValueError as error:
        raise InvalidInput("not a cursor that was given out", field="cursor") from error
    if moment.tzinfo is None or not 0 <= number < 2**63:
        raise InvalidInput("not a cursor that was given out", field="cursor")
    return moment, number


@router.get("")
@allow(Role.ANALYST)
def list_page(
    request: Request,
    state: State,
    region: str,
    bbox: Annotated[str | None, Query(max_length=200)] = None,
    when: Annotated[str | None, Query(alias="datetime", max_length=130)] = None,
    category: ShortText | None = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    f: Annotated[str, Query(pattern="^(geojson|csv|parquet)$")] = "geojson",
) -> Response:
    """Incidents in order of time; `next` links to the following page."""
    with state.engine.begin() as connection:
        found = get_region(connection, region)
        start, end = _interval(when, found.timezone)
        query = PageQuery(_bbox(bbox), start, end, category, _after(cursor), limit)
        rows = page(connection, found, query)
        # Not where, when and what: entries cannot be erased, and these may single out an incident.
        n_filters = sum(asked is not None for asked in (bbox, when, category))
        told: dict[str, Any] = {"incidents": len(rows), "filters": n_filters, "format": f}
        audit.record(connection, "export", chain=found.id, **told)
    following = None
    if len(rows) == limit:
        following = str(request.url.include_query_params(cursor=_cursor(rows[-1])))
    headers = {"Link": f'<{following}>; rel="next"'} if following else {}
    if f == "csv":
        content = incidents_csv(rows, found)
    elif f == "parquet":
        content = incidents_parquet(rows, found)
    else:
        content = incidents_geojson(rows, found, following)
    return Response(content, headers=headers, media_type=_MEDIA_TYPES[f])
