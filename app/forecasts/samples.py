"""Places drawn from a forecast."""

from __future__ import annotations

import numpy as np
import orjson

from app.core.errors import InvalidInput, LimitExceeded
from app.fitting.sample_privacy import refuse_betraying_samples
from app.forecasts.cells import DEGREE_DECIMALS, rows_in_bbox
from app.forecasts.serialisers import collection, csv_bytes
from app.forecasts.service import Forecast, ForecastService
from app.geo.study_area import to_degrees
from models.base import FloatArray

MAX_ROUNDS = 400
MAX_TRIES_EACH, FREE_TRIES = 50, 100_000
"""Of the places asked for, on average; a box of which a cell has next to nothing ends early."""
_POINT = b'{"type":"Feature","properties":{},"geometry":{"type":"Point","coordinates":['
_JSON = orjson.OPT_SERIALIZE_NUMPY


def check_samples(n: int, limit: int) -> None:
    """Nothing when so many points may be drawn.

    Raises:
        InvalidInput: n is below one.
        LimitExceeded: n is above the limit.
    """
    if n < 1:
        raise InvalidInput("n must be at least 1", field="n")
    if n > limit:
        raise LimitExceeded(f"n is {n}, the limit is {limit}", field="n", limit=limit, asked=n)


def samples_geojson(
    service: ForecastService, forecast: Forecast, n: int, seed: int | None
) -> bytes:
    """Points drawn from the forecast; none is a place that an incident has (`between_places`).

    Raises:
        PermissionRefused: this version's samples would betray incidents.
        InvalidInput: n is below one, or the seed is negative.
        LimitExceeded: n is above the limit.
    """
    longitude, latitude = _checked_samples(service, forecast, n, seed)
    pairs = orjson.dumps(np.column_stack([longitude, latitude]), option=_JSON)
    body = _POINT + pairs[2:-2].replace(b"],[", b"]}}," + _POINT) + b"]}}"
    return collection({**forecast.heading(), "n": n, "seed": seed}, body)


def samples_csv(service: ForecastService, forecast: Forecast, n: int, seed: int | None) -> bytes:
    """One line a point; see `samples_geojson` for the errors."""
    longitude, latitude = _checked_samples(service, forecast, n, seed)
    return csv_bytes({"longitude": longitude, "latitude": latitude})


def _checked_samples(
    service: ForecastService, forecast: Forecast, n: int, seed: int | None
) -> tuple[FloatArray, FloatArray]:
    check_samples(n, service.settings.max_samples)
    if seed is not None and not 0 <= seed < 2**63:
        raise InvalidInput("seed must lie within 0..2^63-1", field="seed")
    refuse_betraying_samples(forecast.version.record.report, forecast.selector.category)
    return draw_samples(forecast, n, seed)


def between_places(degrees: FloatArray) -> FloatArray:
    """Degrees with seven decimals, the last a five: half-way between two that have six or fewer.

    No incident that was recorded with six decimals (0.1 m) lies there, whatever the incidents are. To
    leave out the places that incidents have would tell them: who draws a small box full sees the gaps.

    >>> between_places(np.array([-79.38321234, 43.65311049])).tolist()
    [-79.3832125, 43.6531105]
    """
    steps = 10.0**DEGREE_DECIMALS
    middle: FloatArray = ((np.floor(degrees * steps) + 0.5) / steps).round(DEGREE_DECIMALS + 1)
    return middle


def draw_samples(forecast: Forecast, n: int, seed: int | None) -> tuple[FloatArray, FloatArray]:
    """(n,) longitudes and latitudes: a cell by its probability, a place evenly inside it.

    The forecast must be on its version's own squares. Places are put between those that incidents
    can have first and kept only inside the study area (and the box asked for), so that every point
    as sent lies there. Nothing but the forecast decides where a point may lie.
    Cells of which little lies inside may exhaust the tries; those points are drawn anew from the
    whole forecast.

    Raises:
        InvalidInput: hardly any place lies inside.
    """
    rng = np.random.default_rng(seed)
    grid, area = forecast.version.grid, forecast.version.area
    bbox = forecast.selector.bbox
    among = np.arange(len(grid)) if bbox is None else rows_in_bbox(forecast.cells, bbox)
    cumulative = np.cumsum(forecast.probability[among])
    if len(among) == 0 or cumulative[-1] <= 0:
        raise InvalidInput("no place of the forecast lies in the bbox", field="bbox")
    longitude, latitude = np.empty(n), np.empty(n)
    todo = np.arange(n)
    rows = np.empty(n, np.int64)
    tries_left = MAX_TRIES_EACH * n + FREE_TRIES
    for turn in range(MAX_ROUNDS):
        tries_left -= len(todo)
        if tries_left < 0:
            break
        if turn % 20 == 0:
            draw = rng.random(len(todo)) * cumulative[-1]
            place = np.searchsorted(cumulative, draw, side="right").clip(max=len(among) - 1)
            rows[todo] = among[place]
        cell = rows[todo]
        x_m = grid.x0_m + (grid.ix[cell] + rng.random(len(todo))) * grid.cell_size_m
        y_m = grid.y0_m + (grid.iy[cell] + rng.random(len(todo))) * grid.cell_size_m
        lon, lat = (between_places(v) for v in to_degrees(x_m, y_m, grid.crs))
        inside = area.contains(lon, lat)
        if bbox is not None:
            inside &= (bbox[0] <= lon) & (lon <= bbox[2]) & (bbox[1] <= lat) & (lat <= bbox[3])
        longitude[todo[inside]], latitude[todo[inside]] = lon[inside], lat[inside]
        todo = todo[~inside]
        if len(todo) == 0:
            return longitude, latitude
    raise InvalidInput("hardly any place of the forecast lies inside", field="bbox")
