"""`/v1/regions/{region}/tiles`: forecast raster tiles for any map client."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import quote, urlencode

import orjson
from fastapi import APIRouter, Path, Request, Response
from fastapi.concurrency import run_in_threadpool

from app.core.errors import InvalidInput
from app.core.roles import Role
from app.forecasts.forecast import Forecast
from app.forecasts.plan import Selector
from app.forecasts.rendering.tiles import check_tile, tile_json, tile_png
from app.forecasts.replies.responses import ResponseSpec, reply, single_reply
from app.forecasts.schemas import TileJson, forecast_replies
from app.forecasts.selectors import Forecasts, Selected
from app.http.links import base_of
from app.http.parameters import RegionId
from app.http.permissions import allow
from app.http.problems import DOCUMENTED

router = APIRouter(prefix="/v1/regions/{region}/tiles", tags=["tiles"], responses=DOCUMENTED)


def _with_time(selector: Selector) -> Selector:
    """Select the present hour for map clients that send no time."""
    times = (selector.at, selector.window, selector.shift, selector.start, selector.end)
    if any(time is not None for time in times):
        return selector
    return replace(selector, at=datetime.now(UTC).replace(minute=0, second=0, microsecond=0))


@router.get(
    "/tilejson.json",
    response_class=Response,
    responses=forecast_replies({"json": TileJson}, cached=False),
)
@allow(Role.READER)
async def describe(
    request: Request, forecasts: Forecasts, region: RegionId, selector: Selected
) -> Response:
    """Describe the tiles (TileJSON): where they are, what they cover, what their colours mean.

    Their URL pins the hour, the model version and its state, so that a map never mixes two.
    """
    if selector.grid != "square":
        raise InvalidInput("tiles need grid=square", field="grid")
    plan = await run_in_threadpool(forecasts.plan, region, _with_time(selector))
    forecast = await run_in_threadpool(forecasts.forecast_of, plan)
    body = tile_json(forecast, _template(request, region, forecast))
    answer = single_reply(orjson.dumps(body), forecast.heading(), "json")
    answer.headers["Cache-Control"] = "no-cache"
    return answer


def _template(request: Request, region: str, forecast: Forecast) -> str:
    selector = forecast.selector
    span = {"at": forecast.at.isoformat()}
    if forecast.plan.n_slots > 1:
        span = {"from": forecast.at.isoformat(), "to": forecast.until.isoformat()}
    query = {
        **span,
        "model": forecast.version.record.version,
        "state": forecast.version.state_id,
        "category": selector.categories or None,
        "cell_size_m": selector.cell_size_m,
        "bbox": selector.bbox and ",".join(map(repr, selector.bbox)),
    }
    known = {name: value for name, value in query.items() if value is not None}
    given = urlencode(known, doseq=True)
    return f"{base_of(request)}/v1/regions/{quote(region, safe='')}/tiles/{{z}}/{{x}}/{{y}}.png?{given}"


@router.get(
    "/{z}/{x}/{y}.png",
    response_class=Response,
    responses=forecast_replies({}, ["png"]),
)
@allow(Role.READER)
async def tile(
    request: Request,
    forecasts: Forecasts,
    region: RegionId,
    z: Annotated[int, Path(examples=[12])],
    x: Annotated[int, Path(examples=[1144])],
    y: Annotated[int, Path(examples=[1495])],
    selector: Selected,
) -> Response:
    """Draw one tile of 256 pixels (Web Mercator, XYZ); without a time, of the present hour."""
    spec = ResponseSpec(
        ("tile", z, x, y),
        "png",
        lambda forecast: tile_png(forecast, z, x, y),
        check=lambda _plan: check_tile(z, x, y),
    )
    return await reply(request, forecasts, region, _with_time(selector), spec)
