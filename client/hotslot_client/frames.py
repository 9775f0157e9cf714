"""Replies as data frames, and keyword arguments as parameters of the API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import geopandas as gpd


def to_frame(collection: dict[str, Any]) -> gpd.GeoDataFrame:
    """Return the features of a collection; its other members are the frame's `attrs`."""
    features: Sequence[Any] = collection.pop("features")
    frame = gpd.GeoDataFrame.from_features(features, crs="EPSG:4326")
    frame.attrs = {name: value for name, value in collection.items() if name != "type"}
    return frame


def to_params(selectors: Mapping[str, Any]) -> dict[str, Any]:
    """Translate keyword arguments to parameters of the API: `from_` is `from`, times are text."""
    found = {}
    for name, value in selectors.items():
        if value is None:
            continue
        is_box = name == "bbox" and not isinstance(value, str)
        text = ",".join(str(number) for number in value) if is_box else to_text(value)
        found[name.rstrip("_")] = text
    return found


def to_text(value: Any) -> Any:
    """Write a time as text; other values stay."""
    return value.isoformat() if isinstance(value, datetime) else value
