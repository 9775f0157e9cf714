"""Densities and hourly series as JSON, GeoJSON and CSV."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from app.core.errors import InvalidInput, LimitExceeded
from app.core.output.plain_text import in_spreadsheet
from app.core.zones import zone
from app.forecasts.forecast import Forecast
from app.forecasts.plan import Plan, Selector
from app.forecasts.service import ForecastService
from models.units import FloatArray

SIGNIFICANT_DIGITS = 8
"""Digits of probabilities and densities; rounding errors sum to far below 1e-6."""
BAND_DIGITS = 4
MAX_VALUES = 4_000_000
"""Maximum number of slots x cells of a reply: about 40 MB of JSON."""
SERIES_DIGITS = 5
NAMES = frozenset({"name", "place", "neighbourhood", "area", "category"})
"""Columns of text from outside, which spreadsheets must not take for formulas."""

_JSON = orjson.OPT_SERIALIZE_NUMPY


def rounded(values: FloatArray, digits: int = SIGNIFICANT_DIGITS) -> FloatArray:
    """Round values to significant digits, which takes a third of the bytes.

    >>> rounded(np.array([123.456, 0.0, 1.23456e-7]), 3).tolist()
    [123.0, 0.0, 1.23e-07]
    """
    safe = np.where(values == 0, 1.0, np.abs(values))
    # A power of ten with a negative exponent is inexact; dividing by its inverse is not.
    exponent = digits - 1 - np.floor(np.log10(safe)).astype(np.int64)
    up, down = 10.0 ** np.maximum(exponent, 0), 10.0 ** np.maximum(-exponent, 0)
    result: FloatArray = np.round(values * up / down) / up * down
    return result


def cell_columns(forecast: Forecast, rows: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """Return the rounded columns of some cells."""
    count, bounds = forecast.expected_count[rows], forecast.band_of(rows)
    low, high = forecast.interval_of(count)
    harm = {}
    if forecast.harm_total is not None:
        harm = {"expected_harm": rounded(forecast.probability[rows] * forecast.harm_total)}
    band = {}
    if bounds is not None:
        named = zip(("band_lo", "band_hi"), bounds, strict=True)
        band = {name: rounded(bound, BAND_DIGITS) for name, bound in named}
    return {
        "probability": rounded(forecast.probability[rows]),
        "density_per_km2": rounded(forecast.density_per_km2[rows]),
        "expected_count": rounded(count),
        "expected_count_lo": low.astype(np.int64),
        "expected_count_hi": high.astype(np.int64),
        **band,
        **harm,
    }


def ids_of(forecast: Forecast, rows: NDArray[np.int64]) -> list[int] | list[str]:
    """Return the ids of some cells."""
    ids = forecast.cells.ids
    return [ids[row] for row in rows.tolist()]


def density_json(forecast: Forecast) -> bytes:
    """Return a density as JSON with arrays by cell."""
    rows = forecast.rows
    longitude, latitude = forecast.cells.centres
    body = {
        **forecast.heading(),
        **forecast.cells.head(),
        "cells": {
            "id": ids_of(forecast, rows),
            "longitude": longitude[rows],
            "latitude": latitude[rows],
            **cell_columns(forecast, rows),
        },
    }
    return orjson.dumps(body, option=_JSON)


def flat(value: Any) -> Any:
    """Return a value for formats without lists: those of a list as text, joined by spaces."""
    if not isinstance(value, list):
        return value
    return " ".join(f"{one:.6g}" if isinstance(one, float) else str(one) for one in value)


def csv_bytes(columns: dict[str, Any]) -> bytes:
    """Return columns of equal length as CSV with a header line."""
    buffer = io.BytesIO()
    buffer.write(",".join(columns).encode() + b"\n")
    options = pa_csv.WriteOptions(include_header=False, quoting_style="needed")
    pa_csv.write_csv(pa.table(columns), buffer, options)
    return buffer.getvalue()


def forecast_csv(forecast: Forecast, columns: dict[str, Any]) -> bytes:
    """Return a list of a forecast as CSV that can stand alone: names, labels and, at last, the warnings."""
    safe = {
        name: [one and in_spreadsheet(one) for one in column] if name in NAMES else column
        for name, column in columns.items()
    }
    n = len(next(iter(columns.values())))
    return csv_bytes({**safe, "warnings": pa.repeat(forecast.warned, n)})


def density_csv(forecast: Forecast) -> bytes:
    """Return a density as CSV with one line per cell; each says what it is a forecast of."""
    rows = forecast.rows
    longitude, latitude = forecast.cells.centres
    return csv_bytes(
        {
            "id": ids_of(forecast, rows),
            "longitude": longitude[rows],
            "latitude": latitude[rows],
            **cell_columns(forecast, rows),
            **{
                name: pa.repeat(
                    value and in_spreadsheet(value) if name in NAMES else value, len(rows)
                )
                for name, value in forecast.labels().items()
            },
        }
    )


def features(forecast: Forecast, rows: NDArray[np.int64], **more: list[Any]) -> bytes:
    """Return GeoJSON features of some cells, joined by commas; `more` are further columns."""
    columns = {
        **more,
        "id": ids_of(forecast, rows),
        **{name: column.tolist() for name, column in cell_columns(forecast, rows).items()},
    }
    names = list(columns)
    geometry = forecast.cells.geometry_json
    parts = [
        b'{"type":"Feature","id":%b,"properties":%b,"geometry":%b}'
        % (
            orjson.dumps(values[len(more)]),
            orjson.dumps(dict(zip(names, values, strict=True))),
            geometry[row],
        )
        for row, values in zip(rows.tolist(), zip(*columns.values(), strict=True), strict=True)
    ]
    return b",".join(parts)


def collection(head: dict[str, Any], body: bytes) -> bytes:
    """Return a FeatureCollection with the members of `head`."""
    opening = orjson.dumps({"type": "FeatureCollection", **head}, option=_JSON)
    return opening[:-1] + b',"features":[' + body + b"]}"


def density_geojson(forecast: Forecast) -> bytes:
    """Return a density as GeoJSON with one polygon per cell."""
    head = {**forecast.heading(), **forecast.cells.head()}
    return collection(head, features(forecast, forecast.rows))


def slot_rows(service: ForecastService, plan: Plan) -> dict[str, list[Any]]:
    """Return columns with an entry per slot: local time, window, expected total with interval."""
    mean = service.slot_means(plan)
    low, high = np.empty(len(mean)), np.empty(len(mean))
    for days in np.unique(plan.lead_days).tolist():
        mine = plan.lead_days == days
        low[mine], high[mine] = plan.counts_at(days).interval(mean[mine])
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
    """Return the expected total of each slot as JSON; with cells, also their expected counts.

    `check_series` limits the number of cells and slots.
    """
    columns = slot_rows(service, forecast.plan)
    slots = [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]
    body: dict[str, Any] = {**forecast.heading(), "slots": slots}
    if with_cells:
        body = {**body, **forecast.cells.head(), "cells": _cells_by_slot(service, forecast)}
    return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)


def check_no_cells(selector: Selector) -> None:
    """Raise if a series without cells is asked for cells of some kind.

    Raises:
        InvalidInput: names the selector of cells.
    """
    named = {
        "cell_size_m": selector.cell_size_m is not None,
        "grid": selector.grid != "square",
        "resolution": selector.resolution is not None,
    }
    for name, given in named.items():
        if given:
            raise InvalidInput(f"{name} needs cells=true", field=name)


def check_series(service: ForecastService, plan: Plan) -> None:
    """Raise if a series with cells would be too large, without computing anything.

    Raises:
        LimitExceeded: slots x cells, by an estimate, is above the limit.
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


def slot_tables(
    service: ForecastService, forecast: Forecast, rows: NDArray[np.int64]
) -> FloatArray:
    """Return the share (K, len(rows)) of each hour's incidents in cells; `check_series` limits the number."""
    plan = forecast.plan
    slots = plan.slot_kinds
    _, regridding = service.cells.of(plan.version, plan.selector)
    own = rows if regridding is None else None
    tables = service.tables.tables_of(plan.version, plan.codes, slots, rows=own)
    if regridding is not None:
        tables = {slot: regridding.apply(table)[rows] for slot, table in tables.items()}
    return np.stack([tables[slot] for slot in slots])


def _cells_by_slot(service: ForecastService, forecast: Forecast) -> dict[str, Any]:
    rows = forecast.rows
    counts = forecast.slot_mean[:, None] * slot_tables(service, forecast, rows)
    longitude, latitude = forecast.cells.centres
    return {
        "id": ids_of(forecast, rows),
        "longitude": longitude[rows],
        "latitude": latitude[rows],
        "expected_count": rounded(counts, SERIES_DIGITS),
    }


def series_csv(service: ForecastService, forecast: Forecast) -> bytes:
    """Return a series as CSV with one line per slot."""
    return csv_bytes(slot_rows(service, forecast.plan))
