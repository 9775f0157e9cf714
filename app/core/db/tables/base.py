"""Metadata of the schema, and the columns that several tables share."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    MetaData,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.schema import SchemaItem

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

OPEN_RUN = "status IN ('queued', 'running')"


def created_at() -> Column[object]:
    """Return a column with the time of the insertion."""
    return Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now())


def of_region(*, primary_key: bool = False) -> Column[int]:
    """Return the key of the region with which rows are deleted."""
    return Column(
        "region_key",
        ForeignKey("regions.key", ondelete="CASCADE"),
        primary_key=primary_key,
        nullable=False,
    )


def of_version() -> tuple[SchemaItem, ...]:
    """Return the key, part of the primary key, of the model version with which rows are deleted."""
    return (
        Column("region_key", Integer, primary_key=True),
        Column("version", Text, primary_key=True),
        ForeignKeyConstraint(
            ["region_key", "version"],
            ["model_versions.region_key", "model_versions.version"],
            ondelete="CASCADE",
        ),
    )


def run_columns() -> tuple[SchemaItem, ...]:
    """Return what the tables of all kinds of runs have in common."""
    return (
        Column("id", Uuid, primary_key=True),
        of_region(),
        Column("status", Text, nullable=False, server_default=text("'queued'")),
        Column("progress", Double, nullable=False, server_default=text("0")),
        Column("message", Text, nullable=False, server_default=text("'queued'")),
        # What it is at, or how it ended: {"code", "params", "message"}; NULL in rows of earlier versions.
        Column("said", JSONB(none_as_null=True)),
        Column("request", JSONB, nullable=False),
        # Who asked for it, as the audit log names them: callers take turns. NULL in rows of earlier versions.
        Column("requested_by", Text),
        # Raised by each claim; a worker may write only while its own number is the newest (fencing).
        Column("attempt", Integer, nullable=False, server_default=text("0")),
        # Of these, attempts that failed by themselves; the others died with their worker.
        Column("failures", Integer, nullable=False, server_default=text("0")),
        Column("cancel_requested", Boolean, nullable=False, server_default=text("false")),
        Column("job_id", BigInteger),
        created_at(),
        Column("started_at", DateTime(timezone=True)),
        Column("heartbeat_at", DateTime(timezone=True)),
        Column("finished_at", DateTime(timezone=True)),
        # The most that its processes had at once; NULL unless it succeeded.
        Column("peak_memory_bytes", BigInteger),
        CheckConstraint(
            "status IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')", name="status"
        ),
        CheckConstraint("pg_column_size(said) <= 16384", name="said_bound"),
        CheckConstraint("char_length(requested_by) <= 300", name="requested_by_bound"),
    )
