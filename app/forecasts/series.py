"""A forecast slot by slot: the week at a glance, with or without its cells."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import orjson

from app.core.errors import LimitExceeded
from app.core.zones import zone
from app.forecasts.serialisers import csv_bytes, ids_of, rounded
from app.forecasts.service import ForecastService, Plan
from app.forecasts.types import Forecast

MAX_VALUES = 4_000_000
"""Slots x cells of one reply: about 40 MB of JSON."""
SERIES_DIGITS = 5


def slot_rows(service: ForecastService, plan: Plan) -> dict[str, list[Any]]:
    """Columns, one entry a slot: at (local), window, expected_total with interval."""
    mean = service.slot_means(plan)
    low, high = plan.version.counts.interval(mean)
    local = zone(plan.version.region.timezone)
    return {
        "at": [
            datetime.fromtimestamp(int(t), UTC).astimezone(local).isoformat()
            for t in plan.slots.time_s
        ],
        "window": plan.slots.window.tolist(),
        "expected_total": rounded(mean, 6).tolist(),
        "expected_total_lo": low.astype(int).tolist(),
        "expected_total_hi": high.astype(int).tolist(),
    }


def series_json(service: ForecastService, forecast: Forecast, with_cells: bool) -> bytes:
    """Each slot's expected total; with cells also each cell's expected count, slot by slot.

    See `check_series` for how many cells and slots are too many.
    """
    columns = slot_rows(service, forecast.plan)
    slots = [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]
    body: dict[str, Any] = {**forecast.heading(), "slots": slots}
    if with_cells:
        body = {**body, **forecast.cells.head(), "cells": _cells(service, forecast)}
    return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)


def check_series(service: ForecastService, plan: Plan) -> None:
    """Nothing when a series may tell of every cell; nothing is read or worked out for it.

    Raises:
        LimitExceeded: slots x cells is above the limit; cells are estimated where none were made.
    """
    n_cells = service.cells.estimate(plan.version, plan.selector)
    n_values = plan.n_slots * n_cells
    if n_values > MAX_VALUES:
        raise LimitExceeded(
            f"{plan.n_slots} slots x {n_cells} cells = {n_values} values, "
            f"the limit is {MAX_VALUES}",
            field="cells",
            limit=MAX_VALUES,
            asked=n_values,
        )


def _cells(service: ForecastService, forecast: Forecast) -> dict[str, Any]:
    plan, rows = forecast.plan, forecast.rows
    tables = service.tables.tables(plan.version, service.code_of(plan), plan.slots.window.tolist())
    _, movement = service.cells.of(plan.version, plan.selector)
    moved = {w: t if movement is None else movement.moved(t) for w, t in tables.items()}
    counts = np.stack(
        [
            mean * moved[int(window)][rows]
            for window, mean in zip(plan.slots.window, forecast.slot_mean, strict=True)
        ]
    )
    longitude, latitude = forecast.cells.centres
    return {
        "id": ids_of(forecast, rows),
        "longitude": longitude[rows],
        "latitude": latitude[rows],
        "expected_count": rounded(counts, SERIES_DIGITS),
    }


def series_csv(service: ForecastService, forecast: Forecast) -> bytes:
    """One line a slot."""
    return csv_bytes(slot_rows(service, forecast.plan))
