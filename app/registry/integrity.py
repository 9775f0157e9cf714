"""Names, digests and seals, which show that a stored version is what was registered.

* Artifacts and grids are named by their hashes; the end of a version's name binds both.
* Each row of probabilities has a digest that binds its bytes to its region, version, category and window,
  and so, through the name, to its grid. `forecasts_sha256` in the version's row binds all of these.
* The seal is a digest of the version's row. What may change after registration (champion, promotions, marks
  of erasures, live scores) is in other tables; intended changes (an erasure, a migration) seal a row again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, func, select, text, update

from app.core.db.tables import model_versions
from app.registry.artifacts import ArtifactCorrupt, load_artifact, pack, store_artifact

_UNSOUND_ROWS = text(
    """
    SELECT category_code, "window" FROM forecast_grids
    WHERE region_key = :region AND version = :version AND (
        digest <> sha256(convert_to(
            concat_ws(':', region_key, version, category_code, "window", ''), 'UTF8') || cell_values)
        OR length(cell_values) <> 4 * :n_cells)
    LIMIT 1
    """
)
_DIGESTS = text(
    """
    SELECT category_code, "window", digest FROM forecast_grids
    WHERE region_key = :region AND version = :version
    """
)


def row_digest(
    region_key: int, version: str, category_code: int, window: int, cell_values: bytes
) -> bytes:
    """Return the digest stored beside a row of `forecast_grids`."""
    place = f"{region_key}:{version}:{category_code}:{window}:".encode()
    return hashlib.sha256(place + cell_values).digest()


def check_rows(
    connection: Connection,
    region_key: int,
    version: str,
    n_cells: int,
    forecasts: str,
    *,
    values: bool = True,
) -> None:
    """Raise unless all forecast rows of a version are intact; the database hashes their values.

    Args:
        forecasts: the digest in the version's record; see `forecasts_sha256`.
        values: whether to check the values too, which takes the time; else only that all rows are there with
            their digests.

    Raises:
        ArtifactCorrupt: a row is missing, or is not what was registered.
    """
    of = {"region": region_key, "version": version}
    rows = [(int(code), int(w), bytes(d)) for code, w, d in connection.execute(_DIGESTS, of)]
    if forecasts_sha256(rows) != forecasts:
        raise ArtifactCorrupt(f"version {version}: its forecasts are not what was registered")
    if not values:
        return
    broken = connection.execute(_UNSOUND_ROWS, {**of, "n_cells": n_cells}).one_or_none()
    if broken is not None:
        raise ArtifactCorrupt(
            f"version {version}: the forecast of window {broken.window} is not what was registered"
        )


def check_artifact(connection: Connection, sha256: str) -> None:
    """Raise unless an artifact is intact.

    Raises:
        ArtifactCorrupt: it is missing or damaged.
    """
    load_artifact(connection, sha256)


SEALED_COLUMNS = tuple(sorted(c.name for c in model_versions.c if c.name != "seal"))


def seal_of(row: Mapping[str, Any]) -> bytes:
    """Return the SHA-256 of a row of `model_versions` as the database gives it back.

    Computed from the row as read back, since JSONB turns 1e22 into an integer and
    -0.0 into 0.0. Floats count with all digits.
    """
    content = {name: row[name] for name in SEALED_COLUMNS}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=_plain)
    return hashlib.sha256(text.encode()).digest()


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    return str(value)  # a UUID


def forecasts_sha256(rows: Iterable[tuple[int, int, bytes]]) -> str:
    """Return one digest of all (category code, window, digest) of a version's forecasts."""
    whole = hashlib.sha256()
    for code, window, digest in sorted(rows):
        whole.update(f"{code}:{window}:".encode() + digest)
    return whole.hexdigest()


def seal_version(connection: Connection, region_key: int, version: str) -> bytes:
    """Seal a version's row as it stands in the caller's transaction; return the seal."""
    mine = (model_versions.c.region_key == region_key) & (model_versions.c.version == version)
    dated = update(model_versions).where(mine).values(sealed_at=func.now())
    row = connection.execute(dated.returning(*model_versions.c)).one()
    seal = seal_of(dict(row._mapping))
    connection.execute(update(model_versions).where(mine).values(seal=seal))
    return seal


GRID_DIGITS = 8
ARTIFACT_DIGITS = 10
NAMED_BY = "named_by"
"""Member of a version's `gate` with the digits in its name, if its artifact was rewritten since."""


def version_name(model: str, cutoff: datetime, artifact_sha256: str, grid_sha256: str) -> str:
    """Return the name of a new version."""
    bound = grid_sha256[:GRID_DIGITS] + artifact_sha256[:ARTIFACT_DIGITS]
    return f"{model}-{cutoff:%Y%m%dT%H%M%SZ}-{bound}"


def check_artifact_name(version: str, artifact_sha256: str, gate: Mapping[str, Any]) -> None:
    """Require that the artifact is the one that the name binds, or was once (see `NAMED_BY`).

    Raises:
        ArtifactCorrupt: it is another.
    """
    digits = str(gate.get(NAMED_BY, artifact_sha256[:ARTIFACT_DIGITS]))
    if len(digits) != ARTIFACT_DIGITS or not version.endswith(digits):
        raise ArtifactCorrupt(f"version {version} names another artifact than its own")


def check_grid_name(version: str, grid_sha256: str) -> None:
    """Raise unless the grid is the one that the name binds; older names bind the artifact alone.

    Raises:
        ArtifactCorrupt: it is another, even one with as many cells.
    """
    bound = version.rpartition("-")[2]
    binds_grid = len(bound) == GRID_DIGITS + ARTIFACT_DIGITS
    if binds_grid and not bound.startswith(grid_sha256[:GRID_DIGITS]):
        raise ArtifactCorrupt(f"version {version} names another grid than its own")


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
