"""one digest over the whole of each model version

Versions registered before this have no digest from their registration: theirs is computed here, over
what the row holds now, and `sealed_at` says so.

Revision ID: 0016
Revises: 0015
"""

import hashlib
import json
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy import select, text, update

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

# Frozen: a later migration that changes a covered column, or adds one, seals again by its own list.
COLUMNS = (
    "artifact_sha256", "categories", "counts", "created_at", "cutoff", "data_hash",
    "forecasts_sha256", "gate", "grid_sha256", "model", "n_incidents", "provenance", "region_key",
    "report", "run_id", "scores", "sealed_at", "seed", "settings", "version",
)  # fmt: skip
VERSIONS = sa.table(
    "model_versions",
    *(sa.column(name) for name in ("region_key", "version", "forecasts_sha256", "seal")),
)
FORECASTS = sa.table(
    "forecast_grids",
    *(sa.column(n) for n in ("region_key", "version", "category_code", "window", "digest")),
)


def upgrade() -> None:
    op.add_column("model_versions", sa.Column("forecasts_sha256", sa.Text(), nullable=True))
    op.add_column(
        "model_versions",
        sa.Column(
            "sealed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
    )
    op.add_column("model_versions", sa.Column("seal", sa.LargeBinary(), nullable=True))
    seal_all(op.get_bind())
    op.alter_column("model_versions", "forecasts_sha256", nullable=False)
    op.alter_column("model_versions", "seal", nullable=False)
    name = op.f("fk_model_versions_run_id_training_runs")
    op.drop_constraint(name, "model_versions", type_="foreignkey")
    op.create_foreign_key(name, "model_versions", "training_runs", ["run_id"], ["id"])


def seal_all(connection: sa.Connection) -> None:
    """Seal every version as it stands."""
    for key in connection.execute(select(VERSIONS.c.region_key, VERSIONS.c.version)).all():
        mine = (VERSIONS.c.region_key == key[0]) & (VERSIONS.c.version == key[1])
        theirs = (FORECASTS.c.region_key == key[0]) & (FORECASTS.c.version == key[1])
        columns = (FORECASTS.c.category_code, FORECASTS.c.window, FORECASTS.c.digest)
        rows = connection.execute(select(*columns).where(theirs))
        whole = hashlib.sha256()
        for code, window, digest in sorted((c, w, bytes(d)) for c, w, d in rows):
            whole.update(f"{code}:{window}:".encode() + digest)
        connection.execute(update(VERSIONS).where(mine).values(forecasts_sha256=whole.hexdigest()))
        row = connection.execute(select(text("*")).select_from(VERSIONS).where(mine)).one()
        connection.execute(update(VERSIONS).where(mine).values(seal=seal(row._mapping)))


def seal(row: sa.RowMapping) -> bytes:
    content = {name: row[name] for name in COLUMNS}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=_plain)
    return hashlib.sha256(text.encode()).digest()


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    return str(value)


def downgrade() -> None:
    name = op.f("fk_model_versions_run_id_training_runs")
    op.drop_constraint(name, "model_versions", type_="foreignkey")
    op.create_foreign_key(
        name, "model_versions", "training_runs", ["run_id"], ["id"], ondelete="SET NULL"
    )
    for column in ("seal", "sealed_at", "forecasts_sha256"):
        op.drop_column("model_versions", column)
