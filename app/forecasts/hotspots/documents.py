"""Hotspots as GeoJSON and CSV: the flagged cells, and what they cover and catch."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import shapely
from numpy.typing import NDArray
from scipy.special import bdtr

from app.core.errors import InvalidInput
from app.forecasts.areas.neighbourhoods import Neighbourhoods
from app.forecasts.forecast import Forecast
from app.forecasts.hotspots.changes import changes_since, moves_of
from app.forecasts.hotspots.selection import HotspotOptions, hotspot_rows
from app.forecasts.replies.serialisers import (
    cell_columns,
    collection,
    features,
    forecast_csv,
    ids_of,
)
from app.forecasts.service import ForecastService
from app.geo.antimeridian import cut
from app.streets.places import PlaceNames
from models.counts.negative_binomial import LEVEL


def hotspots_head(forecast: Forecast, rows: NDArray[np.int64], top: float) -> dict[str, Any]:
    """Return what the flagged cells cover and catch.

    The interval of the share is that of a binomial draw of as many incidents as are expected.
    """
    area = float(forecast.cells.area_km2[rows].sum())
    share = float(forecast.count_share[rows].sum())
    low, high = forecast.interval_of(np.array([share * forecast.expected_total]))
    n = max(1, round(forecast.expected_total))
    tail = (1 - LEVEL) / 2
    return {
        **forecast.heading(),
        **forecast.cells.head(),
        "top": top,
        "n_cells": len(rows),
        "n_cells_total": len(forecast.rows),
        "area_km2": area,
        "share_of_area": area / float(forecast.cells.area_km2[forecast.rows].sum()),
        "share_of_incidents_expected": min(share, 1.0),
        "share_of_incidents_lo": _binomial_quantile(tail, n, share) / n,
        "share_of_incidents_hi": _binomial_quantile(1 - tail, n, share) / n,
        "expected_count": share * forecast.expected_total,
        "expected_count_lo": float(low[0]),
        "expected_count_hi": float(high[0]),
        **_harm_head(forecast, rows),
    }


def _harm_head(forecast: Forecast, rows: NDArray[np.int64]) -> dict[str, float]:
    if forecast.harm_total is None:
        return {}
    share = min(float(forecast.probability[rows].sum()), 1.0)
    return {"share_of_harm_expected": share, "expected_harm": share * forecast.harm_total}


def _binomial_quantile(level: float, n: int, share: float) -> int:
    """Return the binomial quantile of `n` draws with probability `share`."""
    return int(np.searchsorted(bdtr(np.arange(n), n, min(share, 1.0)), level))


def hotspots_geojson(
    forecast: Forecast,
    options: HotspotOptions,
    service: ForecastService | None = None,
    names: PlaceNames | None = None,
    neighbourhoods: Neighbourhoods | None = None,
) -> bytes:
    """Return the flagged cells' polygons with rank, and what they cover and catch, as GeoJSON.

    Args:
        forecast: the forecast.
        options: which cells to flag.
        service: required for `compare` only.
        names: of places; None: the region has no streets.
        neighbourhoods: of the cells; None: they are not named.
    """
    rows = hotspot_rows(forecast, options)
    head = hotspots_head(forecast, rows, options.top)
    labels = {name: [value] * len(rows) for name, value in forecast.labels().items()}
    more: dict[str, list[Any]] = {"rank": list(range(1, len(rows) + 1)), **labels}
    places = _places(forecast, rows, names, neighbourhoods)
    more.update(places)
    if options.compare and service is not None:
        changes, before = changes_since(service, forecast, options, ids_of(forecast, rows))
        head["changes"] = changes
        if before is not None:
            more.update(moves_of(ids_of(forecast, rows), before))
    if options.dissolve:
        return collection(head, _dissolved(forecast, rows, places))
    return collection(head, features(forecast, rows, **more))


def _places(
    forecast: Forecast,
    rows: NDArray[np.int64],
    names: PlaceNames | None,
    neighbourhoods: Neighbourhoods | None,
) -> dict[str, list[Any]]:
    """Return columns with the names of the cells' places and neighbourhoods, as far as there are any."""
    found: dict[str, list[Any]] = {}
    if names is not None:
        longitude, latitude = forecast.cells.centres
        found["place"] = names.of(longitude[rows], latitude[rows])
    if neighbourhoods is not None:
        found["neighbourhood"] = neighbourhoods.of(rows)
    return found


def hotspots_csv(
    forecast: Forecast,
    options: HotspotOptions,
    names: PlaceNames | None = None,
    neighbourhoods: Neighbourhoods | None = None,
) -> bytes:
    """Return the flagged cells as CSV, best first, with the warnings.

    Raises:
        InvalidInput: `dissolve` or `compare` is set; or see `hotspot_rows`.
    """
    if options.dissolve or options.compare:
        raise InvalidInput("dissolve and compare need f=geojson, f=parquet or f=gpkg", field="f")
    rows = hotspot_rows(forecast, options)
    longitude, latitude = forecast.cells.centres
    return forecast_csv(
        forecast,
        {
            "rank": np.arange(1, len(rows) + 1),
            "id": ids_of(forecast, rows),
            "longitude": longitude[rows],
            "latitude": latitude[rows],
            **cell_columns(forecast, rows),
            **{name: [value] * len(rows) for name, value in forecast.labels().items()},
            **_places(forecast, rows, names, neighbourhoods),
        },
    )


def _dissolved(forecast: Forecast, rows: NDArray[np.int64], places: dict[str, list[Any]]) -> bytes:
    """Return features of the flagged cells, joined at common edges, most probable first."""
    polygons = forecast.cells.polygons_degrees()[rows]
    parts = shapely.get_parts(shapely.union_all(polygons))
    inside = shapely.STRtree(parts).query(shapely.point_on_surface(polygons), "intersects")
    part_of = np.empty(len(rows), np.int64)
    part_of[inside[0]] = inside[1]
    probability = np.bincount(part_of, forecast.probability[rows], len(parts))
    area_km2 = np.bincount(part_of, forecast.cells.area_km2[rows], len(parts))
    count = np.bincount(part_of, forecast.expected_count[rows], len(parts))
    low, high = forecast.interval_of(count)
    ids = ids_of(forecast, rows)
    result = []
    for rank, part in enumerate(np.argsort(-probability, kind="stable").tolist(), start=1):
        members = np.flatnonzero(part_of == part)
        properties = {
            "rank": rank,
            "best_cell_rank": int(members[0]) + 1,
            "n_cells": len(members),
            "cells": [ids[i] for i in members.tolist()],
            "area_km2": float(area_km2[part]),
            "probability": float(probability[part]),
            "expected_count": float(count[part]),
            "expected_count_lo": int(low[part]),
            "expected_count_hi": int(high[part]),
            **forecast.labels(),
            **{name: column[int(members[0])] for name, column in places.items()},
        }
        geometry = shapely.to_geojson(cut(parts[part])).encode()
        result.append(
            b'{"type":"Feature","id":%d,"properties":%b,"geometry":%b}'
            % (rank, orjson.dumps(properties), geometry)
        )
    return b",".join(result)
