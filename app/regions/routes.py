"""`/v1/regions`: create, list, show."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from typing import Annotated, Any

import anyio.from_thread
import orjson
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from app.core.roles import Role
from app.http.app_state import ApiState, CallerOf, State
from app.http.json_body import check_json_type, json_request, parsed
from app.http.permissions import allow
from app.incidents.releases import released_view
from app.readers.delimited import ReadOptions
from app.readers.isolated import SMALL_BYTES, reading_limits
from app.readers.outlines import Outline
from app.regions.service import DEFAULT_CELL_SIZE_M, add_region, read_boundary, read_region
from app.regions.store import Region, get_region, list_regions, outlined, region_summary
from app.registry.visibility import served

router = APIRouter(prefix="/v1/regions", tags=["regions"])


class NewRegion(BaseModel):
    """A study area with its time zone."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [
                {
                    "id": "bogota",
                    "name": "Bogotá",
                    "timezone": "America/Bogota",
                    "boundary": None,
                    "cell_size_m": 250,
                }
            ]
        },
    )

    id: Annotated[str, Field(max_length=63, description="1-63 of a-z, 0-9, '-', '_'")]
    name: Annotated[str | None, Field(max_length=200)] = None
    timezone: Annotated[str, Field(max_length=64, description="IANA name")]
    boundary: Annotated[
        dict[str, Any] | None,
        Field(description="GeoJSON Polygon, MultiPolygon or FeatureCollection, WGS 84"),
    ] = None
    cell_size_m: Annotated[float, Field(allow_inf_nan=False)] = DEFAULT_CELL_SIZE_M


def region_json(region: Region) -> dict[str, Any]:
    """A region as the API shows it."""
    return {
        "id": region.id,
        "name": region.name,
        "timezone": region.timezone,
        "crs": region.crs,
        "cell_size_m": region.cell_size_m,
        "boundary_derived": region.boundary_derived,
        "created_at": region.created_at.isoformat(),
    }


def _holds(connection: Connection, region: Region) -> dict[str, Any]:
    """A region's incidents, to the second and the last one."""
    summary = region_summary(connection, region)
    return {
        "incidents": summary.n_incidents,
        "first_at": summary.first_at.isoformat() if summary.first_at else None,
        "last_at": summary.last_at.isoformat() if summary.last_at else None,
        "categories": summary.categories,
    }


@router.post("", status_code=201, openapi_extra=json_request(NewRegion, ("application/json",)))
@allow(Role.ADMIN, large=True)
async def create(request: Request, state: State) -> Response:
    """Create a region; without a boundary it is derived at the first training."""
    check_json_type(request)
    content = await request.body()

    def gone() -> bool:
        return anyio.from_thread.run(request.is_disconnected)

    made = await run_in_threadpool(_created, state, content, gone)
    return Response(orjson.dumps(made), 201, media_type="application/json")


def _created(state: ApiState, content: bytes, gone: Callable[[], bool]) -> dict[str, Any]:
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
    return {**region_json(region), "boundary": outline.boundary}


def _asked(content: bytes, limits: ReadOptions) -> tuple[NewRegion, Outline]:
    """What is asked for; a boundary, and any large body, is parsed by a process of its own."""
    if len(content) <= SMALL_BYTES:
        new = parsed(NewRegion, content)
        if new.boundary is None:
            return new, Outline()
        content = json.dumps(new.boundary).encode()  # numbers of any length, which orjson refuses
        return new, read_boundary([content], new.cell_size_m, limits)
    parts = read_region([content], limits)
    with closing(parts):
        new = parsed(NewRegion, orjson.dumps(next(parts)))
        return new, next(parts)


@router.get("")
@allow(Role.READER, Role.INGESTER, confined=True)
def list_all(state: State, caller: CallerOf) -> dict[str, Any]:
    """All regions that the caller may see."""
    with state.engine.connect() as connection:
        regions = [r for r in list_regions(connection) if caller.sees(r.id)]
        champions = {r.key: served(connection, r.key) for r in regions}
    return {"regions": [{**region_json(r), "champion": champions[r.key]} for r in regions]}


@router.get("/{region}")
@allow(Role.READER, Role.INGESTER)
def show(state: State, caller: CallerOf, region: str) -> Response:
    """One region: what it holds, its champion, its boundary and neighbourhoods."""
    with state.engine.begin() as connection:
        found = outlined(connection, get_region(connection, region))
        exact = caller.lists_incidents
        holds = _holds(connection, found) if exact else released_view(connection, found)
        champion = served(connection, found.key)
    told = {
        **region_json(found),
        **holds,
        "champion": champion,
        "boundary": found.boundary,
        "neighbourhoods": found.neighbourhoods,
    }
    # Made here: FastAPI would go through each of its numbers on the event loop.
    return Response(orjson.dumps(told), media_type="application/json")
