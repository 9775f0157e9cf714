"""`/v1/regions/{region}/forecasts`: series, outcomes, score."""

from __future__ import annotations

from typing import Annotated, Literal

import orjson
from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from app.core.errors import InvalidInput
from app.core.media_types import JSON
from app.core.roles import Role
from app.forecasts.forecast import Forecast
from app.forecasts.outcomes import outcomes_geojson
from app.forecasts.plan import Plan
from app.forecasts.replies.responses import ResponseSpec, reply, single_reply
from app.forecasts.replies.serialisers import check_no_cells, check_series, series_csv, series_json
from app.forecasts.schemas import (
    OutcomesReply,
    ScoreReply,
    ScoreRequest,
    SeriesReply,
    forecast_replies,
)
from app.forecasts.scores import score_heading, score_incidents
from app.forecasts.selectors import Forecasts, PlainSelected, Selected
from app.http.content_negotiation import Accept, negotiated
from app.http.json_body import json_body, json_request
from app.http.parameters import RegionId
from app.http.permissions import allow
from app.http.problems import DOCUMENTED

router = APIRouter(
    prefix="/v1/regions/{region}/forecasts", tags=["forecasts"], responses=DOCUMENTED
)
SERIES = ("json", "csv")


@router.get(
    "/series",
    response_class=Response,
    responses=forecast_replies(
        {"json": SeriesReply},
        ["csv"],
        csv="at,window,expected_total,expected_total_lo,expected_total_hi\n"
        '"2022-01-07T18:00:00-05:00",114,4.37034,2,8\n',
    ),
)
@allow(Role.READER)
async def series(
    request: Request,
    forecasts: Forecasts,
    region: RegionId,
    selector: Selected,
    cells: Annotated[bool, Query(description="each cell's expected count, slot by slot")] = False,
    f: Annotated[
        Literal["json", "csv"] | None, Query(description="format; without it, `Accept` decides")
    ] = None,
    accept: Accept = None,
) -> Response:
    """Forecast a range of up to a week hour by hour: expected incidents with interval."""
    fmt = negotiated(f, accept, SERIES)
    if cells and fmt == "csv":
        raise InvalidInput("cells needs f=json; CSV has one line per hour", field="cells")

    def check(plan: Plan) -> None:
        if cells:
            check_series(forecasts, plan)
        else:
            check_no_cells(selector)

    def make(forecast: Forecast) -> bytes:
        if fmt == "csv":
            return series_csv(forecasts, forecast)
        return series_json(forecasts, forecast, cells)

    spec = ResponseSpec(("series", cells), fmt, make, f"{region}-series", check)
    return await reply(request, forecasts, region, selector, spec)


@router.get(
    "/outcomes",
    response_class=Response,
    responses=forecast_replies({"geojson": OutcomesReply}, cached=False),
)
@allow(Role.ANALYST)
def outcomes(
    forecasts: Forecasts,
    region: RegionId,
    selector: PlainSelected,
    top: Annotated[float, Query(gt=0, le=100, allow_inf_nan=False)] = 5.0,
) -> Response:
    """Compare what was forecast for past hours with what happened: hits and misses by cell.

    Without `from` and `to`, and without a shift, it takes the last seven days of data; of a shift without
    a date, the last that ended within the data. Unless `as_of` says otherwise it
    takes a version that had seen nothing of these hours, if there is one (see `in_sample`).
    """
    body, head = outcomes_geojson(forecasts, region, selector, top)
    return single_reply(body, head, "geojson")


@router.post(
    "/score",
    response_class=Response,
    responses=forecast_replies({"json": ScoreReply}, cached=False),
    openapi_extra=json_request(ScoreRequest, (JSON,)),
)
@allow(Role.READER, large=True)
async def score(request: Request, forecasts: Forecasts, region: RegionId) -> Response:
    """Score how likely each incident's place was in its slot: log density, percentile, cell.

    A low percentile marks a place where the forecast expects little: a geocoding error, or a series
    that has moved. An incident known to lie between `occurred_from` and `occurred_to` is scored by the
    probability of its place over all hours of that interval.
    """
    asked = await json_body(request, ScoreRequest, (JSON,))

    def make() -> Response:
        version = forecasts.versions.read(region, asked.model, asked.as_of)
        placed = [incident.placed() for incident in asked.incidents]
        head = score_heading(version, placed)
        scores = score_incidents(forecasts, version, placed)
        return single_reply(orjson.dumps({**head, "scores": scores}), head, "json")

    return await run_in_threadpool(make)
