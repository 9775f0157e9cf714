"""Compare where a region lies with its time zone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import shapely

from app.core.messages import Message, MessageTable
from app.geo.antimeridian import continuous, normalised
from app.geo.zone_places import Place, place_of_zone, standing

PLACE_WARNINGS = MessageTable(
    {
        "zone_far_from_boundary": "the boundary lies near {boundary}, {km:,.0f} km from {timezone} "
        "({zone}); correct the time zone or the boundary if that is wrong",
    }
)


def middle_of_boundary(boundary: Mapping[str, Any]) -> Place:
    """Return roughly where a stored boundary (GeoJSON geometry, WGS 84) lies."""
    xy = shapely.get_coordinates(shapely.from_geojson(json.dumps(boundary)))
    corners = np.column_stack([continuous(xy[:, 0]), xy[:, 1]])
    low, high = corners.min(axis=0), corners.max(axis=0)
    longitude, latitude = ((low + high) / 2).tolist()
    return Place(float(normalised(longitude)), latitude)


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
