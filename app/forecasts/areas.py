"""Forecasts for areas of one's own: beats, districts, street segments, points with a radius."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson
import shapely
from numpy.typing import NDArray

from app.core.errors import InvalidInput, LimitExceeded
from app.forecasts.serialisers import collection
from app.forecasts.service import Forecast
from app.geo.hexagons import projected
from app.geo.study_area import mended

MAX_AREAS = 5_000
MAX_VERTICES = 200_000
MAX_BUFFER_M = 5_000.0
MAX_TANGLED_VERTICES = 300
MAX_THIN_VERTICES = 10_000
MAX_MEETINGS = 60_000
"""Of lines' sides by their boxes, next to those of neighbours; a crossing costs some 30 microseconds."""
SIDES_AT_ONCE = 500


def areas_geojson(
    forecast: Forecast, features: Sequence[Mapping[str, Any]], buffer_m: float
) -> bytes:
    """Each area's probability, density and expected count with interval.

    The forecast must be on its version's own squares; shares are exact, since densities are
    constant inside a cell. Areas may overlap: each is measured by itself.

    Args:
        features: GeoJSON features, WGS 84; lines and points are widened by `buffer_m` on each side.

    Raises:
        InvalidInput: not such features, or all outside the globe.
        LimitExceeded: too many areas or vertices.
    """
    if not 0 < buffer_m <= MAX_BUFFER_M:
        raise InvalidInput(f"buffer_m must lie within (0, {MAX_BUFFER_M:.0f}]", field="buffer_m")
    polygons_m = _polygons_m(features, forecast.cells.crs, buffer_m)
    found = forecast.version.index.overlap(polygons_m)
    density = forecast.density_per_km2[found.source]
    probability = np.bincount(found.target, density * found.area_km2, len(polygons_m))
    area_km2 = np.bincount(found.target, found.area_km2, len(polygons_m))
    count = probability * forecast.expected_total
    low, high = forecast.interval_of(count)
    inside = np.divide(
        area_km2 * 1e6, shapely.area(polygons_m), out=np.zeros(len(area_km2)), where=area_km2 > 0
    )
    parts = [
        _told(
            feature,
            place,
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
            },
        )
        for place, feature in enumerate(features)
    ]
    return collection({**forecast.heading(), "n_areas": len(parts)}, b",".join(parts))


def _told(feature: Mapping[str, Any], place: int, found: Mapping[str, Any]) -> bytes:
    """A feature as it was given, with what was found of it beside its own properties."""
    given = feature.get("properties")
    properties = {**(given if isinstance(given, dict) else {}), **found}
    one = {"type": "Feature", "properties": properties, "geometry": feature.get("geometry")}
    if isinstance(feature.get("id"), str | int):
        one["id"] = feature["id"]
    try:
        return orjson.dumps(one)
    except orjson.JSONEncodeError as error:  # an integer of more than 64 bits
        raise InvalidInput(
            "properties or id cannot be told as JSON", field=f"areas.features.{place}"
        ) from error


def _polygons_m(features: Sequence[Mapping[str, Any]], crs: str, buffer_m: float) -> NDArray[Any]:
    if not features:
        raise InvalidInput("areas hold no feature", field="areas")
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
    _refuse_tangles(shapes)
    shapes_m = projected(shapes, crs)
    if not np.isfinite(shapely.get_coordinates(shapes_m)).all():
        # A quarter of the globe away there are no metres; GEOS dies of widening such a line.
        raise InvalidInput("areas lie too far from the region", field="areas")
    thin = shapely.get_dimensions(shapes_m) < 2
    shapes_m[thin] = [_widened(shape, buffer_m) for shape in shapes_m[thin]]
    return np.asarray(mended(shapes_m))


def _refuse_tangles(shapes: NDArray[Any]) -> None:
    """Mending n sides that all cross each other costs n^2 pieces, widening a line of n such sides too."""
    n_vertices = shapely.get_num_coordinates(shapes)
    tangled = ~shapely.is_valid(shapes)
    if n_vertices[tangled].sum() > MAX_TANGLED_VERTICES:
        place = int(np.flatnonzero(tangled)[0])
        raise LimitExceeded("polygons cross themselves", field=f"areas.features.{place}.geometry")
    n_thin = int(n_vertices[shapely.get_dimensions(shapes) < 2].sum())
    if n_thin > MAX_THIN_VERTICES:
        raise LimitExceeded(
            f"{n_thin} points of lines, the limit is {MAX_THIN_VERTICES}", field="areas"
        )
    left = MAX_MEETINGS
    for place in np.flatnonzero(shapely.get_dimensions(shapes) == 1).tolist():
        left -= _meetings(shapes[place], left)
        if left < 0:
            raise LimitExceeded("lines cross themselves", field=f"areas.features.{place}.geometry")


def _meetings(shape: Any, limit: int) -> int:
    """How many sides of a shape's lines meet others than their neighbours, by their boxes.

    Counted up to a limit: ten thousand sides may have a hundred million.
    """
    sides = np.concatenate([_sides(part) for part in shapely.get_parts(shape)])
    tree, found = shapely.STRtree(sides), -3 * len(sides)
    for start in range(0, len(sides), SIDES_AT_ONCE):
        found += tree.query(sides[start : start + SIDES_AT_ONCE]).shape[1]
        if found > limit:
            break
    return max(found, 0)


def _widened(shape: Any, buffer_m: float) -> Any:
    """A line or points with all within `buffer_m`.

    Side by side: one outline of a line that crosses itself takes minutes, its sides' union moments.
    """
    pieces: list[Any] = []
    for part in shapely.get_parts(shape):
        wide: Any = shapely.buffer(_sides(part), buffer_m, quad_segs=8)
        pieces.extend(wide)
    return shapely.union_all(pieces)


def _sides(part: Any) -> NDArray[Any]:
    """A line's sides, one by one; a point as it is."""
    xy = shapely.get_coordinates(part)
    if len(xy) < 2:
        return np.array([part])
    return np.asarray(shapely.linestrings(np.stack([xy[:-1], xy[1:]], axis=1)))


def _geometry(feature: Mapping[str, Any], place: int) -> Any:
    field = f"areas.features.{place}.geometry"
    geometry = feature.get("geometry") if isinstance(feature, Mapping) else None
    if not isinstance(geometry, Mapping):
        raise InvalidInput("an area needs a GeoJSON geometry", field=field)
    try:
        shape = shapely.from_geojson(orjson.dumps(geometry))
    except (shapely.errors.GEOSException, TypeError, orjson.JSONEncodeError) as error:
        raise InvalidInput("not a GeoJSON geometry", field=field) from error
    if shape is None or shape.is_empty:
        raise InvalidInput("the geometry is empty", field=field)
    return shapely.force_2d(shape)
