"""Tables of the connectors: sources, which administrators define, and the runs that read them."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from app.core.db.tables.base import OPEN_RUN, created_at, metadata, of_region, run_columns

sync_sources = Table(
    "sync_sources",
    metadata,
    Column("key", Integer, Identity(), primary_key=True),
    of_region(),
    Column("name", Text, nullable=False),
    Column("spec", JSONB, nullable=False),
    # How far the portal has been read; written in the same transaction as the rows read.
    Column("state", JSONB, nullable=False, server_default=text("'{}'")),
    Column("counts", JSONB, nullable=False, server_default=text("'{}'")),
    Column("every_s", Integer),
    # In the region's local time; one of the two, or none: only when asked.
    Column("cron", Text),
    Column("next_due_at", DateTime(timezone=True)),
    Column("last_success_at", DateTime(timezone=True)),
    Column("last_error", Text),
    created_at(),
    UniqueConstraint("region_key", "name"),
    CheckConstraint("every_s IS NULL OR every_s >= 60", name="every_s"),
    CheckConstraint("every_s IS NULL OR cron IS NULL", name="one_schedule"),
)

sync_runs = Table(
    "sync_runs",
    metadata,
    *run_columns(),
    Column("source_key", ForeignKey("sync_sources.key", ondelete="CASCADE"), nullable=False),
    Column("metrics", JSONB, nullable=False, server_default=text("'{}'")),
    Index("ix_sync_runs_region_created", "region_key", "created_at"),
    # At most one run of a source at a time.
    Index(
        "uq_sync_runs_active",
        "source_key",
        unique=True,
        postgresql_where=text(OPEN_RUN),
    ),
)
