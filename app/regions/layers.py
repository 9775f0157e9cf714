"""Store and remove a region's layers of named areas: beats, districts, wards.

Untrusted layers are parsed in an isolated process.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import orjson
import shapely
from sqlalchemy import Connection, Engine

from app.audit import store as audit
from app.core.bounds import MAX_LAYER_BYTES, MAX_LAYERS, check_number, limited
from app.core.db.locks import count_lock
from app.core.errors import InvalidInput, NotFound
from app.core.texts import shortened
from app.readers.blocks import ReadOptions
from app.readers.isolated import isolated_items
from app.regions.layer_store import (
    NEIGHBOURHOODS,
    StoredLayer,
    drop_layer,
    list_layers,
    put_layer,
    read_layer,
)
from app.regions.service import feature_of
from app.regions.store import Region, get_region, outlined

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


def set_layer(
    engine: Engine,
    region_id: str,
    name: str,
    content: Iterable[bytes],
    options: ReadOptions,
    name_property: str | None = None,
) -> StoredLayer:
    """Store a layer, replacing one of the same name, and return it.

    Args:
        content: a GeoJSON FeatureCollection of polygons.
        options: limits of the process that parses it.
        name_property: the property that names the areas; None: a well-known one.

    Raises:
        NotFound: no such region.
        InvalidInput: the name is not one, or the layer is unreadable, or lies elsewhere.
        LimitExceeded: too many layers, bytes, areas or vertices.
    """
    _check_name(name)
    with engine.connect() as connection:
        _check_number(connection, get_region(connection, region_id), name)
    asked = {"name_property": name_property}
    said = f"a layer has at most {MAX_LAYER_BYTES} bytes"
    body = limited(content, MAX_LAYER_BYTES, said, "layer")
    items = isolated_items("layer", body, options, asked)
    features = {"type": "FeatureCollection", "features": [feature_of(one) for one in items]}
    with engine.begin() as connection:
        region = get_region(connection, region_id)
        count_lock(connection, region.key)
        _check_number(connection, region, name)
        _check_place(connection, region, features)
        if put_layer(connection, region, name, features):
            n_areas = len(features["features"])
            audit.record(connection, "layer.changed", chain=region.id, layer=name, areas=n_areas)
        return read_layer(connection, region, name)


def remove_layer(engine: Engine, region_id: str, name: str) -> None:
    """Remove a layer.

    Raises:
        NotFound: no such region or layer.
        InvalidInput: the neighbourhoods, which come with the boundary.
    """
    _check_name(name)
    with engine.begin() as connection:
        region = get_region(connection, region_id)
        if not drop_layer(connection, region, name):
            raise NotFound(
                f"the region has no layer {shortened(name)}", field="layer", code="no_layer"
            )
        audit.record(connection, "layer.removed", chain=region.id, layer=name)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            "a layer's name is 1-63 of a-z, 0-9, '-' and '_', starting with a letter or digit",
            field="layer",
        )
    if name == NEIGHBOURHOODS:
        raise InvalidInput(
            "the neighbourhoods come with the boundary or the population layer; choose another name",
            field="layer",
        )


def _check_number(connection: Connection, region: Region, name: str) -> None:
    known = {one.name for one in list_layers(connection, region)} - {NEIGHBOURHOODS}
    if name not in known and len(known) >= MAX_LAYERS:
        text = f"the region has {len(known)} layers"
        check_number(len(known) + 1, MAX_LAYERS, text, "layer", "remove one first")


def _check_place(connection: Connection, region: Region, features: dict[str, Any]) -> None:
    """Raise if the layer lies wholly outside the region's boundary, where there is one."""
    boundary = outlined(connection, region).boundary
    if boundary is None:
        return
    area = shapely.from_geojson(_text(boundary))
    shapes = (shapely.from_geojson(_text(one["geometry"])) for one in features["features"])
    if not any(area.intersects(shape) for shape in shapes):
        raise InvalidInput(
            f"no area of the layer touches {region.id}; is it of another city?", field="layer"
        )


def _text(geometry: Any) -> bytes:
    return orjson.dumps(geometry)
