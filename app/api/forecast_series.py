"""`/v1/regions/{region}/forecasts`: series, areas, outcomes, score."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, NaiveDatetime

from app.api.forecasts import GEOJSON
from app.api.replies import Maker, reply
from app.api.rules import allow
from app.api.selectors import PlainSelected, Selected
from app.api.state import State
from app.domain.access import Role
from app.services.forecast import Forecast, Selector
from app.services.forecast_areas import areas_geojson
from app.services.forecast_outcomes import outcomes_geojson
from app.services.forecast_scores import PlacedIncident, score_incidents
from app.services.forecast_series import series_csv, series_json

router = APIRouter(prefix="/v1/regions/{region}/forecasts", tags=["forecasts"])
Moment = AwareDatetime | NaiveDatetime


@router.get("/series", response_class=Response)
@allow(Role.READER)
async def series(
    request: Request,
    state: State,
    region: str,
    selector: Selected,
    cells: Annotated[bool, Query(description="each cell's expected count, slot by slot")] = False,
    f: Literal["json", "csv"] = "json",
) -> Response:
    """Hour by hour: expected incidents with interval, of a range of up to a week."""
    service = state.forecasts

    def make(forecast: Forecast) -> bytes:
        if f == "csv":
            return series_csv(service, forecast)
        return series_json(service, forecast, cells)

    media_type = "application/json" if f == "json" else "text/csv"
    maker = Maker(("series", cells, f), media_type, make, f"{region}-series.{f}")
    return await reply(request, state, region, selector, maker)


class AreasRequest(BaseModel):
    """Areas of one's own, and which forecast."""

    model_config = ConfigDict(
        extra="forbid",
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


@router.post("/areas", response_class=Response)
@allow(Role.READER)
def areas(state: State, region: str, asked: AreasRequest) -> Response:
    """Probability, density and expected count with interval of each given area."""
    selector = Selector(
        at=asked.at,
        window=asked.window,
        start=asked.start,
        end=asked.end,
        category=asked.category,
        model=asked.model,
        as_of=asked.as_of,
    )
    found = asked.areas.get("features")
    if asked.areas.get("type") == "Feature":
        found = [asked.areas]
    forecast = state.forecasts.forecast(region, selector)
    body = areas_geojson(forecast, found if isinstance(found, list) else [], asked.buffer_m)
    return Response(body, headers=_version_header(forecast), media_type=GEOJSON)


@router.get("/outcomes", response_class=Response)
@allow(Role.ANALYST)
def outcomes(
    state: State,
    region: str,
    selector: PlainSelected,
    top: Annotated[float, Query(gt=0, le=100, allow_inf_nan=False)] = 5.0,
) -> Response:
    """What was forecast for past hours against what happened: hits and misses by cell.

    Without `from` and `to` the last seven days of data are taken. Unless `as_of` says otherwise the
    version is one that had seen nothing of these hours, if there is one (`in_sample` tells).
    """
    body, version = outcomes_geojson(state.forecasts, region, selector, top)
    headers = {"X-Hotslot-Model-Version": version, "Cache-Control": "no-store"}
    return Response(body, headers=headers, media_type=GEOJSON)


def _version_header(forecast: Forecast) -> dict[str, str]:
    return {"X-Hotslot-Model-Version": forecast.version.record.version}


class ScoredIncident(BaseModel):
    """One incident to score."""

    model_config = ConfigDict(extra="ignore")

    occurred_at: Moment
    longitude: Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)]
    latitude: Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)]
    category: Annotated[str | None, Field(max_length=200)] = None


class ScoreRequest(BaseModel):
    """Incidents to score by a model; `as_of` takes one that knew only what came before."""

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
    as_of: datetime | None = None


@router.post("/score", response_class=Response)
@allow(Role.READER)
def score(state: State, region: str, request: ScoreRequest) -> Response:
    """How likely each incident's place was in its slot: log density, percentile, cell.

    A low percentile marks a place where the forecast expects little: a geocoding error, or a series
    that has moved.
    """
    version = state.forecasts.version_of(region, request.model, request.as_of)
    placed = [
        PlacedIncident(i.occurred_at, i.longitude, i.latitude, i.category)
        for i in request.incidents
    ]
    body = {
        "region": region,
        "model_version": version.record.version,
        "trained_until": version.record.cutoff.isoformat(),
        "data_hash": version.record.data_hash,
        "scores": score_incidents(state.forecasts, version, placed),
    }
    headers = {"X-Hotslot-Model-Version": version.record.version}
    return Response(orjson.dumps(body), headers=headers, media_type="application/json")
