"""Check the structure of untrusted GeoJSON before reading it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from app.core.errors import InvalidInput


def features_of(collection: Mapping[str, Any], field: str) -> list[Mapping[str, Any]]:
    """Return the features of a FeatureCollection, checking the types of geometry and properties.

    Raises:
        InvalidInput: names the first invalid feature.
    """
    features = collection.get("features")
    if not isinstance(features, list):
        raise InvalidInput(f"{field}: features must be a list", field=field)
    for place, feature in enumerate(features):
        if not isinstance(feature, Mapping):
            raise InvalidInput(f"{field}: feature {place} must be an object", field=field)
        for name in ("geometry", "properties"):
            if not isinstance(feature.get(name) or {}, Mapping):
                raise InvalidInput(
                    f"{field}: {name} of feature {place} must be an object or null", field=field
                )
    return features


_EPSG = re.compile(r"EPSG:(?:[0-9.]*:)?([0-9]{4,6})", re.IGNORECASE)
_DEGREES = ("4326", "4979")


def declared_crs(geojson: Mapping[str, Any]) -> str | None:
    """Return the CRS that a GeoJSON file names, as files from before 2016 may; None for degrees.

    >>> declared_crs({"crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32616"}}})
    'EPSG:32616'
    >>> declared_crs({"crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}}})
    """
    named = geojson.get("crs")
    properties = named.get("properties") if isinstance(named, Mapping) else None
    name = properties.get("name") if isinstance(properties, Mapping) else None
    found = _EPSG.search(name[:200]) if isinstance(name, str) else None
    return None if found is None or found[1] in _DEGREES else f"EPSG:{found[1]}"
