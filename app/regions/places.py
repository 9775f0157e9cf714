"""Compare where a region lies with its time zone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from app.core.messages import Message, MessageTable
from app.geo.antimeridian import continuous, normalised
from app.geo.boundaries import middle_of
from app.geo.zone_places import Place, place_of_zone, standing

PLACE_WARNINGS = MessageTable(
    {
        "zone_far_from_boundary": "the boundary lies near {boundary}, {km:,.0f} km from {timezone} "
        "({zone}); correct the time zone or the boundary if that is wrong",
    }
)


def boundary_shape_of(boundary: Mapping[str, Any]) -> BaseGeometry:
    """Return a stored boundary (GeoJSON geometry, WGS 84) with continuous longitudes."""
    shape: BaseGeometry = shapely.transform(
        shapely.from_geojson(json.dumps(boundary)),
        lambda xy: np.column_stack([continuous(xy[:, 0]), xy[:, 1]]),
    )
    return shape


def middle_of_boundary(boundary: Mapping[str, Any]) -> Place:
    """Return roughly where a stored boundary (GeoJSON geometry, WGS 84) lies."""
    middle = middle_of(boundary_shape_of(boundary))
    return Place(float(normalised(middle.longitude)), middle.latitude)


def place_warnings(boundary: Mapping[str, Any] | None, timezone: str) -> list[Message]:
    """Return what looks wrong about a boundary's place."""
    zone = place_of_zone(timezone)
    if boundary is None or zone is None:
        return []
    middle = middle_of_boundary(boundary)
    if standing(middle, timezone) == "near":
        return []
    found = {"boundary": str(middle), "km": round(middle.km_to(zone))}
    return [
        PLACE_WARNINGS.make("zone_far_from_boundary", **found, timezone=timezone, zone=str(zone))
    ]
