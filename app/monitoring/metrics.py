"""Prometheus metrics of the queue and of the regions."""

from __future__ import annotations

from datetime import datetime

from prometheus_client import Gauge
from sqlalchemy import Engine

from app.core.errors import Unavailable
from app.core.roles import seeing_unreleased
from app.monitoring.status import RegionStatus, read_status
from app.monitoring.upkeep_store import coarse_dead_share, tables_upkeep, transaction_ids_used
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
            tables, ids_used = tables_upkeep(connection), transaction_ids_used(connection)
    except Unavailable:
        return
    for status in ("todo", "doing", "failed"):
        QUEUE.labels(status).set(found.queue.get(status, 0))
    OLDEST_JOB.set(found.oldest_job_s or 0.0)
    WORKERS.set(found.workers)
    IDS_USED.set(ids_used)
    DEAD_ROWS.clear()
    for table in tables:
        DEAD_ROWS.labels(table.name).set(coarse_dead_share(table))
    for gauge in BY_REGION:
        gauge.clear()
    for region in found.regions:
        _set_region(region, found.at)


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
