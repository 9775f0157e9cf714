"""`/v1/regions/{region}/incidents` and `/mappings`: upload and list incidents, map columns."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated, Literal

import orjson
from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import Connection

from app.core.errors import InvalidInput
from app.core.media_types import JSON, MEDIA_TYPES, media_type_of
from app.core.roles import Role
from app.core.texts import shortened
from app.core.zones import localised
from app.http.app_state import State
from app.http.body_stream import BodyStream, beside_others
from app.http.cursors import after_cursor, cursor_of
from app.http.links import same_with
from app.http.parameters import (
    Bbox,
    BboxText,
    CategoryNames,
    LongText,
    RegionId,
    check_bbox_order,
    parse_bbox,
)
from app.http.permissions import allow
from app.http.problems import DOCUMENTED
from app.http.schemas import offered
from app.incidents.listing import record_listing
from app.incidents.mappings import (
    list_mappings,
    remove_mapping,
    resolve_mapping,
    save_mapping,
)
from app.incidents.schemas import IncidentPage, Mapping, MappingList, MappingReply, UploadReply
from app.incidents.service import UploadSource, ingest
from app.incidents.store import PageQuery, page, spans_of
from app.incidents.summary import StoreChoices
from app.incidents.views import HEADER, incidents_csv, incidents_geojson, incidents_parquet
from app.incidents.writes import middle_of
from app.readers.columns.mapping import ColumnMapping
from app.readers.formats import READERS
from app.regions.store import Region, get_region

router = APIRouter(prefix="/v1/regions/{region}", tags=["incidents"], responses=DOCUMENTED)
MappingName = Annotated[str, Path(examples=["portal"])]
MAX_PAGE = 10_000
NEAR_DEG = 2.0
"""A region lies within these degrees of its incidents' middle."""
_BODY = {
    "requestBody": {
        "required": True,
        "content": {name: {"schema": {"type": "string"}} for name in READERS},
    }
}
_NO_MAPPING = ColumnMapping()
_DEFAULT = StoreChoices()


def _mapping(
    columns: Annotated[
        list[LongText] | None,
        Query(max_length=20, description="field=column; A+B joins a date and a time"),
    ] = None,
    crs: Annotated[
        str | None, Query(max_length=64, description="of projected x, y, such as EPSG:26910")
    ] = None,
    time_format: Annotated[
        str | None, Query(max_length=60, description="of times that are not RFC 3339")
    ] = None,
    zone: Annotated[
        str | None,
        Query(
            max_length=100,
            description="of times without an offset (default: the region's); `local`: offsets in "
            "the file are wrong",
        ),
    ] = None,
    part: Annotated[
        str | None, Query(max_length=100, description="sheet, layer or archive member to read")
    ] = None,
    encoding: Annotated[str | None, Query(max_length=100, description="of a text file")] = None,
    header_row: Annotated[
        int | None, Query(ge=1, le=100, description="row of the column names, from 1")
    ] = None,
    feed: Annotated[
        str | None, Query(max_length=100, description="who numbers the incidents")
    ] = None,
    date_only: Annotated[
        Literal["interval"] | None,
        Query(description="`interval`: a date without a time is an interval of that local day"),
    ] = None,
) -> ColumnMapping:
    return ColumnMapping.parse(
        columns or [],
        crs,
        time_format,
        zone=zone,
        part=part,
        encoding=encoding,
        header_row=header_row,
        feed=feed,
        date_only=date_only,
    )


def _choices(
    on_conflict: Annotated[
        Literal["refuse", "replace"],
        Query(description="when an id comes with another time, place and category"),
    ] = "refuse",
    near_duplicates: Annotated[
        Literal["add", "skip", "replace"] | None,
        Query(description="what to do with rows that nearly equal stored incidents"),
    ] = None,
    replace: Annotated[
        Literal["feed"] | None,
        Query(description="`feed`: remove what the feed brought before and this body lacks"),
    ] = None,
    *,
    dry_run: Annotated[bool, Query(description="read and check everything, store nothing")] = False,
) -> StoreChoices:
    return StoreChoices(on_conflict, near_duplicates, replace, dry_run)


