"""Forecasts for user-defined areas: beats, districts, street segments, points with a radius."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson
import shapely
from numpy.typing import NDArray

from app.core.errors import InvalidInput, LimitExceeded
from app.core.output.plain_text import in_spreadsheet
from app.forecasts.forecast import Forecast
from app.forecasts.layers import Layer, LayerReader, areas_m
from app.forecasts.serialisers import collection, csv_bytes
from app.geo.antimeridian import cut_each
from app.geo.hexagons import projected
from app.geo.overlaps import PolygonOverlap
from app.geo.study_area import make_valid

MAX_AREAS = 5_000
MAX_VERTICES = 200_000
MAX_BUFFER_M = 5_000.0
MAX_INVALID_VERTICES = 300
MAX_LINE_VERTICES = 10_000
MAX_CROSSINGS = 60_000
"""Maximum number of segments whose boxes overlap; a crossing costs about 30 microseconds."""
SEGMENTS_PER_QUERY = 500


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


def polygons_m(features: Sequence[Mapping[str, Any]], crs: str, buffer_m: float) -> NDArray[Any]:
    """Return valid polygons (n,) of GeoJSON features, in metres; lines and points are buffered.

    Raises:
        InvalidInput: a feature is invalid or outside the globe.
        LimitExceeded: too many areas or vertices.
    """
    if not features:
        raise InvalidInput("areas contain no features", field="areas")
    if len(features) > MAX_AREAS:
        raise LimitExceeded(
            f"{len(features)} areas, the limit is {MAX_AREAS}",
            field="areas",
            limit=MAX_AREAS,
            asked=len(features),
        )
    geometries = [_geometry(feature, place) for place, feature in enumerate(features)]
    shapes = np.array(geometries, dtype=object)
    n_vertices = int(shapely.get_num_coordinates(shapes).sum())
    if n_vertices > MAX_VERTICES:
        raise LimitExceeded(
            f"{n_vertices} vertices, the limit is {MAX_VERTICES}",
            field="areas",
            limit=MAX_VERTICES,
            asked=n_vertices,
        )
    west, south, east, north = shapely.total_bounds(shapes)
    if not (west >= -180 and east <= 180 and south >= -90 and north <= 90):
        raise InvalidInput("areas must be in degrees (WGS 84)", field="areas")
    _check_complexity(shapes)
    shapes_m = projected(shapes, crs)
    if not np.isfinite(shapely.get_coordinates(shapes_m)).all():
        # Beyond about 90 degrees the projection is undefined, and GEOS crashes on such a line.
        raise InvalidInput("areas are too far from the region", field="areas")
    is_line = shapely.get_dimensions(shapes_m) < 2
    shapes_m[is_line] = [_buffered(shape, buffer_m) for shape in shapes_m[is_line]]
    return np.asarray(make_valid(shapes_m))


def _check_complexity(shapes: NDArray[Any]) -> None:
    """Reject geometries whose repair or buffering would take too long.

    Both take time quadratic in the number of segments that cross each other.

    Raises:
        LimitExceeded: too many crossings or vertices.
    """
    n_vertices = shapely.get_num_coordinates(shapes)
    invalid = ~shapely.is_valid(shapes)
    if n_vertices[invalid].sum() > MAX_INVALID_VERTICES:
        place = int(np.flatnonzero(invalid)[0])
        raise LimitExceeded(
            f"self-intersecting polygons may have {MAX_INVALID_VERTICES} vertices together; "
            "repair the polygons",
            field=f"areas.features.{place}.geometry",
        )
    n_line_vertices = int(n_vertices[shapely.get_dimensions(shapes) < 2].sum())
    if n_line_vertices > MAX_LINE_VERTICES:
        raise LimitExceeded(
            f"lines and points have {n_line_vertices} vertices, the limit is {MAX_LINE_VERTICES}",
            field="areas",
        )
    left = MAX_CROSSINGS
    for place in np.flatnonzero(shapely.get_dimensions(shapes) == 1).tolist():
        left -= _count_crossings(shapes[place], left)
        if left < 0:
            raise LimitExceeded(
                "lines cross themselves too often; split or simplify them",
                field=f"areas.features.{place}.geometry",
            )


def _count_crossings(shape: Any, limit: int) -> int:
    """Count pairs of segments with overlapping boxes that are not neighbours, up to a limit.

    Ten thousand segments may have a hundred million pairs.
    """
    segments = np.concatenate([_segments(part) for part in shapely.get_parts(shape)])
    tree, found = shapely.STRtree(segments), -3 * len(segments)
    for start in range(0, len(segments), SEGMENTS_PER_QUERY):
        found += tree.query(segments[start : start + SEGMENTS_PER_QUERY]).shape[1]
        if found > limit:
            break
    return max(found, 0)


def _buffered(shape: Any, buffer_m: float) -> Any:
    """Buffer a line or points by `buffer_m`.

    Segments are buffered one by one and then joined: buffering a line that crosses itself as a whole
    takes minutes.
    """
    pieces: list[Any] = []
    for part in shapely.get_parts(shape):
        wide: Any = shapely.buffer(_segments(part), buffer_m, quad_segs=8)
        pieces.extend(wide)
    return shapely.union_all(pieces)


def _segments(part: Any) -> NDArray[Any]:
    """Return the segments of a line, or a point unchanged."""
    xy = shapely.get_coordinates(part)
    if len(xy) < 2:
        return np.array([part])
    return np.asarray(shapely.linestrings(np.stack([xy[:-1], xy[1:]], axis=1)))


def _geometry(feature: Mapping[str, Any], place: int) -> Any:
    field = f"areas.features.{place}.geometry"
    geometry = feature.get("geometry") if isinstance(feature, Mapping) else None
    if not isinstance(geometry, Mapping):
        raise InvalidInput("an area must have a GeoJSON geometry", field=field)
    try:
        shape = shapely.from_geojson(orjson.dumps(geometry))
    except (shapely.errors.GEOSException, TypeError, orjson.JSONEncodeError) as error:
        raise InvalidInput("the geometry is not valid GeoJSON", field=field) from error
    if shape is None or shape.is_empty:
        raise InvalidInput("the geometry is empty", field=field)
    return shapely.force_2d(shape)
