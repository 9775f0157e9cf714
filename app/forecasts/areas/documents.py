"""Forecasts for user-defined areas: beats, districts, street segments, points with a radius."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson
import shapely
from numpy.typing import NDArray

from app.core.errors import InvalidInput
from app.core.output.plain_text import in_spreadsheet
from app.forecasts.areas.layers import Layer, LayerReader, areas_m
from app.forecasts.areas.polygons import polygons_m
from app.forecasts.forecast import Forecast
from app.forecasts.replies.serialisers import collection, csv_bytes
from app.geo.antimeridian import cut_each
from app.geo.overlaps import PolygonOverlap

MAX_BUFFER_M = 5_000.0


def areas_geojson(
    forecast: Forecast, features: Sequence[Mapping[str, Any]], buffer_m: float
) -> bytes:
    """Return each area's probability, density and expected count with interval, as GeoJSON.

    The forecast must be on the squares of its version; shares are exact, because densities are
    constant within a cell. Areas may overlap: each is measured separately.

    Args:
        forecast: the forecast.
        features: GeoJSON features, WGS 84.
        buffer_m: distance by which lines and points are buffered, metres.

    Raises:
        InvalidInput: a feature is invalid or outside the globe, or `buffer_m` is out of range.
        LimitExceeded: too many areas or vertices.
    """
    if not 0 < buffer_m <= MAX_BUFFER_M:
        raise InvalidInput(
            f"buffer_m must lie within (0, {MAX_BUFFER_M:.0f}], got {buffer_m:g}", field="buffer_m"
        )
    shapes_m = polygons_m(features, forecast.cells.crs, buffer_m)
    sums = _sums(forecast, forecast.version.index.overlap(shapes_m), shapes_m)
    parts = [_feature_json(feature, i, sums[i]) for i, feature in enumerate(features)]
    return collection({**forecast.heading(), "n_areas": len(parts)}, b",".join(parts))


def layer_geojson(
    forecast: Forecast, layers: LayerReader, name: str, *, geometry: bool = True
) -> bytes:
    """Return what `areas_geojson` does of the areas of a layer of the region.

    Args:
        forecast: the forecast, on the squares of its version.
        layers: reads the layer.
        name: of the layer.
        geometry: whether to include the outlines; without them geometries are null.
    """
    layer, sums = _layer_sums(forecast, layers, name)
    shapes = shapely.to_geojson(cut_each(layer.shapes)).tolist() if geometry else []
    parts = [
        b'{"type":"Feature","properties":%b,"geometry":%b}'
        % (
            orjson.dumps({"name": area, **sums[place]}),
            shapes[place].encode() if geometry else b"null",
        )
        for place, area in enumerate(layer.names)
    ]
    head = {**forecast.heading(), "n_areas": len(parts), "layer": layer.name}
    return collection(head, b",".join(parts))


def layer_csv(forecast: Forecast, layers: LayerReader, name: str) -> bytes:
    """Return one line an area of a layer as CSV."""
    layer, sums = _layer_sums(forecast, layers, name)
    columns = {column: [one[column] for one in sums] for column in sums[0]}
    labels = {label: [value] * len(sums) for label, value in forecast.labels().items()}
    names = [in_spreadsheet(area) for area in layer.names]
    return csv_bytes({"name": names, **columns, **labels})


def _layer_sums(
    forecast: Forecast, layers: LayerReader, name: str
) -> tuple[Layer, list[dict[str, Any]]]:
    layer = layers.read(forecast.version.region, name)
    covered = layers.covered(forecast.version, layer)
    return layer, _sums(forecast, covered, areas_m(layer, forecast.cells.crs))


def _sums(
    forecast: Forecast, found: PolygonOverlap, polygons_m: NDArray[Any]
) -> list[dict[str, Any]]:
    """Return the probability, density and expected count of each polygon."""
    density = forecast.density_per_km2[found.source]
    probability = np.bincount(found.target, density * found.area_km2, len(polygons_m))
    area_km2 = np.bincount(found.target, found.area_km2, len(polygons_m))
    count = probability * forecast.expected_total
    low, high = forecast.interval_of(count)
    inside = np.divide(
        area_km2 * 1e6, shapely.area(polygons_m), out=np.zeros(len(area_km2)), where=area_km2 > 0
    )
    return [
        {
            "area_km2": float(area_km2[place]),
            "share_inside_study_area": min(float(inside[place]), 1.0),
            "probability": min(float(probability[place]), 1.0),
            "density_per_km2": (
                float(probability[place] / area_km2[place]) if area_km2[place] > 0 else None
            ),
            "expected_count": float(count[place]),
            "expected_count_lo": int(low[place]),
            "expected_count_hi": int(high[place]),
        }
        for place in range(len(polygons_m))
    ]


def _feature_json(feature: Mapping[str, Any], place: int, found: Mapping[str, Any]) -> bytes:
    """Return the given feature with further properties, as JSON."""
    given = feature.get("properties")
    properties = {**(given if isinstance(given, dict) else {}), **found}
    result = {"type": "Feature", "properties": properties, "geometry": feature.get("geometry")}
    if isinstance(feature.get("id"), str | int):
        result["id"] = feature["id"]
    try:
        return orjson.dumps(result)
    except orjson.JSONEncodeError as error:  # an integer of more than 64 bits
        raise InvalidInput(
            "properties or id cannot be encoded as JSON", field=f"areas.features.{place}"
        ) from error
