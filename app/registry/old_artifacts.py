"""Rewrite artifacts from before digests of incidents were keyed, whose headers hold the plain one.

Migration 0023 and every erasure put the version's keyed digest in its place. That changes the bytes and
their hash; the digits at the end of the version's name are then stored in its `gate`.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select, update

from app.core.db.tables import model_versions
from app.registry.artifacts import ArtifactCorrupt, load_artifact, pack, store_artifact
from app.registry.seal import seal_version
from app.registry.version_ids import ARTIFACT_DIGITS, NAMED_BY


def key_artifacts(connection: Connection, region_key: int, versions: Sequence[str]) -> list[str]:
    """Replace plain digests in the artifacts of these versions; return the versions changed.

    Only versions sealed after their registration can be that old.
    """
    c = model_versions.c
    found = connection.execute(
        select(c.version, c.artifact_sha256, c.data_hash, c.gate).where(
            c.region_key == region_key, c.version.in_(versions), c.sealed_at != c.created_at
        )
    ).all()
    changed = []
    for version, old, data_hash, gate in found:
        new = _keyed(connection, old, data_hash)
        if new is None:
            continue
        named_by = gate.get(NAMED_BY, old[:ARTIFACT_DIGITS])
        mine = (c.region_key == region_key) & (c.version == version)
        values = {"artifact_sha256": new, "gate": {**gate, NAMED_BY: named_by}}
        connection.execute(update(model_versions).where(mine).values(**values))
        seal_version(connection, region_key, version)
        changed.append(str(version))
    return changed


def _keyed(connection: Connection, sha256: str, data_hash: str) -> str | None:
    """Store an artifact with the keyed digest; return its hash, or None if it has that digest already."""
    try:
        header, tensors = load_artifact(connection, sha256)
    except ArtifactCorrupt:
        return None  # refused everywhere
    if header.get("data_hash") == data_hash:
        return None
    content, new = pack({**header, "data_hash": data_hash}, tensors)
    store_artifact(connection, content, new)
    return new
