"""Forecasts as the contract's JSON, GeoJSON and CSV."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import orjson
import shapely
from numpy.typing import NDArray

from app.domain.errors import InvalidInput, LimitExceeded
from app.domain.hotspots import n_top_cells
from app.domain.study_area import to_degrees
from app.domain.windows import zone
from app.services.forecast import Forecast
from models.base import FloatArray

PROBABILITY_DECIMALS = 12
DEGREE_DECIMALS = 6
MAX_REJECTION_ROUNDS = 200
_JSON = orjson.OPT_SERIALIZE_NUMPY


def heading(forecast: Forecast) -> dict[str, Any]:
    """What every reply says of itself."""
    record = forecast.version.record
    region = forecast.version.region
    return {
        "region": region.id,
        "window": forecast.window,
        "at": forecast.at.astimezone(zone(region.timezone)).isoformat(),
        "model": record.model,
        "model_version": record.version,
        "trained_until": record.cutoff.isoformat(),
        "data_hash": record.data_hash,
        "generated_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "category": forecast.selector.category,
        "warnings": forecast.warnings,
        "expected_total": round(forecast.expected_total, 6),
        "expected_total_lo": forecast.expected_total_lo,
        "expected_total_hi": forecast.expected_total_hi,
    }


def _rounded(values: FloatArray, digits: int) -> FloatArray:
    """Values with that many significant digits: a third of the bytes, far below any error."""
    safe = np.where(values == 0, 1.0, np.abs(values))
    scale = 10.0 ** (digits - 1 - np.floor(np.log10(safe)))
    result: FloatArray = np.round(values * scale) / scale
    return result


def density_json(forecast: Forecast) -> bytes:
    """The contract's density reply: arrays by cell."""
    grid = forecast.grid
    longitude, latitude = grid.centres_degrees
    low, high = forecast.interval
    body = {
        **heading(forecast),
        "cell_size_m": grid.cell_size_m,
        "crs": grid.crs,
        "grid": {"x0_m": grid.x0_m, "y0_m": grid.y0_m, "nx": grid.nx, "ny": grid.ny},
        "cells": {
            "id": grid.cell_id,
            "longitude": longitude.round(DEGREE_DECIMALS),
            "latitude": latitude.round(DEGREE_DECIMALS),
            "probability": forecast.probability.round(PROBABILITY_DECIMALS),
            "density_per_km2": _rounded(forecast.density_per_km2, 7),
            "expected_count": _rounded(forecast.expected_count, 7),
            "expected_count_lo": low.astype(np.int64),
            "expected_count_hi": high.astype(np.int64),
        },
    }
    return orjson.dumps(body, option=_JSON)


def density_csv(forecast: Forecast) -> bytes:
    """One line a cell."""
    grid = forecast.grid
    longitude, latitude = grid.centres_degrees
    low, high = forecast.interval
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [
            "id",
            "longitude",
            "latitude",
            "probability",
            "density_per_km2",
            "expected_count",
            "expected_count_lo",
            "expected_count_hi",
        ]
    )
    writer.writerows(
        zip(
            grid.cell_id.tolist(),
            longitude.round(DEGREE_DECIMALS).tolist(),
            latitude.round(DEGREE_DECIMALS).tolist(),
            forecast.probability.round(PROBABILITY_DECIMALS).tolist(),
            _rounded(forecast.density_per_km2, 7).tolist(),
            _rounded(forecast.expected_count, 7).tolist(),
            low.astype(int).tolist(),
            high.astype(int).tolist(),
            strict=True,
        )
    )
    return text.getvalue().encode()


def features(
    forecast: Forecast, rows: NDArray[np.int64], ranks: NDArray[np.int64] | None = None
) -> bytes:
    """GeoJSON features (joined by commas) of some cells' polygons."""
    polygons = shapely.to_geojson(
        shapely.set_precision(forecast.grid.polygons_degrees(rows), 10.0**-DEGREE_DECIMALS)
    )
    low, high = forecast.interval
    parts = []
    for place, row in enumerate(rows.tolist()):
        properties: dict[str, Any] = {
            "id": int(forecast.grid.cell_id[row]),
            "probability": float(forecast.probability[row]),
            "density_per_km2": float(forecast.density_per_km2[row]),
            "expected_count": float(forecast.expected_count[row]),
            "expected_count_lo": int(low[row]),
            "expected_count_hi": int(high[row]),
        }
        if ranks is not None:
            properties = {"rank": int(ranks[place]), **properties}
        parts.append(
            b'{"type":"Feature","id":%d,"properties":%b,"geometry":%b}'
            % (properties["id"], orjson.dumps(properties), polygons[place].encode())
        )
    return b",".join(parts)


def _collection(head: dict[str, Any], body: bytes) -> bytes:
    """A FeatureCollection with further members."""
    opening = orjson.dumps({"type": "FeatureCollection", **head}, option=_JSON)
    return opening[:-1] + b',"features":[' + body + b"]}"