@router.post("/incidents", response_model=UploadReply, openapi_extra=_BODY)
@allow(Role.INGESTER, streams=True)
async def upload(
    request: Request,
    state: State,
    region: RegionId,
    content_type: Annotated[str, Header(include_in_schema=False)] = "",
    content_encoding: Annotated[
        str | None, Header(json_schema_extra={"enum": ["gzip", "identity"]})
    ] = None,
    idempotency_key: Annotated[str | None, Header()] = None,
    own: Annotated[ColumnMapping, Depends(_mapping)] = _NO_MAPPING,
    choices: Annotated[StoreChoices, Depends(_choices)] = _DEFAULT,
    mapping: Annotated[
        str | None, Query(max_length=63, description="a stored mapping's name")
    ] = None,
) -> Response:
    """Store all accepted rows of a body in one transaction, or none.

    Rejected rows are listed with row, field, code and message. Sending the same body again adds
    nothing; with an `Idempotency-Key` a retry gets the first answer. Columns of well-known portals
    are recognised; name others by `columns`, `crs` and `time_format`.
    """

    def resolved() -> ColumnMapping:
        with state.engine.connect() as connection:
            return resolve_mapping(connection, region, mapping, own)

    source = UploadSource(
        media_type_of(content_type),
        content_encoding.strip().lower() if content_encoding else None,
        idempotency_key,
        mapping=own if mapping is None else await run_in_threadpool(resolved),
        choices=choices,
    )
    body = BodyStream(request, state.settings)
    work = partial(
        ingest, state.engine, region, body, source, settings=state.settings, gone=body.gone
    )
    summary = await beside_others(state, work)
    return Response(orjson.dumps(summary.to_json()), media_type=JSON)


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
        return localised(parsed, timezone)

    return moment(parts[0]), moment(parts[1])


def _check_order(connection: Connection, region: Region, bbox: Bbox) -> None:
    """Raise if a box was probably given in another order, judged by some of the incidents.

    Raises:
        InvalidInput: see `check_bbox_order`.
    """
    middle = middle_of(connection, region.key)
    if middle is not None:
        longitude, latitude = middle
        near = longitude - NEAR_DEG, latitude - NEAR_DEG, longitude + NEAR_DEG, latitude + NEAR_DEG
        check_bbox_order(bbox, near)


@router.get(
    "/incidents",
    response_class=Response,
    responses={
        200: offered(
            {"geojson": IncidentPage},
            ["csv", "parquet"],
            csv=",".join(HEADER)
            + "\n2024-01-05T23:10:00-05:00,,,-74.06,4.65,theft,a-1,reported,,,\n",
        )
    },
)
@allow(Role.ANALYST)
def list_page(
    request: Request,
    state: State,
    region: RegionId,
    bbox: BboxText = None,
    when: Annotated[str | None, Query(alias="datetime", max_length=130)] = None,
    category: CategoryNames = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    f: Annotated[str, Query(pattern="^(geojson|csv|parquet)$")] = "geojson",
) -> Response:
    """List incidents in order of time; `next` links to the following page."""
    with state.engine.connect() as connection:
        found = get_region(connection, region)
        start, end = _interval(when, found.timezone)
        box = parse_bbox(bbox)
        if box is not None:
            _check_order(connection, found, box)
        spans = None if category is None else spans_of(connection, found, category)
        query = PageQuery(box, start, end, spans, after_cursor(cursor), limit)
        n_filters = sum(asked is not None for asked in (bbox, when, category))
        rows = page(connection, found, query)
    record_listing(state.engine, found, len(rows), n_filters, f)
    following = None
    if len(rows) == limit:
        following = same_with(request, cursor=cursor_of(rows[-1].occurred_at, rows[-1].id))
    headers = {"Link": f'<{following}>; rel="next"'} if following else {}
    if f == "csv":
        content = incidents_csv(rows, found)
    elif f == "parquet":
        content = incidents_parquet(rows, found)
    else:
        content = incidents_geojson(rows, found, following)
    return Response(content, headers=headers, media_type=MEDIA_TYPES[f])


@router.get("/mappings")
@allow(Role.INGESTER, Role.ANALYST)
def show_all(state: State, region: RegionId) -> MappingList:
    """List a region's mappings."""
    with state.engine.connect() as connection:
        return MappingList.model_validate({"mappings": list_mappings(connection, region)})


@router.put("/mappings/{name}")
@allow(Role.INGESTER)
def save(state: State, region: RegionId, name: MappingName, mapping: Mapping) -> MappingReply:
    """Store a mapping; uploads refer to it by `mapping=`."""
    wanted = ColumnMapping(**mapping.model_dump())
    return MappingReply.model_validate(save_mapping(state.engine, region, name, wanted))


@router.delete("/mappings/{name}", status_code=204)
@allow(Role.INGESTER)
def remove(state: State, region: RegionId, name: MappingName) -> Response:
    """Remove a mapping."""
    remove_mapping(state.engine, region, name)
    return Response(status_code=204)
