"""`/v1/regions/{region}/register`: forecasts filed before their day, scored after it."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request, Response

from app.core.media_types import JSON, MEDIA_TYPES
from app.core.roles import Role
from app.forecasts.selectors import Forecasts
from app.http.app_state import CallerOf, State
from app.http.cursors import after_cursor, cursor_of
from app.http.links import same_with
from app.http.parameters import RegionId
from app.http.permissions import allow
from app.http.problems import DOCUMENTED
from app.http.schemas import offered
from app.register.documents import HEADER, entry_in_full, register_csv, register_ndjson
from app.register.schemas import (
    NewRegisterEntry,
    RegisterEntry,
    RegisterEntryInFull,
    RegisterPage,
    page_json,
)
from app.register.service import file_next, get_entry, list_entries

router = APIRouter(
    prefix="/v1/regions/{region}/register", tags=["operations"], responses=DOCUMENTED
)
MAX_PAGE = 1_000


@router.post("", status_code=201, response_model=RegisterEntry)
@allow(Role.TRAINER)
def file(
    state: State,
    forecasts: Forecasts,
    caller: CallerOf,
    region: RegionId,
    new: NewRegisterEntry | None = None,
) -> RegisterEntry:
    """File the champion's forecast of the region's next day; refused once the day has begun or has one.

    The worker does so by itself every evening. The entry's digest and hour are in the audit log.
    """
    filed = file_next(forecasts, region, None if new is None else new.date())
    _, shown, _ = get_entry(state.engine, region, filed.id, exact=caller.lists_incidents)
    return RegisterEntry.model_validate(shown)


@router.get(
    "",
    response_class=Response,
    responses={
        200: offered(
            {"json": RegisterPage, "ndjson": RegisterEntry}, ["csv"], csv=",".join(HEADER) + "\n"
        )
    },
)
@allow(Role.READER)
def list_filed(
    request: Request,
    state: State,
    caller: CallerOf,
    region: RegionId,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    f: Literal["json", "csv", "ndjson"] = "json",
) -> Response:
    """List what was filed, the newest first, with its scores and the record in sum.

    Single days' scores are for callers who may list incidents; others see the record of whole weeks.
    """
    exact = caller.lists_incidents
    page = list_entries(state.engine, region, limit, after_cursor(cursor), exact=exact)
    following = None
    if len(page.entries) == limit:
        last = page.entries[-1]
        name = cursor_of(page.starts[-1], last["id"])
        following = same_with(request, cursor=name)
    headers = {"Link": f'<{following}>; rel="next"'} if following else {}
    if f == "csv":
        content = register_csv(page.entries)
    elif f == "ndjson":
        content = register_ndjson(page.entries)
    else:
        found = RegisterPage.model_validate(page_json(page, following))
        content = found.model_dump_json(by_alias=True).encode()
    kind = JSON if f == "json" else MEDIA_TYPES[f]
    return Response(content, headers=headers, media_type=kind)


@router.get("/{entry}")
@allow(Role.READER)
def show(
    state: State,
    caller: CallerOf,
    region: RegionId,
    entry: Annotated[int, Path(ge=1, lt=2**63, examples=[412])],
) -> RegisterEntryInFull:
    """Show an entry with its hours and lists, and the bytes that its digest covers.

    Last year's list and counts are for callers who may list incidents.
    """
    exact = caller.lists_incidents
    _, shown, parts = get_entry(state.engine, region, entry, exact=exact)
    return RegisterEntryInFull.model_validate(entry_in_full(shown, parts))
