"""Check the structure of untrusted GeoJSON before reading it."""

from __future__ import annotations

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
