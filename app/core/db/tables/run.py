"""Tables of trainings and backtests; those of sync runs are beside their sources."""

from __future__ import annotations

from sqlalchemy import Column, Index, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from app.core.db.tables.base import OPEN_RUN, metadata, run_columns

training_runs = Table(
    "training_runs",
    metadata,
    *run_columns(),
    Column("model_version", Text),
    Column("metrics", JSONB, nullable=False, server_default=text("'{}'")),
    Index("ix_training_runs_region_created", "region_key", "created_at"),
    # For the counts and the latest duration in the metrics.
    Index("ix_training_runs_region_status", "region_key", "status"),
    Index("ix_training_runs_region_finished", "region_key", "finished_at"),
    # Each worker looks every few seconds for runs that nobody works on; finished ones accumulate.
    Index("ix_training_runs_open", "region_key", postgresql_where=text(OPEN_RUN)),
)

backtests = Table(
    "backtests",
    metadata,
    *run_columns(),
    Column("result", JSONB),
    Index("ix_backtests_region_created", "region_key", "created_at"),
    Index("ix_backtests_open", "region_key", postgresql_where=text(OPEN_RUN)),
)
