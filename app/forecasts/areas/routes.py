"""`/v1/regions/{region}/forecasts/areas`: sums by area, of areas that are sent or of a layer."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from app.core.roles import Role
from app.forecasts.areas.documents import areas_geojson, layer_csv, layer_geojson
from app.forecasts.areas.schemas import AreasReply, AreasRequest, LayerAreasReply
from app.forecasts.forecast import Forecast
from app.forecasts.replies.responses import ResponseSpec, reply, single_reply
from app.forecasts.schemas import forecast_replies
from app.forecasts.selectors import Forecasts, PlainSelected
from app.http.content_negotiation import Accept, negotiated
from app.http.json_body import json_body, json_request
from app.http.parameters import RegionId
from app.http.permissions import allow
from app.http.problems import DOCUMENTED

router = APIRouter(
    prefix="/v1/regions/{region}/forecasts", tags=["forecasts"], responses=DOCUMENTED
)


@router.post(
    "/areas",
    response_class=Response,
    responses=forecast_replies({"geojson": AreasReply}, cached=False),
    openapi_extra=json_request(AreasRequest),
)
@allow(Role.READER, large=True)
async def areas(request: Request, forecasts: Forecasts, region: RegionId) -> Response:
    """Sum up the forecast in each given area: probability, density, expected count with interval."""
    asked = await json_body(request, AreasRequest)

    def make() -> Response:
        forecast = forecasts.forecast(region, asked.selector())
        body = areas_geojson(forecast, asked.features(), asked.buffer_m)
        return single_reply(body, forecast.heading(), "geojson")

    return await run_in_threadpool(make)


@router.get(
    "/areas",
    response_class=Response,
    responses=forecast_replies(
        {"geojson": LayerAreasReply},
        ["csv"],
        csv="name,area_km2,share_inside_study_area,probability,density_per_km2,expected_count,"
        "expected_count_lo,expected_count_hi,region,model_version,state,at,window,category,cell_size_m\n"
        "D11,21.3,1,0.041,0.00192,0.181,0,1,toronto,stack-20220101T050000Z-0c4cc6f7d471dba589,7,"
        "2022-01-07T23:00:00-05:00,119,,250\n",
    ),
)
@allow(Role.READER)
async def layer_areas(
    request: Request,
    forecasts: Forecasts,
    region: RegionId,
    selector: PlainSelected,
    layer: Annotated[str, Query(max_length=63, description="neighbourhoods, or a stored layer")],
    geometry: Annotated[bool, Query(description="include the outlines of the areas")] = True,
    f: Annotated[
        Literal["geojson", "csv"] | None, Query(description="format; without it, `Accept` decides")
    ] = None,
    accept: Accept = None,
) -> Response:
    """Sum up the forecast in each area of a layer of the region."""
    fmt = negotiated(f, accept, ("geojson", "csv"))

    def make(forecast: Forecast) -> bytes:
        if fmt == "csv":
            return layer_csv(forecast, forecasts.layers, layer)
        return layer_geojson(forecast, forecasts.layers, layer, geometry=geometry)

    spec = ResponseSpec(("areas", geometry), fmt, make, f"{region}-{layer}")
    return await reply(request, forecasts, region, replace(selector, summed_by=layer), spec)