def density_geojson(forecast: Forecast) -> bytes:
    """All cells as polygons."""
    rows = np.arange(len(forecast.grid))
    head = {**heading(forecast), "cell_size_m": forecast.grid.cell_size_m}
    return _collection(head, features(forecast, rows))


@dataclass(frozen=True)
class HotspotOptions:
    """Which cells to flag: a percentage of the cells, a number of them, or a total area."""

    top: float = 5.0
    n_cells: int | None = None
    area_km2: float | None = None


def hotspot_rows(forecast: Forecast, options: HotspotOptions) -> NDArray[np.int64]:
    """Rows of the flagged cells, best first.

    Raises:
        InvalidInput: the percentage, number or area is out of range.
    """
    ranking = forecast.ranking
    if options.n_cells is not None:
        if not 1 <= options.n_cells <= len(ranking):
            raise InvalidInput(f"n_cells must lie within 1..{len(ranking)}", field="n_cells")
        return ranking[: options.n_cells]
    if options.area_km2 is not None:
        if not (np.isfinite(options.area_km2) and options.area_km2 > 0):
            raise InvalidInput("area_km2 must be above zero", field="area_km2")
        covered = np.cumsum(forecast.grid.area_km2[ranking])
        return ranking[: max(1, int(np.searchsorted(covered, options.area_km2, side="right")))]
    return ranking[: n_top_cells(len(ranking), options.top)]


def hotspots_geojson(forecast: Forecast, options: HotspotOptions) -> bytes:
    """The flagged cells' polygons with rank, and what they cover and catch."""
    rows = hotspot_rows(forecast, options)
    grid = forecast.grid
    area = float(grid.area_km2[rows].sum())
    share = float(forecast.probability[rows].sum())
    low, high = forecast.version.counts.interval(np.array([share * forecast.expected_total]))
    head = {
        **heading(forecast),
        "cell_size_m": grid.cell_size_m,
        "top": options.top,
        "n_cells": len(rows),
        "n_cells_total": len(grid),
        "area_km2": area,
        "share_of_area": area / float(grid.area_km2.sum()),
        "share_of_incidents_expected": share,
        "expected_count": share * forecast.expected_total,
        "expected_count_lo": float(low[0]),
        "expected_count_hi": float(high[0]),
    }
    return _collection(head, features(forecast, rows, np.arange(1, len(rows) + 1)))


def samples_geojson(forecast: Forecast, n: int, seed: int | None, limit: int) -> bytes:
    """Points drawn from the forecast.

    Raises:
        InvalidInput: n is below one, or the seed is negative.
        LimitExceeded: n is above the limit.
    """
    if n < 1:
        raise InvalidInput("n must be at least 1", field="n")
    if n > limit:
        raise LimitExceeded(f"n is {n}, the limit is {limit}", field="n")
    if seed is not None and not 0 <= seed < 2**63:
        raise InvalidInput("seed must lie within 0..2^63-1", field="seed")
    longitude, latitude = draw_samples(forecast, n, seed)
    parts = [
        b'{"type":"Feature","properties":{},"geometry":{"type":"Point","coordinates":[%.6f,%.6f]}}'
        % pair
        for pair in zip(longitude.tolist(), latitude.tolist(), strict=True)
    ]
    return _collection({**heading(forecast), "n": n, "seed": seed}, b",".join(parts))


def draw_samples(forecast: Forecast, n: int, seed: int | None) -> tuple[FloatArray, FloatArray]:
    """(n,) longitudes and latitudes: a cell by its probability, a place evenly inside it.

    Places are rounded to six decimals first and kept only inside the study area, so that every point
    as sent lies in it. Cells that are slivers may exhaust the tries; those points are drawn anew from
    the whole forecast.
    """
    rng = np.random.default_rng(seed)
    grid = forecast.grid
    area = forecast.version.area
    cumulative = np.cumsum(forecast.probability)
    longitude, latitude = np.empty(n), np.empty(n)
    todo = np.arange(n)
    rows = np.empty(n, np.int64)
    for turn in range(MAX_REJECTION_ROUNDS):
        if turn % 20 == 0:
            draw = rng.random(len(todo)) * cumulative[-1]
            rows[todo] = np.searchsorted(cumulative, draw, side="right").clip(max=len(grid) - 1)
        cell = rows[todo]
        x_m = grid.x0_m + (grid.ix[cell] + rng.random(len(todo))) * grid.cell_size_m
        y_m = grid.y0_m + (grid.iy[cell] + rng.random(len(todo))) * grid.cell_size_m
        lon, lat = (v.round(DEGREE_DECIMALS) for v in to_degrees(x_m, y_m, grid.crs))
        inside = area.contains(lon, lat)
        longitude[todo[inside]], latitude[todo[inside]] = lon[inside], lat[inside]
        todo = todo[~inside]
        if len(todo) == 0:
            return longitude, latitude
    raise InvalidInput("the study area is too thin to draw places from")
