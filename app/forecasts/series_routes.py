"""`/v1/regions/{region}/forecasts`: series, areas, outcomes, score."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, FailFast, Field

from app.core.roles import Role
from app.forecasts.areas import areas_geojson
from app.forecasts.outcomes import outcomes_geojson
from app.forecasts.responses import Maker, reply, single_reply
from app.forecasts.scores import MAX_SCORED, PlacedIncident, score_heading, score_incidents
from app.forecasts.selectors import PlainSelected, Selected
from app.forecasts.series import check_series, series_csv, series_json
from app.forecasts.service import Forecast, Plan, Selector
from app.forecasts.state import Forecasts
from app.http.content_negotiation import Accept, negotiated
from app.http.json_body import json_body, json_request
from app.http.permissions import allow
from app.http.reply_schemas import forecast_replies
from app.http.times import Moment

router = APIRouter(prefix="/v1/regions/{region}/forecasts", tags=["forecasts"])
SERIES = ("json", "csv")


@router.get("/series", response_class=Response, responses=forecast_replies("SeriesReply", SERIES))
@allow(Role.READER)
async def series(
    request: Request,
    forecasts: Forecasts,
    region: str,
    selector: Selected,
    cells: Annotated[bool, Query(description="each cell's expected count, slot by slot")] = False,
    f: Annotated[
        Literal["json", "csv"] | None, Query(description="format; otherwise `Accept` tells")
    ] = None,
    accept: Accept = None,
) -> Response:
    """Hour by hour: expected incidents with interval, of a range of up to a week."""
    fmt = negotiated(f, accept, SERIES)

    def check(plan: Plan) -> None:
        if cells:
            check_series(forecasts, plan)

    def make(forecast: Forecast) -> bytes:
        if fmt == "csv":
            return series_csv(forecasts, forecast)
        return series_json(forecasts, forecast, cells)

    maker = Maker(("series", cells), fmt, make, f"{region}-series", check)
    return await reply(request, forecasts, region, selector, maker)


class AreasRequest(BaseModel):
    """Areas of one's own, and which forecast."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        populate_by_name=True,
        json_schema_extra={
            "examples": [
                {
                    "at": "2026-01-10T23:00",
                    "areas": {
                        "type": "FeatureCollection",
                        "features": [
                            {
                                "type": "Feature",
                                "properties": {"name": "King Street, Bay to Yonge"},
                                "geometry": {
                                    "type": "LineString",
                                    "coordinates": [[-79.3807, 43.6487], [-79.3778, 43.6493]],
                                },
                            }
                        ],
                    },
                    "buffer_m": 40,
                }
            ]
        },
    )

    areas: Annotated[
        dict[str, Any],
        Field(description="GeoJSON FeatureCollection of polygons, lines or points, WGS 84"),
    ]
    buffer_m: Annotated[
        float, Field(gt=0, le=5000, allow_inf_nan=False, description="of lines and points")
    ] = 50.0
    at: Moment | None = None
    window: Annotated[int | None, Field(ge=0, le=167)] = None
    start: Annotated[Moment | None, Field(alias="from")] = None
    end: Annotated[Moment | None, Field(alias="to")] = None
    category: Annotated[str | None, Field(max_length=200)] = None
    model: Annotated[str | None, Field(max_length=200)] = None
    as_of: Moment | None = None

    def selector(self) -> Selector:
        """Which forecast."""
        return Selector(
            at=self.at,
            window=self.window,
            start=self.start,
            end=self.end,
            category=self.category,
            model=self.model,
            as_of=self.as_of,
        )

    def features(self) -> list[Any]:
        """GeoJSON features; empty when there is none."""
        if self.areas.get("type") == "Feature":
            return [self.areas]
        found = self.areas.get("features")
        return found if isinstance(found, list) else []


@router.post(
    "/areas",
    response_class=Response,
    responses=forecast_replies("AreasReply", ("geojson",), cached=False),
    openapi_extra=json_request(AreasRequest),
)
@allow(Role.READER, large=True)
async def areas(request: Request, forecasts: Forecasts, region: str) -> Response:
    """Probability, density and expected count with interval of each given area."""
    asked = await json_body(request, AreasRequest)

    def make() -> Response:
        forecast = forecasts.forecast(region, asked.selector())
        body = areas_geojson(forecast, asked.features(), asked.buffer_m)
        return single_reply(body, forecast.heading(), "geojson")

    return await run_in_threadpool(make)


@router.get(
    "/outcomes",
    response_class=Response,
    responses=forecast_replies("OutcomesReply", ("geojson",), cached=False),
)
@allow(Role.ANALYST)
def outcomes(
    forecasts: Forecasts,
    region: str,
    selector: PlainSelected,
    top: Annotated[float, Query(gt=0, le=100, allow_inf_nan=False)] = 5.0,
) -> Response:
    """What was forecast for past hours against what happened: hits and misses by cell.

    Without `from` and `to` the last seven days of data are taken. Unless `as_of` says otherwise the
    version is one that had seen nothing of these hours, if there is one (`in_sample` tells).
    """
    body, head = outcomes_geojson(forecasts, region, selector, top)
    return single_reply(body, head, "geojson")


class ScoredIncident(BaseModel):
    """One incident to score."""

    model_config = ConfigDict(extra="ignore", strict=True)

    occurred_at: Moment
    longitude: Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)]
    latitude: Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)]
    category: Annotated[str | None, Field(max_length=200)] = None


class ScoreRequest(BaseModel):
    """Incidents to score by a model; `as_of` takes one that knew only what came before."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [
                {
                    "incidents": [
                        {
                            "occurred_at": "2021-12-31T23:10:00-05:00",
                            "longitude": -79.38,
                            "latitude": 43.65,
                        }
                    ]
                }
            ]
        },
    )

    # The first fault ends it: those of a hundred thousand incidents would take gigabytes.
    incidents: Annotated[
        list[ScoredIncident], FailFast(), Field(min_length=1, max_length=MAX_SCORED)
    ]
    model: Annotated[str | None, Field(max_length=200)] = None
    as_of: Moment | None = None


@router.post(
    "/score",
    response_class=Response,
    responses=forecast_replies("ScoreReply", ("json",), cached=False),
    openapi_extra=json_request(ScoreRequest, ("application/json",)),
)
@allow(Role.READER, large=True)
async def score(request: Request, forecasts: Forecasts, region: str) -> Response:
    """How likely each incident's place was in its slot: log density, percentile, cell.

    A low percentile marks a place where the forecast expects little: a geocoding error, or a series
    that has moved.
    """
    asked = await json_body(request, ScoreRequest, ("application/json",))

    def make() -> Response:
        version = forecasts.version_of(region, asked.model, asked.as_of)
        placed = [
            PlacedIncident(i.occurred_at, i.longitude, i.latitude, i.category)
            for i in asked.incidents
        ]
        head = score_heading(version, placed)
        scores = score_incidents(forecasts, version, placed)
        return single_reply(orjson.dumps({**head, "scores": scores}), head, "json")

    return await run_in_threadpool(make)
