"""Read the boundary of a region from untrusted GeoJSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj.exceptions import ProjError
from shapely.errors import ShapelyError
from shapely.geometry.base import BaseGeometry

from app.core.errors import InvalidInput, LimitExceeded
from app.core.texts import shortened
from app.geo.antimeridian import TURN_DEG, continuous, unwrapped
from app.geo.geojson import declared_crs, features_of
from app.geo.study_area import (
    MAX_EXTENT_DEG,
    StudyArea,
    is_pathological,
    make_valid,
    study_area_of,
    to_degrees,
)
from app.geo.zone_places import Place, place_of_zone, standing

MAX_BOUNDARY_VERTICES = 200_000
SIDES_AT_ONCE = 64
"""Queried together: each side may meet all others, and the pairs are held in memory."""
MEETINGS_OF_NEIGHBOURS, MAX_OVERLAPS = 10, 500_000


def _geometries(geojson: Mapping[str, Any]) -> list[BaseGeometry]:
    kind = geojson.get("type")
    if kind == "FeatureCollection":
        found = features_of(geojson, "boundary")
        return [part for feature in found for part in _parts(feature.get("geometry") or {})]
    if kind == "Feature":
        return _parts(geojson.get("geometry") or {})
    return _parts(geojson)


def _parts(geometry: Any) -> list[BaseGeometry]:
    """Return a geometry, or those of a collection (one level deep)."""
    kind = geometry.get("type") if isinstance(geometry, Mapping) else None
    members = geometry.get("geometries") if kind == "GeometryCollection" else None
    return [_geometry(one) for one in (members if isinstance(members, list) else [geometry])]


def _geometry(geojson: Any) -> BaseGeometry:
    """Parse a polygon or multipolygon."""
    kind = geojson.get("type") if isinstance(geojson, Mapping) else None
    if kind not in ("Polygon", "MultiPolygon"):
        way_out = "; convert the outline to a polygon" if "Line" in str(kind) else ""
        raise InvalidInput(
            "boundary must be a Polygon, MultiPolygon or FeatureCollection of them, got "
            f"{shortened(kind)}{way_out}",
            field="boundary",
        )
    try:
        with np.errstate(all="ignore"):
            shape: BaseGeometry = shapely.geometry.shape(dict(geojson))
    except (
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        OverflowError,
        ShapelyError,
    ) as error:
        raise InvalidInput(f"boundary is not valid GeoJSON: {error}", field="boundary") from error
    # Checked before any computation: GEOS fails on coordinates that are not finite.
    xy = shapely.get_coordinates(shape)
    if not np.isfinite(xy).all():
        raise InvalidInput("boundary has coordinates that are not finite", field="boundary")
    return shape


def _in_degrees(parts: list[BaseGeometry], crs: str | None) -> list[BaseGeometry]:
    """Project parts from the CRS that the file names, if any, and check that they lie on the globe.

    Raises:
        InvalidInput: they do not; `boundary_swapped` if they do with their axes exchanged.
    """
    if crs is not None:
        try:
            parts = [
                _moved(one, lambda xy: np.column_stack(to_degrees(xy[:, 0], xy[:, 1], crs)))
                for one in parts
            ]
        except ProjError as error:
            raise InvalidInput(f"boundary: unknown CRS {crs}", field="boundary") from error
    xy = np.concatenate([shapely.get_coordinates(part) for part in parts])
    if np.all(np.abs(xy) <= (TURN_DEG, 90.0)):
        return parts
    worst = xy[int(np.argmax(np.abs(xy).max(axis=1)))]
    if crs is None and np.all(np.abs(xy) <= (90.0, TURN_DEG)):
        raise InvalidInput(
            f"boundary: the latitude {worst[1]:.6g} is beyond 90; longitude and latitude look "
            "exchanged: GeoJSON gives the longitude first; exchange them",
            field="boundary",
            code="boundary_swapped",
        )
    named = "" if crs is None else f" and its crs member {crs} does not fit"
    raise InvalidInput(
        f"boundary must be in degrees (WGS 84), got {worst[0]:.8g}, {worst[1]:.8g}{named}; convert "
        "it: ogr2ogr -t_srs EPSG:4326 boundary.geojson FILE",
        field="boundary",
    )


def _moved(shape: BaseGeometry, to: Callable[[NDArray[Any]], NDArray[Any]]) -> BaseGeometry:
    found: BaseGeometry = shapely.transform(shapely.force_2d(shape), to)
    return found


def boundary_shape(geojson: Mapping[str, Any]) -> BaseGeometry:
    """Unite and repair all polygons of a GeoJSON object; return them in degrees (WGS 84).

    Longitudes of a shape over the 180th meridian continue beyond 180, whether the file cuts it there,
    continues, or jumps.

    Raises:
        InvalidInput: no polygon, empty, outside the globe, too many vertices, wider than a city.
        LimitExceeded: its parts overlap too often.
    """
    parts = _geometries(geojson)
    if not parts:
        raise InvalidInput("boundary holds no polygon", field="boundary")
    if sum(int(shapely.get_num_coordinates(p)) for p in parts) > MAX_BOUNDARY_VERTICES:
        raise InvalidInput(f"boundary has over {MAX_BOUNDARY_VERTICES} vertices", field="boundary")
    parts = _joined_at_meridian(_in_degrees(parts, declared_crs(geojson)))
    if any(is_pathological(part) for part in parts):
        raise InvalidInput("the boundary's sides cross each other too often", field="boundary")
    _check_overlaps(parts)
    union: BaseGeometry = shapely.union_all([make_valid(shapely.force_2d(part)) for part in parts])
    west, south, east, north = union.bounds if not union.is_empty else (math.nan,) * 4
    if not all(map(math.isfinite, (west, south, east, north))):
        raise InvalidInput("boundary is empty", field="boundary")
    if max(east - west, north - south) > MAX_EXTENT_DEG:
        raise InvalidInput(
            f"boundary spans {max(east - west, north - south):.4g} degrees, a city at most "
            f"{MAX_EXTENT_DEG:g}",
            field="boundary",
        )
    return union


def _joined_at_meridian(parts: list[BaseGeometry]) -> list[BaseGeometry]:
    """Give the parts longitudes without a jump; parts that need none are unchanged."""
    longitude = np.concatenate([shapely.get_coordinates(part)[:, 0] for part in parts])
    moved = continuous(longitude)
    if np.array_equal(moved, longitude):
        return parts
    # Both sides of a cut shape have corners on the meridian.
    around = float((moved.min() + moved.max()) / 2)

    def shifted(xy: NDArray[Any]) -> NDArray[Any]:
        return np.column_stack([unwrapped(xy[:, 0], around), xy[:, 1]])

    return [_moved(part, shifted) for part in parts]


def middle_of(shape: BaseGeometry) -> Place:
    """Return the middle of a shape in degrees whose longitudes are continuous."""
    west, south, east, north = shape.bounds
    return Place((west + east) / 2, (south + north) / 2)


def check_not_swapped(shape: BaseGeometry, timezone: str) -> None:
    """Raise if a boundary lies near its time zone only with longitude and latitude exchanged.

    Raises:
        InvalidInput: it does (`boundary_swapped`).
    """
    middle = middle_of(shape)
    if standing(middle, timezone) != "swapped":
        return
    raise InvalidInput(
        f"the boundary lies near {middle}, but {timezone} near {place_of_zone(timezone)}; exchanged, "
        f"it lies near {middle.swapped()}: GeoJSON gives the longitude first; exchange the coordinates, "
        "or correct the time zone",
        field="boundary",
        code="boundary_swapped",
        params={"boundary": str(middle), "swapped": str(middle.swapped()), "timezone": timezone},
    )


def study_area_from_geojson(geojson: Mapping[str, Any], crs: str | None = None) -> StudyArea:
    """Unite all polygons of a GeoJSON object, repair and project them; see `boundary_shape`."""
    return study_area_of(boundary_shape(geojson), crs)


def _check_overlaps(parts: Sequence[BaseGeometry]) -> None:
    """Raise if the parts overlap so much that uniting them would take too long.

    A side of neighbouring parts meets some six others; in stacked shapes it meets all of theirs.

    Raises:
        LimitExceeded: their sides meet too often.
    """
    if len(parts) == 1:
        return
    xy, ring = shapely.get_coordinates(shapely.get_rings(parts), return_index=True)
    joined = ring[1:] == ring[:-1]
    sides: Any = shapely.linestrings(np.stack([xy[:-1][joined], xy[1:][joined]], axis=1))
    tree, met = shapely.STRtree(sides), 0
    limit = MEETINGS_OF_NEIGHBOURS * len(sides) + MAX_OVERLAPS
    for start in range(0, len(sides), SIDES_AT_ONCE):
        met += tree.query(sides[start : start + SIDES_AT_ONCE]).shape[1]
        if met > limit:
            raise LimitExceeded(
                f"the {len(parts)} parts of the boundary overlap too often: their {len(sides)} sides may "
                f"meet {limit} times; send parts that do not overlap",
                field="boundary",
                limit=limit,
                asked=met,
            )
