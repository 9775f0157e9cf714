"""The seal of a model version: a digest of its row, checked wherever it is read.

Every column of `model_versions` but the seal itself is covered; what may change after registration
(champion, promotions, marks of erasures, live scores) is in other tables. `forecasts_sha256` is
one of the columns and binds the rows of `forecast_grids`, as the hashes of artifact and grid bind
theirs. Intended changes of a row (an erasure, a migration) seal it again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, func, update

from app.core.db.tables import model_versions

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
