"""Tables of erasures: what was erased, and which versions had learnt from it."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    text,
)

from app.core.db.tables.base import created_at, metadata, of_region, of_version

erasures = Table(
    "erasures",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    of_region(),
    Column("what", Text, nullable=False),
    Column("n_incidents", Integer, nullable=False),
    # Versions deleted with it; the others are in erased_versions.
    Column("versions_dropped", Integer, nullable=False, server_default=text("0")),
    # The training that replaces the champion, if the champion had learnt from erased incidents.
    Column("run_id", ForeignKey("training_runs.id", ondelete="SET NULL")),
    created_at(),
    CheckConstraint("what IN ('incident', 'upload')", name="what"),
    Index("ix_erasures_region_created", "region_key", "created_at"),
    Index("ix_erasures_run", "run_id"),
)

erased_versions = Table(
    "erased_versions",
    metadata,
    Column("erasure_id", ForeignKey("erasures.id", ondelete="CASCADE"), primary_key=True),
    *of_version(),
    Index("ix_erased_versions_version", "region_key", "version"),
)

erased_keys = Table(
    "erased_keys",
    metadata,
    of_region(primary_key=True),
    # Of an idempotency key whose upload is erased, under this installation's secret.
    Column("digest", LargeBinary, primary_key=True),
)
