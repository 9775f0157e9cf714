"""`/v1/regions/{region}/forecasts/zones`: where to send cars."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel

from app.core.media_types import JSON
from app.core.processes.priority import long_work
from app.core.roles import Role
from app.forecasts.forecast import Forecast
from app.forecasts.plan import Selector
from app.forecasts.rendering.files import collection_parquet
from app.forecasts.replies.responses import ResponseSpec, reply, single_reply
from app.forecasts.routes import FORMAT, LABELS, LABELS_EXAMPLE, InArea, Weight, area_of
from app.forecasts.schemas import forecast_replies
from app.forecasts.selectors import Forecasts, Selected
from app.forecasts.service import ForecastService
from app.forecasts.zones.briefing import zones_pdf
from app.forecasts.zones.documents import zones_csv, zones_geojson, zones_gpkg, zones_gpx
from app.forecasts.zones.plan import ZonePlan, zone_plan
from app.forecasts.zones.schemas import ZonesReply, ZonesRequest
from app.forecasts.zones.selection import (
    DEFAULT_COMPACTNESS,
    DEFAULT_KM2,
    DEFAULT_ZONES,
    MAX_SEPARATION_M,
    MAX_ZONES,
    ZoneOptions,
)
from app.http.content_negotiation import Accept, negotiated
from app.http.json_body import json_body, json_request
from app.http.parameters import RegionId, ShortText
from app.http.permissions import allow
from app.http.problems import DOCUMENTED

router = APIRouter(
    prefix="/v1/regions/{region}/forecasts", tags=["forecasts"], responses=DOCUMENTED
)
FORMATS: dict[str, Callable[[ZonePlan], bytes]] = {
    "geojson": zones_geojson,
    "csv": zones_csv,
    "parquet": lambda plan: collection_parquet(zones_geojson(plan)),
    "gpx": zones_gpx,
    "gpkg": zones_gpkg,
    "pdf": zones_pdf,
}
MAX_AVOID_QUERY = 100
Within = Annotated[
    str | None, Query(max_length=63, description="a layer: each zone stays in one of its areas")
]
ZoneFormat = Annotated[Literal["geojson", "csv", "parquet", "gpx", "gpkg", "pdf"] | None, FORMAT]


async def _zone_options(
    n: Annotated[int, Query(ge=1, le=MAX_ZONES, description="zones at most")] = DEFAULT_ZONES,
    max_km2: Annotated[
        float, Query(gt=0, allow_inf_nan=False, description="area of all zones together")
    ] = DEFAULT_KM2,
    compactness: Annotated[
        float,
        Query(
            ge=0,
            le=1,
            allow_inf_nan=False,
            description="of each zone: the fewest sides that enclose as many cells, divided by its own; "
            "0 allows any connected cells",
        ),
    ] = DEFAULT_COMPACTNESS,
    min_separation_m: Annotated[
        float | None,
        Query(
            gt=0,
            le=MAX_SEPARATION_M,
            allow_inf_nan=False,
            description="between the centres of cells of two zones; without it they share no side",
        ),
    ] = None,
    avoid: Annotated[
        list[ShortText] | None,
        Query(
            max_length=MAX_AVOID_QUERY,
            description="no zone here: the id of a cell, or layer:area, such as beats:D11; repeated",
        ),
    ] = None,
    record: Annotated[
        bool,
        Query(
            description="say what such plans caught before (latest backtest); takes seconds at first"
        ),
    ] = False,
    lang: Annotated[Literal["en", "es"], Query(description="of the briefing (f=pdf)")] = "en",
    paper: Annotated[Literal["a4", "letter"], Query(description="of the briefing (f=pdf)")] = "a4",
) -> ZoneOptions:
    places = tuple(avoid or ())
    return ZoneOptions(
        n, max_km2, compactness, min_separation_m, places, record=record, lang=lang, paper=paper
    )


Options = Annotated[ZoneOptions, Depends(_zone_options)]
_REPLIES: dict[str, type[BaseModel]] = {"geojson": ZonesReply}
_OTHERS = ("csv", "parquet", "gpx", "gpkg", "pdf")
_CSV = (
    "rank,place,neighbourhood,longitude,latitude,n_cells,area_km2,compactness,share_of_incidents,"
    f"probability,expected_count,expected_count_lo,expected_count_hi,hours,cells,{LABELS},warnings\n"
    "1,Yonge Street / Gerrard Street,Church-Yonge Corridor,-79.38009,43.655401,2,0.125,1,0.0087,"
    "0.0087,0.0384,0,0,0.0384,5935 5936,"
    f"{LABELS_EXAMPLE},\n"
)


@dataclass(frozen=True)
class Asked:
    """What a request for zones asks of which forecast, and the format of the reply."""

    selector: Selector
    options: ZoneOptions
    fmt: str

    def confined(self) -> Asked:
        """Return it with the layers that its options name, which the forecast must know."""
        avoided = tuple(sorted({area.layer for area in self.options.avoided_areas()}))
        return replace(self, selector=replace(self.selector, avoided=avoided))


async def _asked(
    selector: Selected,
    options: Options,
    f: ZoneFormat = None,
    weight: Weight = None,
    inside: InArea = None,
    within: Within = None,
    accept: Accept = None,
) -> Asked:
    selector = replace(selector, weight=weight, inside=area_of(inside), within=within)
    return Asked(selector, options, negotiated(f, accept, tuple(FORMATS)))


Question = Annotated[Asked, Depends(_asked)]


@router.get(
    "/zones",
    response_class=Response,
    responses=forecast_replies(_REPLIES, _OTHERS, csv=_CSV),
)
@allow(Role.READER)
async def zones(
    request: Request, forecasts: Forecasts, region: RegionId, question: Question
) -> Response:
    """Choose at most n connected, compact zones, of `max_km2` together, that expect the most."""
    asked = question.confined()
    if asked.options.record:
        # The backtest may be newer than the plan: such a reply is no function of its plan.
        return await run_in_threadpool(_made, forecasts, region, asked)

    def make(forecast: Forecast) -> bytes:
        return FORMATS[asked.fmt](zone_plan(forecasts, forecast, asked.options))

    spec = ResponseSpec(("zones", asked.options), asked.fmt, make, f"{region}-zones")
    return await reply(request, forecasts, region, asked.selector, spec)


@router.post(
    "/zones",
    response_class=Response,
    responses=forecast_replies(_REPLIES, _OTHERS, csv=_CSV, cached=False),
    openapi_extra=json_request(ZonesRequest, (JSON,)),
)
@allow(Role.READER)
async def edited_zones(
    request: Request, forecasts: Forecasts, region: RegionId, question: Question
) -> Response:
    """Price zones as they are given, or follow the plan before; parameters are those of `GET`.

    With `zones` the reply has `price`: what they lose against the best plan. With `previous` each of its
    zones stays unless another gains beyond chance.
    """
    body = await json_body(request, ZonesRequest, (JSON,))
    asked = replace(question, options=body.applied(question.options)).confined()
    return await run_in_threadpool(_made, forecasts, region, asked)


def _made(forecasts: ForecastService, region: str, asked: Asked) -> Response:
    forecast = forecasts.forecast(region, asked.selector)
    with long_work():
        body = FORMATS[asked.fmt](zone_plan(forecasts, forecast, asked.options))
    return single_reply(body, forecast.heading(), asked.fmt)
