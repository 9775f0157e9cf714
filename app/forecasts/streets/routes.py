"""`/v1/regions/{region}/forecasts/streets`: where to go, by street."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from app.core.roles import Role
from app.forecasts.forecast import Forecast
from app.forecasts.plan import Plan
from app.forecasts.rendering.files import collection_gpkg, collection_parquet
from app.forecasts.replies.responses import ResponseSpec, reply
from app.forecasts.routes import LABELS, LABELS_EXAMPLE, Weight
from app.forecasts.schemas import forecast_replies
from app.forecasts.selectors import Forecasts, PlainSelected
from app.forecasts.streets.documents import streets_csv, streets_geojson, streets_gpx
from app.forecasts.streets.reader import NO_LAYER, StreetReader
from app.forecasts.streets.schemas import StreetsForecast
from app.forecasts.streets.selection import DEFAULT_TOP
from app.http.content_negotiation import Accept, negotiated
from app.http.parameters import RegionId
from app.http.permissions import allow
from app.http.problems import DOCUMENTED
from app.streets.store import no_streets

router = APIRouter(
    prefix="/v1/regions/{region}/forecasts", tags=["forecasts"], responses=DOCUMENTED
)
STREETS: dict[str, Callable[[Forecast, StreetReader, float], bytes]] = {
    "geojson": streets_geojson,
    "csv": streets_csv,
    "parquet": lambda *asked: collection_parquet(streets_geojson(*asked)),
    "gpx": streets_gpx,
    "gpkg": lambda *asked: collection_gpkg(streets_geojson(*asked), "streets"),
}


@router.get(
    "/streets",
    response_class=Response,
    responses=forecast_replies(
        {"geojson": StreetsForecast},
        ["csv", "parquet", "gpx", "gpkg"],
        csv="rank,id,name,length_m,share_of_incidents,expected_count,expected_count_lo,expected_count_hi,"
        f"per_km,longitude,latitude,{LABELS},warnings\n"
        f"1,20117,Front Street,243.1,0.0021,0.0093,0,0,0.0383,-79.37925,43.649,{LABELS_EXAMPLE},\n",
    ),
)
@allow(Role.READER)
async def streets(
    request: Request,
    forecasts: Forecasts,
    region: RegionId,
    selector: PlainSelected,
    top: Annotated[
        float,
        Query(gt=0, le=100, allow_inf_nan=False, description="percent of the streets' length"),
    ] = DEFAULT_TOP,
    f: Annotated[
        Literal["geojson", "csv", "parquet", "gpx", "gpkg"] | None,
        Query(description="format; without it, `Accept` decides"),
    ] = None,
    weight: Weight = None,
    accept: Accept = None,
) -> Response:
    """Rank street segments by expected incidents per kilometre, where the region has streets."""
    fmt = negotiated(f, accept, tuple(STREETS))
    selector = replace(selector, weight=weight)

    def check(plan: Plan) -> None:
        if plan.streets == NO_LAYER:
            raise no_streets(region)

    def make(forecast: Forecast) -> bytes:
        return STREETS[fmt](forecast, forecasts.streets, top)

    spec = ResponseSpec(("streets", top), fmt, make, f"{region}-streets", check)
    return await reply(request, forecasts, region, selector, spec)
