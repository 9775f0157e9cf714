"""Polygons of areas that a request sends: valid, in metres, within limits of work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson
import shapely
from numpy.typing import NDArray

from app.core.bounds import check_number
from app.core.errors import InvalidInput, LimitExceeded
from app.geo.hexagons import projected
from app.geo.study_area import make_valid

MAX_AREAS = 5_000
MAX_VERTICES = 200_000
MAX_INVALID_VERTICES = 300
MAX_LINE_VERTICES = 10_000
MAX_CROSSINGS = 60_000
"""Maximum number of segments whose boxes overlap; a crossing costs about 30 microseconds."""
SEGMENTS_PER_QUERY = 500


def polygons_m(features: Sequence[Mapping[str, Any]], crs: str, buffer_m: float) -> NDArray[Any]:
    """Return valid polygons (n,) of GeoJSON features, in metres; lines and points are buffered.

    Raises:
        InvalidInput: a feature is invalid or outside the globe.
        LimitExceeded: too many areas or vertices.
    """
    if not features:
        raise InvalidInput("areas contain no features", field="areas")
    check_number(len(features), MAX_AREAS, f"{len(features)} areas", "areas")
    geometries = [_geometry(feature, place) for place, feature in enumerate(features)]
    shapes = np.array(geometries, dtype=object)
    n_vertices = int(shapely.get_num_coordinates(shapes).sum())
    check_number(n_vertices, MAX_VERTICES, f"{n_vertices} vertices", "areas")
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
