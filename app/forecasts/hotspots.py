"""Hotspots: flagged cells, their expected incidents, and changes since the week before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np
import orjson
import shapely
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import bdtr

from app.core.errors import InvalidInput
from app.forecasts.serialisers import cell_columns, collection, csv_bytes, features, ids_of
from app.forecasts.service import Forecast, ForecastService
from app.geo.antimeridian import cut
from app.geo.study_area import to_metres
from app.registry.history import older_version
from models.counts.model import LEVEL
from models.evaluation.metrics import n_top

WEEK = timedelta(days=7)
MAX_SEPARATION_M = 50_000.0
DEFAULT_TOP = 5.0


@dataclass(frozen=True)
class HotspotOptions:
    """Which cells to flag: a percentage of the cells, a number of them, or a total area.

    `min_separation_m` skips cells whose centre is closer to that of a better one. `dissolve` joins
    cells that share an edge. `compare` adds the changes since the same hours a week before.
    """

    top: float = DEFAULT_TOP
    n_cells: int | None = None
    area_km2: float | None = None
    min_separation_m: float | None = None
    dissolve: bool = False
    compare: bool = False


def hotspot_rows(forecast: Forecast, options: HotspotOptions) -> NDArray[np.int64]:
    """Return rows of the flagged cells, best first.

    Raises:
        InvalidInput: the percentage, number, area or distance is out of range.
    """
    ranking = forecast.ranking
    if len(ranking) == 0:
        raise InvalidInput("no cell touches the bbox", field="bbox")
    n = _n_flagged(options, len(ranking))
    if options.min_separation_m is not None:
        ranking = _separated(forecast, ranking, options.min_separation_m, n)
    if options.area_km2 is not None:
        covered = np.cumsum(forecast.cells.area_km2[ranking])
        n = max(1, int(np.searchsorted(covered, options.area_km2, side="right")))
    return ranking[:n]


def n_top_cells(n_cells: int, top_percent: float) -> int:
    """Return the number of top-k% cells.

    Raises:
        InvalidInput: the percentage is not within (0, 100].
    """
    if not 0 < top_percent <= 100:
        raise InvalidInput(
            f"top must lie within (0, 100] percent, got {top_percent:g}", field="top"
        )
    return n_top(n_cells, top_percent)


def _n_flagged(options: HotspotOptions, n_cells: int) -> int:
    """Return the maximum number of cells to flag."""
    if options.n_cells is not None and options.area_km2 is not None:
        raise InvalidInput("give n_cells or area_km2, not both", field="n_cells")
    if options.n_cells is not None:
        if not 1 <= options.n_cells <= n_cells:
            raise InvalidInput(
                f"n_cells must lie within 1..{n_cells}, got {options.n_cells}", field="n_cells"
            )
        return options.n_cells
    if options.area_km2 is not None:
        if not (np.isfinite(options.area_km2) and options.area_km2 > 0):
            raise InvalidInput(
                f"area_km2 must be above zero, got {options.area_km2:g}", field="area_km2"
            )
        return n_cells
    return n_top_cells(n_cells, options.top)


def _separated(
    forecast: Forecast, ranking: NDArray[np.int64], distance_m: float, wanted: int
) -> NDArray[np.int64]:
    """Return up to `wanted` cells, best first, each at least `distance_m` from better ones."""
    if not 0 < distance_m <= MAX_SEPARATION_M:
        raise InvalidInput(
            f"min_separation_m must lie within (0, {MAX_SEPARATION_M:.0f}], got {distance_m:g}",
            field="min_separation_m",
        )
    longitude, latitude = forecast.cells.centres
    x_m, y_m = to_metres(longitude, latitude, forecast.cells.crs)
    places = np.column_stack([x_m, y_m])
    tree = cKDTree(places)
    blocked = np.zeros(len(places), bool)
    taken: list[int] = []
    for row in ranking.tolist():
        if blocked[row]:
            continue
        taken.append(row)
        if len(taken) == wanted:
            break
        blocked[tree.query_ball_point(places[row], distance_m * (1 - 1e-6))] = True
    return np.array(taken, np.int64)


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
    forecast: Forecast, options: HotspotOptions, service: ForecastService | None = None
) -> bytes:
    """Return the flagged cells' polygons with rank, and what they cover and catch, as GeoJSON.

    Args:
        forecast: the forecast.
        options: which cells to flag.
        service: required for `compare` only.
    """
    rows = hotspot_rows(forecast, options)
    head = hotspots_head(forecast, rows, options.top)
    labels = {name: [value] * len(rows) for name, value in forecast.labels().items()}
    more: dict[str, list[Any]] = {"rank": list(range(1, len(rows) + 1)), **labels}
    if options.compare and service is not None:
        changes, before = _changes(service, forecast, options, ids_of(forecast, rows))
        head["changes"] = changes
        if before is not None:
            more.update(_moves(ids_of(forecast, rows), before))
    if options.dissolve:
        return collection(head, _dissolved(forecast, rows))
    return collection(head, features(forecast, rows, **more))


def _moves(ids: Sequence[int | str], before: Mapping[int | str, int]) -> dict[str, list[Any]]:
    """Return for each flagged cell whether it is new, its earlier rank, and the ranks gained."""
    earlier = [before.get(one) for one in ids]
    return {
        "entered": [rank is None for rank in earlier],
        "rank_before": earlier,
        "rank_change": [
            None if rank is None else rank - now for now, rank in enumerate(earlier, start=1)
        ],
    }


def hotspots_csv(forecast: Forecast, options: HotspotOptions) -> bytes:
    """Return the flagged cells as CSV, best first.

    Raises:
        InvalidInput: `dissolve` or `compare` is set; or see `hotspot_rows`.
    """
    if options.dissolve or options.compare:
        raise InvalidInput("dissolve and compare need f=geojson or f=parquet", field="f")
    rows = hotspot_rows(forecast, options)
    longitude, latitude = forecast.cells.centres
    return csv_bytes(
        {
            "rank": np.arange(1, len(rows) + 1),
            "id": ids_of(forecast, rows),
            "longitude": longitude[rows],
            "latitude": latitude[rows],
            **cell_columns(forecast, rows),
            **{name: [value] * len(rows) for name, value in forecast.labels().items()},
        }
    )


def _dissolved(forecast: Forecast, rows: NDArray[np.int64]) -> bytes:
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
        }
        geometry = shapely.to_geojson(cut(parts[part])).encode()
        result.append(
            b'{"type":"Feature","id":%d,"properties":%b,"geometry":%b}'
            % (rank, orjson.dumps(properties), geometry)
        )
    return b",".join(result)


def _changes(
    service: ForecastService,
    forecast: Forecast,
    options: HotspotOptions,
    ids: Sequence[int | str],
) -> tuple[dict[str, Any], dict[int | str, int] | None]:
    """Compare the flagged cells with those forecast for the same hours a week before.

    Returns:
        Changes for the reply, and the ranks (from 1) of the earlier list by cell; without an earlier
        list these are None, and the changes hold the reason.
    """
    before = _week_before(service, forecast)
    if isinstance(before, str):
        return {"against": None, "entered": [], "left": [], "kept": 0, "reason": before}, None
    old_ids: Sequence[int | str] = ids_of(before, hotspot_rows(before, options))
    ranks: dict[int | str, int] = {one: rank for rank, one in enumerate(old_ids, start=1)}
    now = set(ids)
    left = [one for one in old_ids if one not in now]
    older = before.version.record.version
    changes = {
        "against": {
            "model_version": older,
            "at": before.at.isoformat(),
            "expected_total": before.expected_total,
        },
        "entered": [one for one in ids if one not in ranks],
        "left": left,
        "left_rank_before": [ranks[one] for one in left],
        "kept": len(now & set(old_ids)),
        "reason": "same version" if _is_same(before, forecast) else None,
    }
    return changes, ranks


def _is_same(one: Forecast, other: Forecast) -> bool:
    """Return whether two forecasts come from the same state of the same version."""
    named = [(f.version.record.version, f.version.state_id) for f in (one, other)]
    return named[0] == named[1]


def _week_before(service: ForecastService, forecast: Forecast) -> Forecast | str:
    """Return the forecast of the same hours a week before, or the reason why there is none."""
    record, at = forecast.version.record, forecast.at - WEEK
    with service.engine.connect() as connection:
        older = older_version(connection, record.region_key, at, record.model)
    if older is None:
        return (
            f"no version of {record.model} had its data end before {at:%Y-%m-%d %H:%M} UTC, "
            "so there is no forecast of that week to compare with; train one with `until`"
        )
    version = service.load(forecast.version.region.id, older)
    earlier_s = forecast.plan.start_s - int(WEEK.total_seconds())
    selector = replace(forecast.selector, window=None, state=None)
    plan = service.plan_of(version, selector, earlier_s, forecast.plan.n_slots)
    before = service.forecast_of(plan)
    cells, old_cells = forecast.cells, before.cells
    if len(old_cells) != len(cells) or list(old_cells.ids) != list(cells.ids):
        return f"the version of that week, {older.version}, has other cells"
    return before
