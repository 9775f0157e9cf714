"""Creating regions: a boundary file or request becomes a study area with a projected CRS."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import shapely
from shapely.errors import ShapelyError
from shapely.geometry import shape
from sqlalchemy import Engine

from app.domain.bounds import MAX_NEIGHBOURHOODS, MAX_REGIONS, check_length
from app.domain.errors import InvalidInput
from app.domain.geojson import features_of
from app.domain.grid import build_grid, check_cell_size
from app.domain.neighbourhoods import number_of_people
from app.domain.study_area import study_area_from_geojson
from app.domain.zones import zone
from app.storage import audit
from app.storage import regions as store
from app.storage.regions import Region

REGION_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
MAX_NAME_CHARS = 200
DEFAULT_CELL_SIZE_M = 250.0
NAME_PROPERTIES = ("name", "neighborhood", "neighbourhood", "district", "ward", "label")


def add_region(
    engine: Engine,
    region_id: str,
    *,
    timezone: str,
    name: str | None = None,
    boundary: Mapping[str, Any] | None = None,
    cell_size_m: float = DEFAULT_CELL_SIZE_M,
    neighbourhoods: Mapping[str, Any] | None = None,
    limit: int = MAX_REGIONS,
) -> Region:
    """Create a region; its boundary is dissolved, its parts kept as neighbourhoods.

    `neighbourhoods` names the parts where the boundary does not: GeoJSON features with a `name`.

    Raises:
        InvalidInput: id, zone, boundary or cell size is wrong.
        LimitExceeded: more cells than hotslot serves, or more regions than `limit`.
        Conflict: another region has that id.
    """
    if not REGION_ID.fullmatch(region_id):
        raise InvalidInput(
            "a region id is 1-63 of a-z, 0-9, '-' and '_', starting with a letter or digit",
            field="id",
        )
    name = name or region_id.replace("-", " ").replace("_", " ").title()
    if len(name) > MAX_NAME_CHARS or "\x00" in name:
        raise InvalidInput(f"name must be at most {MAX_NAME_CHARS} characters", field="name")
    zone(timezone)
    check_cell_size(cell_size_m)
    crs = None
    geometry = None
    if boundary is not None:
        area = study_area_from_geojson(boundary)
        build_grid(area, cell_size_m)
        crs, geometry = area.crs, area.to_geojson()
    parts = neighbourhoods_of(neighbourhoods or boundary)
    with engine.begin() as connection:
        made = store.create_region(
            connection,
            region_id=region_id,
            name=name,
            timezone=timezone,
            crs=crs,
            cell_size_m=cell_size_m,
            boundary=geometry,
            neighbourhoods=parts,
            limit=limit,
        )
        audit.record(connection, "region.created", chain=region_id, cell_size_m=cell_size_m)
        return made


def neighbourhoods_of(boundary: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The named parts of a boundary FeatureCollection, or None when it has fewer than two."""
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
    """A feature's geometry as GeoJSON has it: whatever else stands in it is not kept."""
    if not given:
        return None
    try:
        found = shapely.force_2d(shape(given))
        kept: dict[str, Any] = json.loads(shapely.to_geojson(found))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, ShapelyError) as error:
        raise InvalidInput(f"not a GeoJSON geometry: {error}", field="neighbourhoods") from error
    return kept
