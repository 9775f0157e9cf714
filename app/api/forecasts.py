"""`/v1/regions/{region}/forecasts`: density, hotspots, samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from app.api.replies import Maker, reply
from app.api.rules import allow
from app.api.selectors import PlainSelected, Selected
from app.api.state import State
from app.domain.access import Role
from app.domain.errors import InvalidInput
from app.services.forecast import Forecast
from app.services.forecast_hotspots import HotspotOptions, hotspots_csv, hotspots_geojson
from app.services.forecast_samples import samples_geojson
from app.services.forecast_views import density_csv, density_geojson, density_json
from app.services.render import density_parquet, density_png, density_tif

router = APIRouter(prefix="/v1/regions/{region}/forecasts", tags=["forecasts"])
GEOJSON = "application/geo+json"
Replies = dict[int | str, dict[str, Any]]
Format = Literal["json", "geojson", "csv", "parquet", "tif", "png"]
FORMATS: dict[str, tuple[str, Callable[[Forecast], bytes]]] = {
    "json": ("application/json", density_json),
    "geojson": (GEOJSON, density_geojson),
    "csv": ("text/csv", density_csv),
    "parquet": ("application/vnd.apache.parquet", density_parquet),
    "tif": ("image/tiff; application=geotiff; profile=cloud-optimized", density_tif),
    "png": ("image/png", density_png),
}
Accept = Annotated[str | None, Header(include_in_schema=False)]
_DENSITY_REPLIES: Replies = {
    200: {
        "description": "the forecast, in the format asked for by `f`, else by `Accept`",
        "content": {
            kind.split(";")[0]: {"schema": {"type": "string", "format": "binary"}}
            for kind, _ in FORMATS.values()
        },
    },
    304: {"description": "the client holds this reply already"},
}
_GEOJSON_REPLIES: Replies = {
    200: {"content": {GEOJSON: {"schema": {"type": "object"}}}},
    304: {"description": "the client holds this reply already"},
}


def format_of(f: str | None, accept: str | None) -> str:
    """`f` first, then the first type of `Accept` that is known, then JSON."""
    if f is not None:
        return f
    for wanted in (accept or "").split(","):
        kind = wanted.split(";")[0].strip().lower()
        for name, (media_type, _) in FORMATS.items():
            if kind == media_type.split(";")[0]:
                return name
    return "json"


@router.get("/density", response_class=Response, responses=_DENSITY_REPLIES)
@allow(Role.READER)
async def density(
    request: Request,
    state: State,
    region: str,
    selector: Selected,
    f: Annotated[Format | None, Query(description="format; otherwise `Accept` tells")] = None,
    accept: Accept = None,
) -> Response:
    """Probability, density and expected count of every cell, of one hour or of a range together."""
    name = format_of(f, accept)
    media_type, make = FORMATS[name]
    filename = None if name == "json" else f"{region}-density.{name}"
    maker = Maker(("density", name), media_type, make, filename)
    return await reply(request, state, region, selector, maker)


async def _hotspot_options(
    top: Annotated[
        float, Query(gt=0, le=100, allow_inf_nan=False, description="percent of the cells")
    ] = 5.0,
    n_cells: Annotated[int | None, Query(ge=1, description="that many cells instead")] = None,
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
        bool, Query(description="tell what changed against the same hours a week before")
    ] = False,
) -> HotspotOptions:
    return HotspotOptions(top, n_cells, area_km2, min_separation_m, dissolve, compare)


@router.get("/hotspots", response_class=Response, responses=_GEOJSON_REPLIES)
@allow(Role.READER)
async def hotspots(
    request: Request,
    state: State,
    region: str,
    selector: Selected,
    options: Annotated[HotspotOptions, Depends(_hotspot_options)],
    f: Literal["geojson", "csv"] = "geojson",
) -> Response:
    """The top-k% cells (or `n_cells`, or as many as fit `area_km2`), best first."""
    service = state.forecasts

    def make(forecast: Forecast) -> bytes:
        if f == "csv":
            return hotspots_csv(forecast, options)
        return hotspots_geojson(forecast, options, service)

    media_type = GEOJSON if f == "geojson" else "text/csv"
    maker = Maker(("hotspots", options, f), media_type, make, f"{region}-hotspots.{f}")
    return await reply(request, state, region, selector, maker)


@router.get("/samples", response_class=Response, responses=_GEOJSON_REPLIES)
@allow(Role.READER)
async def samples(
    request: Request,
    state: State,
    region: str,
    selector: PlainSelected,
    n: Annotated[int, Query(ge=1, lt=2**63, description="how many points")] = 1000,
    seed: Annotated[int | None, Query(ge=0, lt=2**63, description="the same points again")] = None,
) -> Response:
    """Points drawn from the forecast; with a seed, the same points again."""
    service, limit = state.forecasts, state.settings.max_samples

    def make(forecast: Forecast) -> bytes:
        return samples_geojson(service, forecast, n, seed)

    if seed is not None:
        return await reply(
            request, state, region, selector, Maker(("samples", n, seed), GEOJSON, make)
        )
    if n > limit:
        raise InvalidInput(f"n is {n}, the limit is {limit}", field="n", code="limit_exceeded")
    forecast = await run_in_threadpool(service.forecast, region, selector)
    headers = {
        "Cache-Control": "no-store",
        "X-Hotslot-Model-Version": forecast.version.record.version,
    }
    body = await run_in_threadpool(make, forecast)
    return Response(body, headers=headers, media_type=GEOJSON)
