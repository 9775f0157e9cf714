"""Street layers of regions, and shares of versions, in the database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save
from scipy.sparse import csr_array
from sqlalchemy import Connection, and_, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from app.core.db.tables import champions, regions, street_layers, street_shares
from app.core.errors import NotFound
from app.regions.store import Region
from app.registry.artifacts import ArtifactCorrupt
from app.registry.store import VersionRecord
from app.streets.layer import StreetLayer, unpacked

_l, _s = street_layers.c, street_shares.c


@dataclass(frozen=True)
class LayerFacts:
    """What is known of a region's layer without reading it."""

    digest: str
    area_digest: str
    facts: dict[str, Any]
    created_at: datetime


@dataclass(frozen=True)
class StreetShares:
    """How a version's cells share their incidents among street segments.

    Args:
        matrix: (S, N) share that each segment has of each cell's; columns sum to one, or to zero where a
            cell has no streets.
        bandwidth_m: of the kernel; None: shares are by length alone.
        n_incidents: that were snapped to streets.
    """

    matrix: csr_array
    bandwidth_m: float | None
    n_incidents: int

    def __len__(self) -> int:
        """Return the memory that it takes, in bytes."""
        return int(self.matrix.data.nbytes + self.matrix.indices.nbytes)


def put_layer(
    connection: Connection,
    region_key: int,
    layer: StreetLayer,
    area_digest: str,
    facts: Mapping[str, Any],
) -> LayerFacts:
    """Store a region's layer, replacing an earlier one and the shares made with it."""
    content, digest = layer.packed()
    values = {
        "digest": digest,
        "content": content,
        "area_digest": area_digest,
        "facts": dict(facts),
        "created_at": func.now(),
    }
    statement = insert(street_layers).values(region_key=region_key, **values)
    row = connection.execute(
        statement.on_conflict_do_update(index_elements=["region_key"], set_=values).returning(
            _l.created_at
        )
    ).one()
    outdated = and_(_s.region_key == region_key, _s.layer_digest != digest)
    connection.execute(delete(street_shares).where(outdated))
    return LayerFacts(digest, area_digest, dict(facts), row.created_at)


def layer_facts(connection: Connection, region_key: int) -> LayerFacts | None:
    """Return what is known of a region's layer; None: it has none."""
    query = select(_l.digest, _l.area_digest, _l.facts, _l.created_at)
    row = connection.execute(query.where(_l.region_key == region_key)).one_or_none()
    return None if row is None else LayerFacts(**row._mapping)


def get_layer(connection: Connection, region: Region) -> tuple[StreetLayer, str]:
    """Read a region's layer, and its digest.

    Raises:
        NotFound: the region has none.
        ArtifactCorrupt: it is not what was stored.
    """
    query = select(_l.content, _l.digest).where(_l.region_key == region.key)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise no_streets(region.id)
    return unpacked(bytes(row.content)), row.digest


def no_streets(region_id: str) -> NotFound:
    """Return the error for a region without streets."""
    return NotFound(
        f"{region_id} has no streets; an administrator adds them with PUT /v1/regions/{region_id}/streets",
        field="region",
        code="no_streets",
    )


def remove_layer(connection: Connection, region_key: int) -> bool:
    """Remove a region's layer and what was made with it; returns whether there was one."""
    drop_shares(connection, region_key)
    return bool(
        connection.execute(delete(street_layers).where(_l.region_key == region_key)).rowcount
    )


def drop_shares(connection: Connection, region_key: int) -> None:
    """Remove all shares of a region; they are made anew when they are needed."""
    connection.execute(delete(street_shares).where(_s.region_key == region_key))


def put_shares(
    connection: Connection, version: VersionRecord, layer_digest: str, shares: StreetShares
) -> None:
    """Store the shares of a version."""
    matrix = shares.matrix
    content = save(
        {
            "data": matrix.data.astype(np.float32),
            "indices": matrix.indices.astype(np.int32),
            "indptr": matrix.indptr.astype(np.int32),
            "shape": np.array(matrix.shape, np.int64),
        }
    )
    values = {
        "region_key": version.region_key,
        "version": version.version,
        "layer_digest": layer_digest,
        "n_incidents": shares.n_incidents,
        "bandwidth_m": shares.bandwidth_m,
        "content": content,
    }
    connection.execute(insert(street_shares).values(values).on_conflict_do_nothing())


def get_shares(
    connection: Connection, version: VersionRecord, layer_digest: str
) -> StreetShares | None:
    """Read the shares of a version with a layer; None: they are not made yet.

    Raises:
        ArtifactCorrupt: they are not what was stored.
    """
    query = select(_s.content, _s.bandwidth_m, _s.n_incidents).where(
        _s.region_key == version.region_key,
        _s.version == version.version,
        _s.layer_digest == layer_digest,
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    try:
        part = load(bytes(row.content))
        parts = part["data"].astype(np.float64), part["indices"], part["indptr"]
        matrix = csr_array(parts, shape=tuple(part["shape"].tolist()))
    except (SafetensorError, KeyError, ValueError) as error:
        raise ArtifactCorrupt(
            f"shares of streets of version {version.version} cannot be read: {error}"
        ) from error
    return StreetShares(matrix, row.bandwidth_m, row.n_incidents)


def without_shares(connection: Connection) -> list[tuple[str, str, str]]:
    """Return region, layer and champion where the champion has no shares with the region's layer."""
    made = and_(
        _s.region_key == _l.region_key,
        _s.layer_digest == _l.digest,
        _s.version == champions.c.version,
    )
    query = (
        select(regions.c.id, _l.digest, champions.c.version)
        .join(street_layers, _l.region_key == regions.c.key)
        .join(champions, champions.c.region_key == regions.c.key)
        .outerjoin(street_shares, made)
        .where(_s.version.is_(None))
    )
    return [(row.id, row.digest, row.version) for row in connection.execute(query)]
