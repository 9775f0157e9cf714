"""Parse a layer of named areas, such as beats or districts, from untrusted GeoJSON.

Runs in the isolated process (`app.readers.child`); elsewhere only on trusted documents.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import shapely

from app.core.bounds import MAX_NEIGHBOURHOODS, MAX_TEXT_CHARS, check_length
from app.core.errors import InvalidInput, LimitExceeded
from app.core.texts import shortened
from app.geo.antimeridian import cut
from app.geo.boundaries import boundary_shape
from app.geo.geojson import features_of
from app.geo.study_area import make_valid
from app.readers.columns.portals import normalised_name

NAMES = (
    "name", "beat", "beat_name", "beat_num", "beat_no", "area_name", "area", "precinct", "sector",
    "division", "district", "ward", "zone", "neighborhood", "neighbourhood", "label",
)  # fmt: skip
"""Properties that name an area, the surest first, as `normalised_name` writes them."""
MAX_NAMED = 12
LAYER = "layer"


def area_features(given: Mapping[str, Any], name_property: str | None) -> Iterator[dict[str, Any]]:
    """Yield one GeoJSON feature an area: its name and its polygons in degrees (WGS 84), repaired.

    Features of one name are one area; those without a geometry are left out.

    Args:
        given: a FeatureCollection.
        name_property: the property that names the areas; None: the first of `NAMES` that all have.

    Raises:
        InvalidInput: not polygons, outside the globe, or areas without a name.
        LimitExceeded: too many areas, vertices or overlaps.
    """
    if given.get("type") != "FeatureCollection":
        raise InvalidInput("a layer must be a FeatureCollection of polygons", field=LAYER)
    features = [one for one in features_of(given, LAYER) if _is_drawn(one.get("geometry"))]
    check_length(features, LAYER, MAX_NEIGHBOURHOODS)
    if not features:
        raise InvalidInput("the layer has no area", field=LAYER)
    names = _names(features, name_property)
    crs = {"crs": given["crs"]} if "crs" in given else {}
    # Together first: their number of vertices, and how often their sides meet.
    _shape({"type": "FeatureCollection", "features": features, **crs}, "the layer")
    parts: dict[str, list[Any]] = {}
    for name, feature in zip(names, features, strict=True):
        one = {"type": "FeatureCollection", "features": [feature], **crs}
        parts.setdefault(name, []).append(_shape(one, f"area {shortened(name)}"))
    for name, shapes in parts.items():
        whole = shapes[0] if len(shapes) == 1 else make_valid(shapely.union_all(shapes))
        geometry = json.loads(shapely.to_geojson(cut(whole)))
        yield {"type": "Feature", "properties": {"name": name}, "geometry": geometry}


def _is_drawn(geometry: Mapping[str, Any] | None) -> bool:
    return geometry is not None and geometry.get("coordinates", True) not in ([], None)


def _shape(collection: Mapping[str, Any], what: str) -> Any:
    try:
        return boundary_shape(collection)
    except LimitExceeded:
        raise
    except InvalidInput as error:
        raise InvalidInput(
            f"{what}: {error.message}", field=LAYER, code=error.code, params=error.params
        ) from error


def _names(features: Sequence[Mapping[str, Any]], name_property: str | None) -> list[str]:
    properties = [feature.get("properties") or {} for feature in features]
    known = list(dict.fromkeys(str(name) for one in properties for name in one))
    found = _chosen(properties, name_property)
    if found is None:
        wanted = "no property names every area" if name_property is None else (
            f"not every area has the property {shortened(name_property)}"
        )  # fmt: skip
        raise InvalidInput(
            f"{wanted}; choose another by name_property, of: "
            f"{', '.join(shortened(name) for name in known[:MAX_NAMED]) or 'none'}",
            field="name_property",
        )
    for name in found:
        if len(name) > MAX_TEXT_CHARS or "\x00" in name:
            raise InvalidInput(
                f"the name of an area has at most {MAX_TEXT_CHARS} characters, got {shortened(name)}",
                field="name_property",
            )
    return found


def _chosen(properties: Sequence[Mapping[str, Any]], wanted: str | None) -> list[str] | None:
    """Return the names of all areas, or None if no property names every one."""
    for name in NAMES if wanted is None else (wanted,):
        found = [_text(one, name, exact=wanted is not None) for one in properties]
        if all(found):
            return [text for text in found if text]
    return None


def _text(properties: Mapping[str, Any], name: str, *, exact: bool) -> str | None:
    for own, value in properties.items():
        if own == name if exact else normalised_name(str(own)) == name:
            whole = int(value) if isinstance(value, float) and value.is_integer() else value
            is_name = isinstance(whole, str | int) and not isinstance(whole, bool)
            return str(whole).strip() if is_name else None
    return None
