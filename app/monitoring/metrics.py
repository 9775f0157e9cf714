"""Prometheus metrics of the queue and of the regions."""

from __future__ import annotations

from datetime import datetime

from prometheus_client import Gauge
from sqlalchemy import Engine

from app.core.errors import Unavailable
from app.core.roles import seeing_unreleased
from app.monitoring.status import RegionStatus, read_status
from app.monitoring.upkeep_limits import MAX_TABLES
from app.monitoring.upkeep_store import (
    Room,
    TableUpkeep,
    coarse_dead_share,
    coarse_room,
    open_transactions,
    rooms,
    tables_upkeep,
    transaction_ids_used,
)
from app.registry.alarms import ALARM_KINDS
from models.units import DAY_S

QUEUE = Gauge("hotslot_queue_jobs", "Jobs by status", ["status"])
OLDEST_JOB = Gauge("hotslot_queue_oldest_job_seconds", "How long the oldest job has waited")
WORKERS = Gauge("hotslot_workers", "Job claimers with a recent heartbeat")
DEAD_ROWS = Gauge(
    "hotslot_table_dead_share",
    "Dead rows of a table that vacuum has not removed, as a share of all, in steps of 0.05",
    ["table"],
)
TABLE_BYTES = Gauge(
    "hotslot_table_bytes",
    "Disk of a table with its indexes as of its last vacuum or analyze, in steps of 16 MiB",
    ["table"],
)
SPARE = Gauge(
    "hotslot_table_spare_share",
    "Share of these bytes that is empty by estimate, in steps of 0.05; 0 below 256 MiB",
    ["table"],
)
OPEN_SECONDS = Gauge(
    "hotslot_oldest_transaction_seconds",
    "How long the oldest of other transactions has been open; vacuum removes nothing it may read",
)
IDS_USED = Gauge(
    "hotslot_transaction_ids_used", "Share of transaction ids used since the oldest frozen row"
)
RUNS = Gauge("hotslot_training_runs", "Training runs by status", ["region", "status"])
TRAINED_SECONDS = Gauge(
    "hotslot_training_last_seconds", "Duration of the last finished training", ["region"]
)
MODEL_AGE = Gauge("hotslot_model_age_seconds", "Since the champion's data end", ["region"])
INGEST_LAG = Gauge(
    "hotslot_ingest_lag_seconds",
    "Since the day of the last incident that is released to readers",
    ["region"],
)
LIVE_SCORE = Gauge(
    "hotslot_live_log_score", "Champion's live log score, nats per incident, 28 days", ["region"]
)
LIVE_DIFFERENCE = Gauge(
    "hotslot_live_log_score_difference", "The same minus that of the champion before", ["region"]
)
ALARMS = Gauge("hotslot_alarms", "Open alarms", ["region", "kind"])
SCHEDULE_FAILING = Gauge(
    "hotslot_schedule_failing", "1 when the last look at what is due failed", ["region"]
)
BY_REGION = (
    RUNS,
    TRAINED_SECONDS,
    MODEL_AGE,
    INGEST_LAG,
    LIVE_SCORE,
    LIVE_DIFFERENCE,
    ALARMS,
    SCHEDULE_FAILING,
)


def refresh_metrics(engine: Engine, stalled_s: float) -> None:
    """Update the metrics as readers see them; without a database, leave the last values."""
    try:
        with seeing_unreleased(False), engine.connect() as connection:
            found = read_status(connection, stalled_s)
            tables, parts = tables_upkeep(connection), rooms(connection)
            ids_used = transaction_ids_used(connection)
            opened = open_transactions(connection, idle_s=0.0, working_s=0.0)
    except Unavailable:
        return
    for status in ("todo", "doing", "failed"):
        QUEUE.labels(status).set(found.queue.get(status, 0))
    OLDEST_JOB.set(found.oldest_job_s or 0.0)
    WORKERS.set(found.workers)
    IDS_USED.set(ids_used)
    OPEN_SECONDS.set(opened[0].open_s if opened else 0.0)
    _set_tables(tables, parts)
    for gauge in BY_REGION:
        gauge.clear()
    for region in found.regions:
        _set_region(region, found.at)


def _set_tables(tables: list[TableUpkeep], parts: list[Room]) -> None:
    """Set the gauges of the largest tables; a foreign program's tables cannot add series without end."""
    rooms_of: dict[str, list[Room]] = {table.name: [] for table in tables}
    for part in parts:
        rooms_of.setdefault(part.table_name, []).append(part)
    sizes = {table.name: coarse_room(rooms_of[table.name]) for table in tables}
    for gauge in (DEAD_ROWS, TABLE_BYTES, SPARE):
        gauge.clear()
    for table in sorted(tables, key=lambda one: -sizes[one.name][0])[:MAX_TABLES]:
        n_bytes, spare = sizes[table.name]
        DEAD_ROWS.labels(table.name).set(coarse_dead_share(table))
        TABLE_BYTES.labels(table.name).set(n_bytes)
        SPARE.labels(table.name).set(spare)


def _lag_of_day(lag_s: float, at: datetime) -> float:
    """Return the age of the start of the (UTC) day, because the exact second is not for readers."""
    return lag_s + (at.timestamp() - lag_s) % DAY_S


def _set_region(state: RegionStatus, at: datetime) -> None:
    """Set the gauges of one region, without unknown values."""
    values = {
        TRAINED_SECONDS: state.last_training_s,
        MODEL_AGE: state.model_age_s,
        INGEST_LAG: None if state.ingest_lag_s is None else _lag_of_day(state.ingest_lag_s, at),
        LIVE_SCORE: state.live_log_score,
        LIVE_DIFFERENCE: state.live_difference,
    }
    for gauge, value in values.items():
        if value is not None:
            gauge.labels(state.region).set(value)
    for status, count in state.trainings.items():
        RUNS.labels(state.region, status).set(count)
    SCHEDULE_FAILING.labels(state.region).set(state.schedule_failure is not None)
    for kind in ALARM_KINDS:
        ALARMS.labels(state.region, kind).set(state.alarms.count(kind))
