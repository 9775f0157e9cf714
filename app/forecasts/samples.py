"""Random places drawn from a forecast."""

from __future__ import annotations

import numpy as np
import orjson

from app.core.errors import InvalidInput, LimitExceeded
from app.fitting.sample_privacy import check_samples_allowed
from app.forecasts.cells import DEGREE_DECIMALS
from app.forecasts.forecast import Forecast
from app.forecasts.replies.serialisers import collection, csv_bytes
from app.forecasts.service import ForecastService
from app.geo.antimeridian import in_bbox
from app.geo.study_area import to_degrees
from models.flows.rosenblatt import RosenblattMap
from models.units import FloatArray

MAX_ROUNDS = 400
MAX_TRIES_EACH, FREE_TRIES = 50, 100_000
"""Average number of tries per place; drawing from a box that covers almost no area ends early."""
_POINT = b'{"type":"Feature","properties":{},"geometry":{"type":"Point","coordinates":['
_JSON = orjson.OPT_SERIALIZE_NUMPY


def check_samples(n: int, limit: int) -> None:
    """Raise unless `n` points may be drawn.

    Raises:
        InvalidInput: n is below one.
        LimitExceeded: n is above the limit.
    """
    if n < 1:
        raise InvalidInput(f"n must be at least 1, got {n}", field="n")
    if n > limit:
        raise LimitExceeded(f"n is {n}, the limit is {limit}", field="n", limit=limit, asked=n)


def samples_geojson(
    service: ForecastService, forecast: Forecast, n: int, seed: int | None
) -> bytes:
    """Draw points from the forecast, as GeoJSON; none is the place of an incident (`between_places`).

    Raises:
        PermissionRefused: samples of this version would reveal incidents.
        InvalidInput: n is below one, or the seed is negative.
        LimitExceeded: n is above the limit.
    """
    longitude, latitude = _checked_samples(service, forecast, n, seed)
    pairs = orjson.dumps(np.column_stack([longitude, latitude]), option=_JSON)
    body = _POINT + pairs[2:-2].replace(b"],[", b"]}}," + _POINT) + b"]}}"
    return collection({**forecast.heading(), "n": n, "seed": seed}, body)


def samples_csv(service: ForecastService, forecast: Forecast, n: int, seed: int | None) -> bytes:
    """Draw points from the forecast, as CSV; see `samples_geojson` for errors."""
    longitude, latitude = _checked_samples(service, forecast, n, seed)
    return csv_bytes({"longitude": longitude, "latitude": latitude})


def _checked_samples(
    service: ForecastService, forecast: Forecast, n: int, seed: int | None
) -> tuple[FloatArray, FloatArray]:
    check_samples(n, service.settings.max_samples)
    if seed is not None and not 0 <= seed < 2**63:
        raise InvalidInput(f"seed must lie within 0..2^63-1, got {seed}", field="seed")
    for kind in forecast.plan.kinds or (None,):
        check_samples_allowed(forecast.version.record.report, kind)
    return draw_samples(forecast, n, seed)


def between_places(degrees: FloatArray) -> FloatArray:
    """Move degrees to seven decimals ending in five, half-way between two with six decimals.

    No incident recorded with six decimals (0.1 m) lies there. Excluding the incidents' own places would
    reveal them as gaps to anyone who fills a small box with samples.

    >>> between_places(np.array([-79.38321234, 43.65311049])).tolist()
    [-79.3832125, 43.6531105]
    """
    steps = 10.0**DEGREE_DECIMALS
    middle: FloatArray = ((np.floor(degrees * steps) + 0.5) / steps).round(DEGREE_DECIMALS + 1)
    return middle


def draw_samples(forecast: Forecast, n: int, seed: int | None) -> tuple[FloatArray, FloatArray]:
    """Draw longitudes and latitudes (n,) through the inverse of the forecast's flow.

    Uniform ranks are mapped to places (`models.flows.rosenblatt`); the forecast must be on the squares
    of its version. Places are rounded by `between_places` before
    those outside the study area (and the requested box) are rejected, so that every returned point
    lies inside, and only the forecast determines where points may lie. Points in cells with little area
    inside are redrawn from the whole forecast after some tries.

    Raises:
        InvalidInput: almost no place lies inside.
    """
    rng = np.random.default_rng(seed)
    grid, area = forecast.version.grid, forecast.version.area
    bbox = forecast.selector.bbox
    wanted = np.zeros(len(grid))
    wanted[forecast.rows] = forecast.probability[forecast.rows]
    if wanted.sum() <= 0:
        raise InvalidInput("the forecast has no place in the bbox", field="bbox")
    flow = RosenblattMap(grid, wanted)
    longitude, latitude = np.empty(n), np.empty(n)
    todo = np.arange(n)
    rows = np.empty(n, np.int64)
    tries_left = MAX_TRIES_EACH * n + FREE_TRIES
    for turn in range(MAX_ROUNDS):
        tries_left -= len(todo)
        if tries_left < 0:
            break
        if turn % 20 == 0:
            rows[todo], within = flow.inverse(rng.random((len(todo), 2)))
        else:
            within = rng.random((len(todo), 2))
        cell = rows[todo]
        x_m = grid.x0_m + (grid.ix[cell] + within[:, 0]) * grid.cell_size_m
        y_m = grid.y0_m + (grid.iy[cell] + within[:, 1]) * grid.cell_size_m
        lon, lat = (between_places(v) for v in to_degrees(x_m, y_m, grid.crs))
        inside = area.contains(lon, lat)
        if bbox is not None:
            inside &= in_bbox(lon, lat, bbox)
        longitude[todo[inside]], latitude[todo[inside]] = lon[inside], lat[inside]
        todo = todo[~inside]
        if len(todo) == 0:
            return longitude, latitude
    raise InvalidInput(
        "almost no place of the forecast lies in the bbox; choose a larger one", field="bbox"
    )
