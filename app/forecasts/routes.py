"""`/v1/regions/{region}/forecasts`: density, hotspots, samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from app.core.errors import InvalidInput
from app.core.roles import Role
from app.forecasts.areas.layers import Inside
from app.forecasts.areas.neighbourhoods import neighbourhoods_of
from app.forecasts.forecast import Forecast
from app.forecasts.hotspots.documents import hotspots_csv, hotspots_geojson
from app.forecasts.hotspots.selection import DEFAULT_TOP, HotspotOptions
from app.forecasts.plan import Plan
from app.forecasts.rendering.files import (
    collection_gpkg,
    collection_parquet,
    density_parquet,
    density_tif,
)
from app.forecasts.rendering.picture import density_png
from app.forecasts.replies.responses import ResponseSpec, reply, single_reply
from app.forecasts.replies.serialisers import density_csv, density_geojson, density_json
from app.forecasts.samples import check_samples, samples_csv, samples_geojson
from app.forecasts.schemas import (
    DensityFeatures,
    DensityReply,
    HotspotsReply,
    SamplesReply,
    forecast_replies,
)
from app.forecasts.selectors import Forecasts, PlainSelected, Selected
from app.http.app_state import State
from app.http.content_negotiation import Accept, negotiated
from app.http.parameters import RegionId
from app.http.permissions import allow
from app.http.problems import DOCUMENTED
from app.http.schemas import links

router = APIRouter(
    prefix="/v1/regions/{region}/forecasts", tags=["forecasts"], responses=DOCUMENTED
)
DENSITY: dict[str, Callable[[Forecast], bytes]] = {
    "json": density_json,
    "geojson": density_geojson,
    "csv": density_csv,
    "parquet": density_parquet,
    "tif": density_tif,
    "png": density_png,
}
FEATURES = ("geojson", "csv", "parquet")
_CELL_COLUMNS = "probability,density_per_km2,expected_count,expected_count_lo,expected_count_hi"
LABELS = (
    "region,model,model_version,state,data_until,at,from,to,utc_offset,window,category,cell_size_m"
)
LABELS_EXAMPLE = (
    "toronto,stack,stack-20220101T050000Z-0c4cc6f7d471dba589,7,2022-01-01T04:30:00+00:00,"
    "2022-01-07T23:00:00-05:00,2022-01-07T23:00:00-05:00,2022-01-08T00:00:00-05:00,-05:00,119,,250"
)
_SAME_SLOT = {
    "path.region": "$request.path.region",
    "query.at": "$response.body#/at",
    "query.model": "$response.body#/model_version",
}
FORMAT = Query(description="format; without it, `Accept` decides")
InArea = Annotated[
    str | None,
    Query(
        max_length=264,
        description="layer:area, such as beats:D11: only the cells of which this area covers most",
    ),
]
Weight = Annotated[
    Literal["harm"] | None,
    Query(description="weigh categories by the region's weights; needs them to be set"),
]
FeatureFormat = Annotated[Literal["geojson", "csv", "parquet"] | None, FORMAT]


def area_of(text: str | None) -> Inside | None:
    """Read the area that a request is confined to, if any."""
    return None if text is None else Inside.parse(text)


@router.get(
    "/density",
    response_class=Response,
    responses=forecast_replies(
        {"json": DensityReply, "geojson": DensityFeatures},
        ["csv", "parquet", "tif", "png"],
        csv=f"id,longitude,latitude,{_CELL_COLUMNS},{LABELS}\n"
        "31,-79.555483,43.581218,2.8232561e-8,0.0000044024459,1.2471051e-7,0,0,"
        f"{LABELS_EXAMPLE}\n",
        links=links(
            _SAME_SLOT,
            "hotspots_v1_regions__region__forecasts_hotspots_get",
            "samples_v1_regions__region__forecasts_samples_get",
            "series_v1_regions__region__forecasts_series_get",
        ),
    ),
)
@allow(Role.READER)
async def density(
    request: Request,
    forecasts: Forecasts,
    region: RegionId,
    selector: Selected,
    f: Annotated[Literal["json", "geojson", "csv", "parquet", "tif", "png"] | None, FORMAT] = None,
    weight: Weight = None,
    inside: InArea = None,
    accept: Accept = None,
) -> Response:
    """Forecast every cell: probability, density and expected count of an hour or a range."""
    fmt = negotiated(f, accept, tuple(DENSITY))
    selector = replace(selector, weight=weight, inside=area_of(inside))
    spec = ResponseSpec(("density",), fmt, DENSITY[fmt], f"{region}-density", only_shown=True)
    return await reply(request, forecasts, region, selector, spec)


async def _hotspot_options(
    top: Annotated[
        float | None,
        Query(gt=0, le=100, allow_inf_nan=False, description="percent of the cells; default 5"),
    ] = None,
    n_cells: Annotated[int | None, Query(ge=1, description="this many cells instead")] = None,
    area_km2: Annotated[
        float | None,
        Query(gt=0, allow_inf_nan=False, description="as many as fit that area instead"),
    ] = None,
    min_separation_m: Annotated[
        float | None,
        Query(gt=0, allow_inf_nan=False, description="skip cells nearer to a better one"),
    ] = None,
    dissolve: Annotated[bool, Query(description="join cells that share an edge")] = False,
    compare: Annotated[
        bool | Literal["previous"],
        Query(
            description="list what changed against the same hours a week before; previous: against what "
            "the state before forecast for these hours"
        ),
    ] = False,
) -> HotspotOptions:
    if top is not None and (n_cells is not None or area_km2 is not None):
        raise InvalidInput("give top, n_cells or area_km2, not several", field="top")
    top = DEFAULT_TOP if top is None else top
    return HotspotOptions(top, n_cells, area_km2, min_separation_m, dissolve, compare)


@router.get(
    "/hotspots",
    response_class=Response,
    responses=forecast_replies(
        {"geojson": HotspotsReply},
        ["csv", "parquet", "gpkg"],
        csv=f"rank,id,longitude,latitude,{_CELL_COLUMNS},{LABELS},neighbourhood,warnings\n"
        "1,5935,-79.38009,43.655401,0.005969286,0.095508575,0.026367878,0,0,"
        f"{LABELS_EXAMPLE},Church-Yonge Corridor,\n",
    ),
)
@allow(Role.READER)
async def hotspots(
    request: Request,
    forecasts: Forecasts,
    region: RegionId,
    selector: Selected,
    options: Annotated[HotspotOptions, Depends(_hotspot_options)],
    f: Annotated[Literal["geojson", "csv", "parquet", "gpkg"] | None, FORMAT] = None,
    weight: Weight = None,
    inside: InArea = None,
    accept: Accept = None,
) -> Response:
    """List the top-k% cells (or `n_cells`, or as many as fit `area_km2`), best first."""
    fmt = negotiated(f, accept, (*FEATURES, "gpkg"))
    selector = replace(selector, weight=weight, inside=area_of(inside))

    def make(forecast: Forecast) -> bytes:
        names, areas = forecasts.streets.names(forecast.plan), None
        if fmt in ("csv", "gpkg"):
            areas = neighbourhoods_of(forecasts.layers, forecast)
        if fmt == "csv":
            return hotspots_csv(forecast, options, names, areas)
        body = hotspots_geojson(forecast, options, forecasts, names, areas)
        if fmt == "gpkg":
            return collection_gpkg(body, "hotspots")
        return body if fmt == "geojson" else collection_parquet(body)

    if options.compare:
        # The version of the week before may be trained yet: such a reply is no function of its plan.
        plan = await run_in_threadpool(forecasts.plan, region, selector)
        forecast = await run_in_threadpool(forecasts.forecast_of, plan)
        return single_reply(await run_in_threadpool(make, forecast), forecast.heading(), fmt)
    spec = ResponseSpec(("hotspots", options), fmt, make, f"{region}-hotspots")
    return await reply(request, forecasts, region, selector, spec)


@router.get(
    "/samples",
    response_class=Response,
    responses=forecast_replies(
        {"geojson": SamplesReply},
        ["csv", "parquet"],
        csv="longitude,latitude\n-79.4357025,43.7052735\n",
    ),
)
@allow(Role.READER)
async def samples(
    request: Request,
    state: State,
    forecasts: Forecasts,
    region: RegionId,
    selector: PlainSelected,
    n: Annotated[int, Query(ge=1, lt=2**63, description="how many points")] = 1000,
    seed: Annotated[
        int | None, Query(ge=0, le=2**53 - 1, description="the same points again")
    ] = None,
    f: FeatureFormat = None,
    accept: Accept = None,
) -> Response:
    """Draw points from the forecast; with a seed, the same points again."""
    fmt = negotiated(f, accept, FEATURES)

    def check(_plan: Plan) -> None:
        check_samples(n, state.settings.max_samples)

    def make(forecast: Forecast) -> bytes:
        if fmt == "csv":
            return samples_csv(forecasts, forecast, n, seed)
        body = samples_geojson(forecasts, forecast, n, seed)
        return body if fmt == "geojson" else collection_parquet(body)

    if seed is not None:
        spec = ResponseSpec(("samples", n, seed), fmt, make, f"{region}-samples", check)
        return await reply(request, forecasts, region, selector, spec)
    plan = await run_in_threadpool(forecasts.plan, region, selector)
    check(plan)
    forecast = await run_in_threadpool(forecasts.forecast_of, plan)
    return single_reply(await run_in_threadpool(make, forecast), forecast.heading(), fmt)
