"""`/v1/regions`: create, list and show regions."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from typing import Any

import anyio.from_thread
import orjson
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from app.core.media_types import JSON
from app.core.roles import Role
from app.http.app_state import ApiState, CallerOf, State
from app.http.json_body import check_json_type, json_request, parsed
from app.http.parameters import RegionId
from app.http.permissions import allow
from app.http.problems import DOCUMENTED
from app.http.schemas import links
from app.incidents.releases import released_view
from app.readers.blocks import ReadOptions
from app.readers.files.documents import Outline
from app.readers.isolated import SMALL_BYTES, reading_limits
from app.regions.category_store import region_summary
from app.regions.layer_store import list_layers
from app.regions.places import place_warnings
from app.regions.schemas import CreatedRegion, ListedRegion, NewRegion, RegionList, RegionReply
from app.regions.service import add_region, read_boundary, read_region
from app.regions.shifts import shifts_json
from app.regions.store import get_region, list_regions, outlined
from app.registry.visibility import served, served_of_all

router = APIRouter(prefix="/v1/regions", tags=["regions"], responses=DOCUMENTED)
_ID = {"region": "$response.body#/id"}


@router.post(
    "",
    status_code=201,
    response_model=CreatedRegion,
    openapi_extra=json_request(NewRegion, (JSON,)),
    responses={
        201: {
            "links": links(
                _ID,
                "show_v1_regions__region__get",
                "upload_v1_regions__region__incidents_post",
                "start_v1_regions__region__training_runs_post",
            )
        }
    },
)
@allow(Role.ADMIN, large=True)
async def create(request: Request, state: State) -> Response:
    """Create a region; without a boundary, one is derived at the first training."""
    check_json_type(request)
    content = await request.body()

    def gone() -> bool:
        return anyio.from_thread.run(request.is_disconnected)

    created = await run_in_threadpool(_created, state, content, gone)
    return Response(created, 201, media_type=JSON)


def _created(state: ApiState, content: bytes, gone: Callable[[], bool]) -> bytes:
    new, outline = _asked(content, reading_limits(state.settings, gone))
    region = add_region(
        state.engine,
        new.id,
        timezone=new.timezone,
        name=new.name,
        outline=outline,
        cell_size_m=new.cell_size_m,
        limit=state.settings.max_regions,
    )
    warnings = place_warnings(outline.boundary, region.timezone)
    shown = {**vars(region), "boundary": outline.boundary, "warnings": warnings}
    return CreatedRegion.model_validate(shown).model_dump_json().encode()


def _asked(content: bytes, limits: ReadOptions) -> tuple[NewRegion, Outline]:
    """Parse the request; a boundary, and any large body, is parsed in a separate process."""
    if len(content) <= SMALL_BYTES:
        new = parsed(NewRegion, content)
        if new.boundary is None:
            return new, Outline()
        content = json.dumps(new.boundary).encode()  # numbers of any length, which orjson refuses
        return new, read_boundary([content], new.cell_size_m, new.timezone, limits)
    parts = read_region([content], limits)
    with closing(parts):
        new = parsed(NewRegion, orjson.dumps(next(parts)))
        return new, next(parts)


@router.get(
    "",
    responses={
        200: {
            "links": links(
                {"region": "$response.body#/regions/0/id"}, "show_v1_regions__region__get"
            )
        }
    },
)
@allow(Role.READER, Role.INGESTER, confined=True)
def list_all(state: State, caller: CallerOf) -> RegionList:
    """List all regions that the caller may see."""
    with state.engine.connect() as connection:
        champions = served_of_all(connection)
        regions = [
            ListedRegion.model_validate({**vars(r), "champion": champions.get(r.key)})
            for r in list_regions(connection)
            if caller.sees(r.id)
        ]
    return RegionList(regions=regions)


@router.get(
    "/{region}",
    response_model=RegionReply,
    responses={
        200: {
            "links": links(
                _ID,
                "density_v1_regions__region__forecasts_density_get",
                "hotspots_v1_regions__region__forecasts_hotspots_get",
                "samples_v1_regions__region__forecasts_samples_get",
                "series_v1_regions__region__forecasts_series_get",
                "models_v1_regions__region__models_get",
                "list_page_v1_regions__region__incidents_get",
                "describe_v1_regions__region__tiles_tilejson_json_get",
            )
        }
    },
)
@allow(Role.READER, Role.INGESTER)
def show(state: State, caller: CallerOf, region: RegionId) -> Response:
    """Show a region: what it holds, its champion, boundary, neighbourhoods, layers."""
    with state.engine.begin() as connection:
        found = outlined(connection, get_region(connection, region))
        if caller.lists_incidents:
            summary = region_summary(connection, found)
            holds: dict[str, Any] = {**vars(summary), "incidents": summary.n_incidents}
        else:
            holds = released_view(connection, found)
        shown = {
            **vars(found),
            **holds,
            "champion": served(connection, found.key),
            "shifts": shifts_json(found.settings),
            "layers": list_layers(connection, found),
        }
    # Serialised here, in the route's thread: boundaries may be megabytes.
    return Response(RegionReply.model_validate(shown).model_dump_json(), media_type=JSON)
