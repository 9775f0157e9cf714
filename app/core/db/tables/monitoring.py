"""Tables of automatic operations: schedules, live scores, drift checks, alarms."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from app.core.db.tables.base import metadata, of_region, of_version

schedules = Table(
    "schedules",
    metadata,
    of_region(primary_key=True),
    Column("model", Text, nullable=False),
    # Five fields, in the region's time zone.
    Column("cron", Text),
    Column("new_incidents", Integer),
    Column("new_share", Double),
    Column("on_drift", Boolean, nullable=False, server_default=text("false")),
    # Ticks up to here are not due: a new schedule does not catch up on the past.
    Column("counted_from", DateTime(timezone=True), nullable=False),
    # Why the last evaluation of the schedule failed; NULL if it did not.
    Column("failure", Text),
    CheckConstraint("new_incidents > 0", name="new_incidents"),
    CheckConstraint("new_share > 0", name="new_share"),
)

schedule_ticks = Table(
    "schedule_ticks",
    metadata,
    # The primary key makes each tick happen once, whatever clocks and schedulers do.
    of_region(primary_key=True),
    Column("tick_at", DateTime(timezone=True), primary_key=True),
    Column("cause", Text, nullable=False),
    Column("run_id", ForeignKey("training_runs.id", ondelete="SET NULL")),
    CheckConstraint("cause IN ('cron', 'new_incidents', 'new_share', 'drift')", name="cause"),
    Index("ix_schedule_ticks_run", "run_id"),
)

live_scores = Table(
    "live_scores",
    metadata,
    *of_version(),
    # Local date of the incidents.
    Column("day", Date, primary_key=True),
    # Incidents that count for this version, scored or not (outside its cells).
    Column("n_seen", Integer, nullable=False),
    Column("n", Integer, nullable=False),
    # Sums over the n scored: log density per km2, and what the forecast itself expected it to be.
    Column("log_density_sum", Double, nullable=False),
    Column("expected_sum", Double, nullable=False),
    # The same sum by the state that served at the start of the day, minus that of the version as trained, and
    # how far the day lies ahead of the state's data; null where the version had no state.
    Column("state_gain_sum", Double),
    Column("state_lead_days", Integer),
)

drift_checks = Table(
    "drift_checks",
    metadata,
    *of_version(),
    Column("kind", Text, primary_key=True),
    # The check at the end of so many days; each is made once.
    Column("days", Integer, primary_key=True),
    Column("checked_at", DateTime(timezone=True), nullable=False),
    Column("p_value", Double, nullable=False),
    Column("alarming", Boolean, nullable=False),
    Column("details", JSONB, nullable=False),
)

alarms = Table(
    "alarms",
    metadata,
    Column("id", Integer, Identity(), primary_key=True),
    of_region(),
    Column("version", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("details", JSONB, nullable=False),
    Column("raised_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("cleared_at", DateTime(timezone=True)),
    CheckConstraint("kind IN ('volume', 'place', 'calibration', 'rollback', 'swing')", name="kind"),
    Index(
        "uq_alarms_open",
        "region_key",
        "version",
        "kind",
        unique=True,
        postgresql_where=text("cleared_at IS NULL"),
    ),
)
