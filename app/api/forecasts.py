"""`/v1/regions/{region}/forecasts`: density, hotspots, samples, score."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, NaiveDatetime

from app.api.state import ApiState, State
from app.domain.errors import InvalidInput
from app.services.forecast import Forecast, LoadedVersion, Selector
from app.services.forecast_scores import PlacedIncident, score_incidents
from app.services.forecast_views import (
    HotspotOptions,
    density_csv,
    density_geojson,
    density_json,
    hotspots_geojson,
    samples_geojson,
)
from app.services.render import density_parquet, density_png, density_tif

router = APIRouter(prefix="/v1/regions/{region}/forecasts", tags=["forecasts"])
MAX_AGE_S = 60
Make = Callable[[Forecast], bytes]
FORMATS: dict[str, tuple[str, Make]] = {
    "json": ("application/json", density_json),
    "geojson": ("application/geo+json", density_geojson),
    "csv": ("text/csv", density_csv),
    "parquet": ("application/vnd.apache.parquet", density_parquet),
    "tif": ("image/tiff; application=geotiff; profile=cloud-optimized", density_tif),
    "png": ("image/png", density_png),
}
HOTSPOT_FORMATS = ("geojson",)


def selector_of(
    at: Annotated[
        str | None,
        Query(description="RFC 3339; without an offset it is the region's local time"),
    ] = None,
    window: Annotated[int | None, Query(ge=0, le=167, description="hour of the week")] = None,
    category: Annotated[str | None, Query(max_length=200)] = None,
    model: Annotated[str | None, Query(max_length=200, description="a name or a version")] = None,
    cell_size_m: Annotated[float | None, Query(allow_inf_nan=False)] = None,
) -> Selector:
    """The selectors that all forecasts share."""
    moment = None
    if at is not None:
        try:
            # A plus sign that was not percent-encoded arrives as a space.
            moment = datetime.fromisoformat(at.strip().replace(" ", "+"))
        except ValueError as error:
            raise InvalidInput("at must be an RFC 3339 time", field="at") from error
    return Selector(moment, window, category, model, cell_size_m)


Selected = Annotated[Selector, Depends(selector_of)]
IfNoneMatch = Annotated[str | None, Header()]


async def _reply(
    state: ApiState,
    region: str,
    selector: Selector,
    variant: tuple[object, ...],
    media_type: str,
    make: Make,
    if_none_match: str | None,
) -> Response:
    """A forecast's reply: from the cache when the same bytes were sent before."""
    service = state.forecasts
    version = service.cached_version(region, selector.model)
    if version is None:
        version = await run_in_threadpool(service.version_of, region, selector.model)
    at, window = service.slot_of(version, selector)
    key = ("reply", version.record.version, region, at, window, selector, *variant)
    etag = f'W/"{hashlib.sha256(repr(key).encode()).hexdigest()[:32]}"'
    headers = {
        "ETag": etag,
        "Cache-Control": f"private, max-age={MAX_AGE_S}",
        "X-Hotslot-Model-Version": version.record.version,
        "Vary": "Accept, Accept-Encoding",
    }
    if if_none_match is not None and etag in if_none_match:
        return Response(status_code=304, headers=headers)
    body = service.cache.get(key, bytes)
    if body is None:
        body = await run_in_threadpool(_make, state, version, selector, make)
        service.cache.put(key, body, len(body))
    return Response(body, headers=headers, media_type=media_type)


def _make(state: ApiState, version: LoadedVersion, selector: Selector, make: Make) -> bytes:
    return make(state.forecasts.forecast_from(version, selector))


def _format_of(f: str | None, accept: str | None) -> str:
    """`f` first, then `Accept`, then JSON.

    Raises:
        InvalidInput: `f` names no format.
    """
    if f is not None:
        if f not in FORMATS:
            raise InvalidInput(f"f is one of {', '.join(FORMATS)}", field="f")
        return f
    for wanted in (accept or "").split(","):
        kind = wanted.split(";")[0].strip()
        for name, (media_type, _) in FORMATS.items():
            if kind == media_type.split(";")[0]:
                return name
    return "json"


@router.get("/density")
async def density(
    state: State,
    region: str,
    selector: Selected,
    f: str | None = None,
    accept: Annotated[str | None, Header()] = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Probability, density and expected count of every cell in one slot."""
    name = _format_of(f, accept)
    media_type, make = FORMATS[name]
    return await _reply(state, region, selector, ("density", name), media_type, make, if_none_match)


@router.get("/hotspots")
async def hotspots(
    state: State,
    region: str,
    selector: Selected,
    top: Annotated[float, Query(gt=0, le=100, allow_inf_nan=False)] = 5.0,
    n_cells: Annotated[int | None, Query(ge=1)] = None,
    area_km2: Annotated[float | None, Query(gt=0, allow_inf_nan=False)] = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """The top-k% cells (or `n_cells`, or as many as fit `area_km2`), best first."""
    options = HotspotOptions(top, n_cells, area_km2)
    return await _reply(
        state,
        region,
        selector,
        ("hotspots", options),
        "application/geo+json",
        lambda forecast: hotspots_geojson(forecast, options),
        if_none_match,
    )


@router.get("/samples")
async def samples(
    state: State,
    region: str,
    selector: Selected,
    n: int = 1000,
    seed: int | None = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Points drawn from the forecast; with a seed, the same points again."""
    limit = state.settings.max_samples

    def make(forecast: Forecast) -> bytes:
        return samples_geojson(forecast, n, seed, limit)

    if seed is None:
        forecast = await run_in_threadpool(state.forecasts.forecast, region, selector)
        body = await run_in_threadpool(make, forecast)
        headers = {
            "Cache-Control": "no-store",
            "X-Hotslot-Model-Version": forecast.version.record.version,
        }
        return Response(body, headers=headers, media_type="application/geo+json")
    return await _reply(
        state,
        region,
        selector,
        ("samples", n, seed),
        "application/geo+json",
        make,
        if_none_match,
    )


class ScoredIncident(BaseModel):
    """One incident to score."""

    model_config = ConfigDict(extra="ignore")

    occurred_at: AwareDatetime | NaiveDatetime
    longitude: Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)]
    latitude: Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)]
    category: Annotated[str | None, Field(max_length=200)] = None


class ScoreRequest(BaseModel):
    """Incidents to score by a model."""

    model_config = ConfigDict(
        extra="forbid",
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

    incidents: Annotated[list[ScoredIncident], Field(min_length=1, max_length=100_000)]
    model: Annotated[str | None, Field(max_length=200)] = None


@router.post("/score")
def score(state: State, region: str, request: ScoreRequest, http: Request) -> Response:
    """How likely each incident's place was in its slot: log density, percentile, cell.

    A low percentile marks a place where the forecast expects little: a geocoding error, or a series
    that has moved.
    """
    version = state.forecasts.version_of(region, request.model)
    placed = [
        PlacedIncident(i.occurred_at, i.longitude, i.latitude, i.category)
        for i in request.incidents
    ]
    body = {
        "region": region,
        "model_version": version.record.version,
        "scores": score_incidents(state.forecasts, version, placed),
    }
    headers = {"X-Hotslot-Model-Version": version.record.version}
    return Response(orjson.dumps(body), headers=headers, media_type="application/json")
