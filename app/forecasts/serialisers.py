"""Densities as the contract's JSON, GeoJSON and CSV."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from app.forecasts.types import Forecast
from models.base import FloatArray

SIGNIFICANT_DIGITS = 8
"""Of probabilities and densities: half a unit of the last place sums to far below 1e-6."""
COLUMNS = (
    "probability",
    "density_per_km2",
    "expected_count",
    "expected_count_lo",
    "expected_count_hi",
)
_JSON = orjson.OPT_SERIALIZE_NUMPY


def rounded(values: FloatArray, digits: int = SIGNIFICANT_DIGITS) -> FloatArray:
    """Values with that many significant digits: a third of the bytes, far below any error.

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
    """The figures of some cells, rounded as replies show them."""
    low, high = forecast.interval
    return {
        "probability": rounded(forecast.probability[rows]),
        "density_per_km2": rounded(forecast.density_per_km2[rows]),
        "expected_count": rounded(forecast.expected_count[rows]),
        "expected_count_lo": low[rows].astype(np.int64),
        "expected_count_hi": high[rows].astype(np.int64),
    }


def ids_of(forecast: Forecast, rows: NDArray[np.int64]) -> list[int] | list[str]:
    """Ids of some cells."""
    ids = forecast.cells.ids
    return [ids[row] for row in rows.tolist()]


def density_json(forecast: Forecast) -> bytes:
    """The contract's density reply: arrays by cell."""
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


def csv_bytes(columns: dict[str, Any]) -> bytes:
    """Columns of equal length as CSV with a header line."""
    buffer = io.BytesIO()
    buffer.write(",".join(columns).encode() + b"\n")
    options = pa_csv.WriteOptions(include_header=False, quoting_style="needed")
    pa_csv.write_csv(pa.table(columns), buffer, options)
    return buffer.getvalue()


def density_csv(forecast: Forecast) -> bytes:
    """One line a cell."""
    rows = forecast.rows
    longitude, latitude = forecast.cells.centres
    return csv_bytes(
        {
            "id": ids_of(forecast, rows),
            "longitude": longitude[rows],
            "latitude": latitude[rows],
            **cell_columns(forecast, rows),
        }
    )


def features(forecast: Forecast, rows: NDArray[np.int64], **more: list[Any]) -> bytes:
    """GeoJSON features (joined by commas) of some cells' polygons; `more` are further columns."""
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
    """A FeatureCollection with further members."""
    opening = orjson.dumps({"type": "FeatureCollection", **head}, option=_JSON)
    return opening[:-1] + b',"features":[' + body + b"]}"


def density_geojson(forecast: Forecast) -> bytes:
    """All cells as polygons."""
    head = {**forecast.heading(), **forecast.cells.head()}
    return collection(head, features(forecast, forecast.rows))
