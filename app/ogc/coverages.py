"""The density as CoverageJSON: hours x cells of the region's grid, or the hours of one place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
import shapely
from numpy.typing import NDArray

from app.core.errors import InvalidInput, NotFound
from app.core.texts import shortened
from app.core.zones import zone
from app.forecasts.forecast import Forecast
from app.forecasts.rendering.files import NODATA, Frame, frame_of, raster_of
from app.forecasts.replies.serialisers import rounded, slot_rows, slot_tables
from app.forecasts.service import ForecastService
from app.geo.study_area import to_metres
from app.ogc.collections import GREGORIAN, PARAMETERS, parameter
from app.ogc.crs import Reference, storage_of

MAX_WKT_CHARS = 20_000
SINGLE_DIGITS = 7
"""Digits of rasters, which have single precision."""
_JSON = orjson.OPT_SERIALIZE_NUMPY


def parse_coords(text: str, kinds: Sequence[str]) -> Any:
    """Parse the well-known text of `coords`.

    Raises:
        InvalidInput: it is none, of another kind, or invalid.
    """
    try:
        shape = shapely.from_wkt(text)
    except shapely.errors.GEOSException as error:
        raise InvalidInput(f"coords is not WKT: {shortened(text)}", field="coords") from error
    if shape is None or shape.geom_type not in kinds or shape.is_empty or not shape.is_valid:
        raise InvalidInput(f"coords must be a valid {' or '.join(kinds)}", field="coords")
    if not np.isfinite(shape.bounds).all():
        raise InvalidInput("coords must be finite numbers", field="coords")
    return shape


def parse_names(text: str | None) -> tuple[str, ...]:
    """Parse `parameter-name`: names joined by commas; without it all.

    Raises:
        InvalidInput: there is no such parameter.
    """
    names = tuple(PARAMETERS) if text is None else tuple(text.split(","))
    for name in names:
        if name not in PARAMETERS:
            raise InvalidInput(
                f"no parameter {shortened(name)}; there are {', '.join(PARAMETERS)}",
                field="parameter-name",
            )
    return names


def _values(
    service: ForecastService, forecast: Forecast, rows: NDArray[np.int64], names: Sequence[str]
) -> dict[str, NDArray[np.float64]]:
    """Return the values (K, len(rows)) of each parameter, hour by hour."""
    share = slot_tables(service, forecast, rows)
    made = {
        "expected_count": lambda: share * forecast.slot_mean[:, None],
        "density_per_km2": lambda: share / forecast.cells.area_km2[rows],
        "probability": lambda: share,
    }
    return {name: rounded(made[name]()) for name in names}


def place_json(
    service: ForecastService,
    forecast: Forecast,
    point: tuple[float, float],
    shown: tuple[Reference, tuple[float, float]],
    names: Sequence[str],
) -> bytes:
    """Return the hours of the cell at a place as a PointSeries.

    Args:
        service: the forecast service.
        forecast: the hours.
        point: longitude and latitude.
        shown: the place as it was given, and in which system.
        names: parameters.

    Raises:
        NotFound: the place lies in no cell.
    """
    cells = forecast.version.cells
    row = cells.grid.locate(*to_metres(np.array([point[0]]), np.array([point[1]]), cells.crs))
    if row[0] < 0:
        raise NotFound(
            f"{point[0]:g}, {point[1]:g} lies outside the study area",
            field="coords",
            code="outside",
        )
    reference, given = shown
    axes = {"x": {"values": [given[0]]}, "y": {"values": [given[1]]}}
    values = _values(service, forecast, row, names)
    return _coverage(
        service, forecast, ("PointSeries", axes, reference), ["t"],
        {name: found[:, 0] for name, found in values.items()},
    )  # fmt: skip


def grid_json(
    service: ForecastService, forecast: Forecast, names: Sequence[str], polygon: Any = None
) -> bytes:
    """Return the hours of the cells that touch the forecast's box, and a polygon, as a Grid.

    Other cells are null, as are places outside the study area.

    Raises:
        InvalidInput: no cell touches them.
    """
    rows = forecast.rows
    if polygon is not None:
        rows = rows[shapely.intersects(forecast.cells.polygons_degrees()[rows], polygon)]
    if len(rows) == 0:
        raise InvalidInput("no cell touches this area", field="coords")
    frame = frame_of(forecast)
    values = _values(service, forecast, rows, names)
    grids = {name: _rasters(forecast, frame, rows, found) for name, found in values.items()}
    half = frame.cell_size_m / 2
    axes = {
        "x": _axis(frame.west_m + half, frame.cell_size_m, frame.nx),
        "y": _axis(frame.north_m - half, -frame.cell_size_m, frame.ny),
    }
    domain = ("Grid", axes, storage_of(forecast.cells.crs))
    return _coverage(service, forecast, domain, ["t", "y", "x"], grids)


def _rasters(
    forecast: Forecast, frame: Frame, rows: NDArray[np.int64], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return values (K, ny, nx), north up; not a number, in JSON null, where there is no cell."""
    every = np.full(len(forecast.cells), NODATA)
    result = np.empty((len(values), frame.ny, frame.nx))
    for hour, found in enumerate(values):
        every[rows] = found
        result[hour] = raster_of(forecast, frame, every)
    return np.where(result == NODATA, np.nan, rounded(result, SINGLE_DIGITS))


def _axis(start: float, step: float, n: int) -> dict[str, Any]:
    if n == 1:
        return {"values": [start]}
    return {"start": start, "stop": start + step * (n - 1), "num": n}


def _coverage(
    service: ForecastService,
    forecast: Forecast,
    domain: tuple[str, dict[str, Any], Reference],
    axes: list[str],
    values: dict[str, NDArray[np.float64]],
) -> bytes:
    kind, places, reference = domain
    geographic = reference.code in ("OGC:CRS84", "EPSG:4326")
    system = {"type": "GeographicCRS" if geographic else "ProjectedCRS", "id": reference.uri}
    hours = slot_rows(service, forecast.plan)["at"]
    named = ["y", "x"] if reference.flipped else ["x", "y"]
    body = {
        "type": "Coverage",
        "domain": {
            "type": "Domain",
            "domainType": kind,
            "axes": {**places, "t": {"values": hours}},
            "referencing": [
                {"coordinates": named, "system": system},
                {
                    "coordinates": ["t"],
                    "system": {"type": "TemporalRS", "calendar": "Gregorian", "id": GREGORIAN},
                },
            ],
        },
        "parameters": {name: parameter(name) for name in values},
        "ranges": {
            name: {
                "type": "NdArray",
                "dataType": "float",
                "axisNames": axes,
                "shape": list(found.shape),
                "values": found.ravel(),
            }
            for name, found in values.items()
        },
        "hotslot": {
            **forecast.heading(),
            **forecast.cells.head(),
            "timezone": str(zone(forecast.version.region.timezone)),
        },
    }
    return orjson.dumps(body, option=_JSON)
