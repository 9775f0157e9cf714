"""Longitudes near the 180th meridian: continuous for computing, within -180..180 in replies.

A place has one longitude in -180..180, but an area that lies on both sides of the meridian is
continuous only if one side continues beyond 180. Replies cut such shapes at the meridian (RFC 7946,
3.1.9).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.affinity import affine_transform

HALF_TURN_DEG, TURN_DEG = 180.0, 360.0


def normalised(longitude: Any) -> Any:
    """Return longitudes within -180..180; those already inside are unchanged.

    >>> float(normalised(180.5)), float(normalised(-84.5))
    (-179.5, -84.5)
    """
    longitude = np.asarray(longitude, np.float64)
    inside = np.abs(longitude) <= HALF_TURN_DEG
    turned = (longitude + HALF_TURN_DEG) % TURN_DEG - HALF_TURN_DEG
    return np.where(inside, longitude, turned)


def unwrapped(longitude: Any, around: float) -> Any:
    """Shift longitudes by whole turns to within half a turn of `around`.

    >>> float(unwrapped(-179.5, 179.0))
    180.5
    """
    longitude = np.asarray(longitude, np.float64)
    return longitude + TURN_DEG * np.round((around - longitude) / TURN_DEG)


def continuous(longitude: Any) -> Any:
    """Return longitudes of one area without a jump: those in the west continue beyond 180.

    >>> continuous([179.9, -179.9]).round(6).tolist(), continuous([-84.5, -84.4]).tolist()
    ([179.9, 180.1], [-84.5, -84.4])
    """
    longitude = normalised(longitude)
    if longitude.size == 0 or np.ptp(longitude) <= HALF_TURN_DEG:
        return longitude
    return np.where(longitude < 0, longitude + TURN_DEG, longitude)


def middle_longitude(longitude: Any) -> float:
    """Return the median longitude of places, within -180..180, also of places on both sides of 180.

    >>> middle_longitude([179.9, 179.9, -179.9]), middle_longitude([-80.0, -79.0, 120.0])
    (179.9, -79.0)
    """
    longitude = normalised(longitude)
    plain = float(np.median(longitude))
    if np.ptp(longitude) <= HALF_TURN_DEG:
        return plain
    # Strays on the other side of the globe must not move the middle: take the tighter one.
    turned = np.where(longitude < 0, longitude + TURN_DEG, longitude)
    other = float(np.median(turned))
    if np.median(np.abs(turned - other)) < np.median(np.abs(longitude - plain)):
        return float(normalised(other))
    return plain


def in_bbox(
    longitude: Any, latitude: Any, bbox: tuple[float, float, float, float]
) -> NDArray[np.bool_]:
    """Return (n,) whether each place lies in a box; over the 180th meridian its west exceeds its east."""
    west, south, east, north = bbox
    from_west, to_east = west <= longitude, longitude <= east
    across = from_west & to_east if west <= east else from_west | to_east
    inside: NDArray[np.bool_] = across & (south <= latitude) & (latitude <= north)
    return inside


def crosses(west: float, east: float) -> bool:
    """Return whether continuous longitudes from `west` to `east` pass the 180th meridian."""
    return west < -HALF_TURN_DEG or east > HALF_TURN_DEG


def cut(shape: Any) -> Any:
    """Cut a continuous polygon or line in degrees at the meridian: every part within -180..180."""
    west, _, east, _ = shapely.bounds(shape)
    if not crosses(float(west), float(east)):
        return shape
    parts = []
    kind = shapely.get_parts(shape)[0].geom_type
    for turns in (-1, 0, 1):
        left = TURN_DEG * turns - HALF_TURN_DEG
        inside = shapely.intersection(shape, shapely.box(left, -90.0, left + TURN_DEG, 90.0))
        moved = affine_transform(inside, (1, 0, 0, 1, -TURN_DEG * turns, 0))
        parts += [p for p in shapely.get_parts(moved) if p.geom_type == kind and not p.is_empty]
    if len(parts) == 1:
        return parts[0]
    return shapely.multipolygons(parts) if kind == "Polygon" else shapely.multilinestrings(parts)


def cut_each(shapes: NDArray[Any]) -> NDArray[Any]:
    """Return shapes (N,), those that pass the meridian cut there."""
    bounds = shapely.bounds(shapes)
    over = np.flatnonzero((bounds[:, 0] < -HALF_TURN_DEG) | (bounds[:, 2] > HALF_TURN_DEG))
    if len(over) == 0:
        return shapes
    shapes = shapes.copy()
    for row in over.tolist():
        shapes[row] = cut(shapes[row])
    return shapes
