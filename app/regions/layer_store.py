"""Layers of named areas: their rows. The region's neighbourhoods are read as one of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from app.core.db.tables import region_layers, regions
from app.core.errors import NotFound
from app.core.texts import shortened
from app.regions.store import Region

NEIGHBOURHOODS = "neighbourhoods"
"""The layer that comes with the boundary or the population; stored with the region's row."""


@dataclass(frozen=True)
class LayerInfo:
    """What a region's list says of a layer; `created_at` is None for the neighbourhoods."""

    name: str
    n_areas: int
    created_at: datetime | None


@dataclass(frozen=True)
class StoredLayer(LayerInfo):
    """A layer with its areas: a GeoJSON FeatureCollection, megabytes.

    Args:
        sha256: of the areas, which may be replaced under the same name.
    """

    features: dict[str, Any]
    sha256: str


def digest_of(collection: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a layer's areas, hex."""
    return sha256(json.dumps(collection, sort_keys=True).encode()).hexdigest()


def list_layers(connection: Connection, region: Region) -> list[LayerInfo]:
    """List a region's layers by name, the neighbourhoods first."""
    found = []
    if region.has_neighbourhoods:
        n_parts = func.jsonb_array_length(regions.c.neighbourhoods["features"])
        n = connection.scalar(select(n_parts).where(regions.c.key == region.key))
        found.append(LayerInfo(NEIGHBOURHOODS, int(n or 0), None))
    c = region_layers.c
    rows = select(c.name, c.n_areas, c.created_at).where(c.region_key == region.key)
    found += [LayerInfo(*row) for row in connection.execute(rows.order_by(c.name))]
    return found


def read_layer(connection: Connection, region: Region, name: str) -> StoredLayer:
    """Read a layer with its areas.

    Raises:
        NotFound: the region has no such layer.
    """
    if name == NEIGHBOURHOODS and region.has_neighbourhoods:
        query = select(regions.c.neighbourhoods).where(regions.c.key == region.key)
        stored = connection.scalar(query) or {"features": []}
        return StoredLayer(name, len(stored["features"]), None, stored, digest_of(stored))
    c = region_layers.c
    query = select(c.name, c.n_areas, c.created_at, c.features, c.sha256)
    row = connection.execute(query.where(c.region_key == region.key, c.name == name)).one_or_none()
    if row is None:
        known = ", ".join(one.name for one in list_layers(connection, region)) or "none"
        raise NotFound(
            f"the region has no layer {shortened(name)}; it has {known}",
            field="layer",
            code="no_layer",
        )
    return StoredLayer(**row._mapping)


def put_layer(connection: Connection, region: Region, name: str, features: dict[str, Any]) -> bool:
    """Store a layer; return whether it replaces other areas of that name or is new."""
    values = {
        "features": features,
        "n_areas": len(features["features"]),
        "sha256": digest_of(features),
        "created_at": func.now(),
    }
    statement = insert(region_layers).values(region_key=region.key, name=name, **values)
    changed = connection.execute(
        statement.on_conflict_do_update(
            index_elements=["region_key", "name"],
            set_=values,
            where=region_layers.c.sha256 != values["sha256"],
        )
    )
    return bool(changed.rowcount)


def drop_layer(connection: Connection, region: Region, name: str) -> bool:
    """Delete a layer; return whether there was one."""
    c = region_layers.c
    dropped = delete(region_layers).where(c.region_key == region.key, c.name == name)
    return bool(connection.execute(dropped).rowcount)
