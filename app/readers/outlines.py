"""Turn a boundary into a study area's polygon and its named parts.

Untrusted boundaries are parsed in the isolated process (`app.readers.child`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import shapely
from shapely.errors import ShapelyError
from shapely.geometry import shape

from app.core.bounds import MAX_NEIGHBOURHOODS, check_length
from app.core.errors import InvalidInput
from app.geo.geojson import features_of
from app.geo.grid import build_grid, check_cell_size
from app.geo.neighbourhoods import number_of_people
from app.geo.study_area import study_area_from_geojson

MAX_NAME_CHARS = 200
NAME_PROPERTIES = ("name", "neighborhood", "neighbourhood", "district", "ward", "label")


@dataclass(frozen=True)
class Outline:
    """A study area (`boundary` GeoJSON, WGS 84; `crs` EPSG:...) and its named parts, if any."""

    crs: str | None = None
    boundary: dict[str, Any] | None = None
    neighbourhoods: dict[str, Any] | None = None


def outline_of(
    boundary: Mapping[str, Any] | None,
    cell_size_m: float,
    neighbourhoods: Mapping[str, Any] | None = None,
) -> Outline:
    """Dissolve a boundary and collect its named parts, or those of `neighbourhoods`.

    Raises:
        InvalidInput: not valid GeoJSON, or not the area of a city.
        LimitExceeded: more cells than hotslot serves.
    """
    if boundary is None:
        return Outline(neighbourhoods=neighbourhoods_of(neighbourhoods))
    check_cell_size(cell_size_m)
    area = study_area_from_geojson(boundary)
    build_grid(area, cell_size_m)
    return Outline(area.crs, area.to_geojson(), neighbourhoods_of(neighbourhoods or boundary))


def neighbourhoods_of(boundary: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the named parts of a boundary FeatureCollection, or None if there are fewer than two."""
    collection = boundary is not None and boundary.get("type") == "FeatureCollection"
    features = features_of(boundary, "boundary") if boundary and collection else []
    check_length(features, "neighbourhoods", MAX_NEIGHBOURHOODS)
    named = []
    for position, feature in enumerate(features):
        properties = feature.get("properties") or {}
        lowered = {str(k).lower(): v for k, v in properties.items()}
        found = next((lowered[k] for k in NAME_PROPERTIES if lowered.get(k)), None)
        people = lowered.get("population")
        named.append(
            {
                "type": "Feature",
                "properties": {
                    "name": str(found or f"part {position + 1}")[:MAX_NAME_CHARS],
                    **(
                        {"population": number_of_people(people, "population")}
                        if isinstance(people, int | float)
                        else {}
                    ),
                },
                "geometry": _geometry(feature.get("geometry")),
            }
        )
    return {"type": "FeatureCollection", "features": named} if len(named) > 1 else None


def _geometry(given: Any) -> dict[str, Any] | None:
    """Return a feature's geometry reduced to standard GeoJSON."""
    if not given:
        return None
    try:
        found = shapely.force_2d(shape(given))
        geometry: dict[str, Any] = json.loads(shapely.to_geojson(found))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, ShapelyError) as error:
        raise InvalidInput(f"not a GeoJSON geometry: {error}", field="neighbourhoods") from error
    return geometry
