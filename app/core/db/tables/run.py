"""Tables of trainings and backtests; those of sync runs are beside their sources."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    Uuid,
    func,
    text,
)
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

worker_processes = Table(
    "worker_processes",
    metadata,
    # Drawn by each process as it starts, so that no two machines can have the same.
    Column("id", Uuid, primary_key=True),
    Column("heartbeat_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    # Of the machine's clock against the database's at that time; NULL in rows of an older version.
    Column("clock_ahead_s", Double),
    Column("machine", Text),
    CheckConstraint("char_length(machine) <= 100", name="machine_bound"),
    # Which jobs it takes: all, gpu or cpu.
    Column("takes", Text, nullable=False, server_default=text("'all'")),
    CheckConstraint("takes IN ('all', 'gpu', 'cpu')", name="takes"),
)

backtests = Table(
    "backtests",
    metadata,
    *run_columns(),
    Column("result", JSONB),
    Index("ix_backtests_region_created", "region_key", "created_at"),
    Index("ix_backtests_open", "region_key", postgresql_where=text(OPEN_RUN)),
)


def _part_of_backtest() -> tuple[Column[object], ...]:
    """Return the key of rows that exist only while a backtest runs, and the plan that they belong to."""
    return (
        Column("run_id", ForeignKey("backtests.id", ondelete="CASCADE"), primary_key=True),
        Column("number", Integer, primary_key=True),
        # SHA-256 of what is fitted and with what: writes for an earlier plan find no row.
        Column("plan", Text, nullable=False),
    )


backtest_data = Table(
    "backtest_data",
    metadata,
    *_part_of_backtest(),
    # A block of the incidents and cells that all units are fitted to: see backtests/sharing/inputs.py.
    Column("content", LargeBinary, nullable=False),
    CheckConstraint("number BETWEEN 0 AND 1023", name="number_bound"),
    CheckConstraint("octet_length(plan) = 64", name="plan_bound"),
    CheckConstraint("octet_length(content) <= 8388608", name="content_bound"),
)

backtest_units = Table(
    "backtest_units",
    metadata,
    *_part_of_backtest(),
    Column("model", Text, nullable=False),
    Column("origin_s", BigInteger, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("status", Text, nullable=False, server_default=text("'waiting'")),
    # Raised by each claim; results of an older one are refused.
    Column("attempt", Integer, nullable=False, server_default=text("0")),
    # Who works on it, or did it, and on which machine.
    Column("worker", Text),
    Column("machine", Text),
    Column("heartbeat_at", DateTime(timezone=True)),
    Column("result", LargeBinary),
    CheckConstraint("status IN ('waiting', 'working', 'done')", name="status"),
    CheckConstraint("(status = 'done') = (result IS NOT NULL)", name="result"),
    CheckConstraint("octet_length(plan) = 64", name="plan_bound"),
    CheckConstraint("char_length(model) <= 100", name="model_bound"),
    CheckConstraint("char_length(worker) <= 100", name="worker_bound"),
    CheckConstraint("char_length(machine) <= 100", name="machine_bound"),
    CheckConstraint("octet_length(result) <= 268435456", name="result_bound"),
)
