"""`PATCH` and `DELETE /v1/regions/{region}`: correct a region, or remove it."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from typing import Annotated, Any

import anyio.from_thread
import orjson
from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from app.core.errors import InvalidInput
from app.core.media_types import JSON
from app.core.roles import Role
from app.erasure.routes import forget_erased
from app.forecasts.selectors import Forecasts
from app.http.app_state import ApiState, State
from app.http.json_body import check_json_type, json_request, parsed
from app.http.parameters import RegionId
from app.http.permissions import allow
from app.http.problems import DOCUMENTED
from app.readers.blocks import ReadOptions
from app.readers.files.documents import Outline
from app.readers.isolated import SMALL_BYTES, reading_limits
from app.region_edits.removal import remove_region
from app.region_edits.schemas import ChangedRegion, RegionChanges, RegionRemoval
from app.region_edits.service import EditedRegion, RegionEdit, edit_region
from app.regions.service import read_boundary, read_region
from app.regions.shifts import Shift, shifts_json
from app.regions.store import get_region

router = APIRouter(prefix="/v1/regions", tags=["regions"], responses=DOCUMENTED)
_NULLABLE = ("boundary", "crs", "shifts")


@router.patch(
    "/{region}",
    response_model=ChangedRegion,
    openapi_extra=json_request(RegionChanges, (JSON,)),
)
@allow(Role.ADMIN, large=True)
async def change(
    request: Request, state: State, forecasts: Forecasts, region: RegionId
) -> Response:
    """Correct name, time zone, boundary, cell size, CRS or shifts; what depends on them is made anew.

    After another time zone, boundary or CRS, former versions serve no longer and a training is queued.
    """
    check_json_type(request)
    content = await request.body()

    def gone() -> bool:
        return anyio.from_thread.run(request.is_disconnected)

    edited = await run_in_threadpool(_changed, state, region, content, gone)
    forecasts.forget_region(region)
    forecasts.forget_kinds(region)
    return Response(edited, media_type=JSON)


def _changed(state: ApiState, region_id: str, content: bytes, gone: Callable[[], bool]) -> bytes:
    with state.engine.connect() as connection:
        region = get_region(connection, region_id)
    limits = reading_limits(state.settings, gone)
    changes, outline = _asked(content, (region.cell_size_m, region.timezone), limits)
    sent = changes.model_fields_set
    nulls = {name for name in sent if getattr(changes, name) is None}
    if wrong := sorted(nulls - set(_NULLABLE)):
        raise InvalidInput(f"{wrong[0]} must not be null", field=wrong[0])
    values = {n: getattr(changes, n) for n in ("name", "timezone", "cell_size_m", "crs")}
    shifts = {
        name: Shift.of(times.start, times.end, f"shifts.{name}")
        for name, times in (changes.shifts or {}).items()
    }
    edit = RegionEdit(**values, outline=outline, clear=frozenset(nulls), shifts=shifts)
    return reply_of(edit_region(state.engine, region_id, edit))


def reply_of(edited: EditedRegion) -> bytes:
    """Return a correction's result as JSON."""
    shown = {**vars(edited.region), **{k: v for k, v in vars(edited).items() if k != "region"}}
    shown["shifts"] = shifts_json(edited.region.settings)
    return ChangedRegion.model_validate(shown).model_dump_json().encode()


def _asked(
    content: bytes, defaults: tuple[float, str], limits: ReadOptions
) -> tuple[RegionChanges, Outline | None]:
    """Parse the request; a boundary, and any large body, is parsed in a separate process."""
    if len(content) <= SMALL_BYTES:
        changes = parsed(RegionChanges, content)
        if changes.boundary is None:
            return changes, None
        boundary = json.dumps(changes.boundary).encode()
        cell_size_m, timezone = changes.cell_size_m or defaults[0], changes.timezone or defaults[1]
        return changes, read_boundary([boundary], cell_size_m, timezone, limits)
    parts = read_region([content], limits)
    with closing(parts):
        members: dict[str, Any] = next(parts)
        changes = parsed(RegionChanges, orjson.dumps(members))
        return changes, None if changes.boundary is None else next(parts)


@router.delete("/{region}")
@allow(Role.ADMIN)
def remove(
    state: State,
    forecasts: Forecasts,
    region: RegionId,
    confirm: Annotated[
        str | None, Query(max_length=63, description="the region's id, typed again")
    ] = None,
) -> RegionRemoval:
    """Remove a region with its incidents, models and grants; its audit entries stay."""
    removed = remove_region(state.engine, region, confirm)
    forget_erased(state, forecasts, region)
    return RegionRemoval.model_validate(removed)
