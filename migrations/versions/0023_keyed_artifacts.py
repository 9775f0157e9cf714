"""headers of artifacts hold keyed digests of incidents, as their versions do since 0014

Revision ID: 0023
Revises: 0022
"""

import hashlib
import json
from datetime import UTC, datetime

import numpy as np
import sqlalchemy as sa
from alembic import op
from safetensors import SafetensorError
from safetensors.numpy import load, save
from sqlalchemy.dialects import postgresql

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

# Frozen, as in 0016.
COLUMNS = (
    "artifact_sha256", "categories", "counts", "created_at", "cutoff", "data_hash",
    "forecasts_sha256", "gate", "grid_sha256", "model", "n_incidents", "provenance", "region_key",
    "report", "run_id", "scores", "sealed_at", "seed", "settings", "version",
)  # fmt: skip
VERSIONS = sa.table(
    "model_versions",
    *(sa.column(n) for n in ("region_key", "version", "artifact_sha256", "data_hash")),
    sa.column("gate", postgresql.JSONB),
    sa.column("sealed_at", sa.DateTime(timezone=True)),
    sa.column("seal", sa.LargeBinary),
)
HEADER = "__header__"


def upgrade() -> None:
    connection = op.get_bind()
    columns = (VERSIONS.c.region_key, VERSIONS.c.version)
    for region_key, version in connection.execute(sa.select(*columns)).all():
        mine = (VERSIONS.c.region_key == region_key) & (VERSIONS.c.version == version)
        row = _row(connection, mine)
        # One that was altered is refused everywhere: to seal it would make it good.
        if bytes(row["seal"]) == _seal(row):
            _key(connection, mine, row)
    connection.execute(
        sa.text(
            "DELETE FROM artifacts AS a WHERE NOT EXISTS"
            " (SELECT FROM model_versions AS v WHERE v.artifact_sha256 = a.sha256)"
        )
    )


def downgrade() -> None:
    """Leave the keyed digests: the code before reads them alike, and the plain ones are gone for good."""


def _key(connection: sa.Connection, mine: sa.ColumnElement[bool], row: sa.RowMapping) -> None:
    old = row["artifact_sha256"]
    content = connection.scalar(
        sa.text("SELECT content FROM artifacts WHERE sha256 = :sha256"), {"sha256": old}
    )
    keyed = None if content is None else _keyed(bytes(content), old, row["data_hash"])
    if keyed is None:
        return
    new = hashlib.sha256(keyed).hexdigest()
    connection.execute(
        sa.text(
            "INSERT INTO artifacts (sha256, content, size_bytes) VALUES (:sha256, :content, :size)"
            " ON CONFLICT (sha256) DO NOTHING"
        ),
        {"sha256": new, "content": keyed, "size": len(keyed)},
    )
    gate = {**row["gate"], "named_by": old[:10]}
    values = {"artifact_sha256": new, "gate": gate, "sealed_at": sa.func.now()}
    connection.execute(sa.update(VERSIONS).where(mine).values(**values))
    seal = _seal(_row(connection, mine))
    connection.execute(sa.update(VERSIONS).where(mine).values(seal=seal))


def _keyed(content: bytes, sha256: str, data_hash: str) -> bytes | None:
    """The artifact with another digest in its header; None where it has it, or is damaged."""
    if hashlib.sha256(content).hexdigest() != sha256:
        return None
    try:
        tensors = load(content)
        header = json.loads(tensors.pop(HEADER).tobytes())
    except (SafetensorError, KeyError, ValueError):
        return None
    if header.get("data_hash") == data_hash:
        return None
    text = json.dumps({**header, "data_hash": data_hash}, sort_keys=True, separators=(",", ":"))
    stored = {name: np.ascontiguousarray(tensors[name]) for name in sorted(tensors)}
    stored[HEADER] = np.frombuffer(text.encode(), np.uint8)
    return bytes(save(stored))


def _row(connection: sa.Connection, mine: sa.ColumnElement[bool]) -> sa.RowMapping:
    found = sa.select(sa.text("*")).select_from(VERSIONS).where(mine)
    return connection.execute(found).one()._mapping


def _seal(row: sa.RowMapping) -> bytes:
    content = {name: row[name] for name in COLUMNS}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=_plain)
    return hashlib.sha256(text.encode()).digest()


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    return str(value)
