"""Status of the service, for `hotslot status` and Prometheus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select, text

from app.core.db.tables import training_runs
from app.core.roles import sees_unreleased
from app.monitoring.released_score_store import Period, read_periods
from app.monitoring.released_scores import difference_of
from app.regions.store import Region, list_regions
from app.registry import store as registry
from app.registry.alarms import open_alarms
from app.registry.champions import champion_history
from app.registry.history import last_incident_at
from app.registry.visibility import served
from app.releases.disclosure import shown_mean
from app.releases.store import latest
from app.runs.queue import queue_depth
from app.runs.schedules import database_clock, failure_of
from app.runs.workers import count_workers

LIVE_DAYS = 28
_OLDEST = text(
    """
    SELECT extract(epoch FROM now() - min(greatest(e.at, coalesce(j.scheduled_at, e.at))))
    FROM procrastinate_jobs AS j JOIN procrastinate_events AS e ON e.job_id = j.id
    WHERE j.status = 'todo' AND e.type = 'deferred' AND coalesce(j.scheduled_at, now()) <= now()
    """
)


@dataclass(frozen=True)
class RegionStatus:
    """Status of a region; ages are in seconds, None if unknown."""

    region: str
    champion: str | None
    model_age_s: float | None
    """Age of the champion's data end."""
    ingest_lag_s: float | None
    """Age of the last known incident; for readers, of the end of the last release."""
    live_log_score: float | None
    """Score of the champion on the last 28 released days, nats per incident."""
    live_difference: float | None
    """Difference from the previous champion on the same incidents."""
    last_training_s: float | None
    """Duration of the last finished training."""
    trainings: dict[str, int]
    """Runs by status."""
    alarms: list[str]
    schedule_failure: str | None
    """Reason why the last check of its schedule failed."""


@dataclass(frozen=True)
class ServiceStatus:
    """Status of all regions, the queue and its workers."""

    at: datetime
    queue: dict[str, int]
    oldest_job_s: float | None
    """Age of the longest waiting job."""
    workers: int
    """Number of worker processes with a recent heartbeat, on all machines."""
    regions: list[RegionStatus]


def read_status(connection: Connection, stalled_s: float) -> ServiceStatus:
    """Read the current status.

    Args:
        connection: a connection to the database.
        stalled_s: workers without a heartbeat for so long are not counted.
    """
    now = database_clock(connection)
    return ServiceStatus(
        at=now,
        queue=queue_depth(connection),
        oldest_job_s=oldest_waiting_s(connection),
        workers=count_workers(connection, stalled_s),
        regions=[_region(connection, region, now) for region in list_regions(connection)],
    )


def _region(connection: Connection, region: Region, now: datetime) -> RegionStatus:
    key = region.key
    current = served(connection, key)
    version = registry.sound_version(connection, key, current) if current else None
    last = _last_known(connection, key)
    score, difference = _live(connection, key, version)
    return RegionStatus(
        region=region.id,
        champion=current,
        model_age_s=(now - version.cutoff).total_seconds() if version else None,
        ingest_lag_s=(now - last).total_seconds() if last else None,
        live_log_score=score,
        live_difference=difference,
        last_training_s=_last_training_s(connection, key),
        trainings=_trainings_by_status(connection, key),
        alarms=[alarm.kind for alarm in open_alarms(connection, key)],
        schedule_failure=failure_of(connection, key),
    )


def _last_known(connection: Connection, key: int) -> datetime | None:
    if sees_unreleased.get():
        return last_incident_at(connection, key)
    last = latest(connection, key)
    return None if last is None else last.until - timedelta(seconds=1)


def _live(
    connection: Connection, key: int, version: registry.VersionRecord | None
) -> tuple[float | None, float | None]:
    if version is None:
        return None, None
    periods = _last_days(read_periods(connection, key, version.version))
    score = shown_mean(sum(p.log_density_sum for p in periods), sum(p.n for p in periods))
    held = champion_history(connection, key)
    if len(held) < 2:
        return score, None
    against = read_periods(connection, key, held[-2].version)
    difference = difference_of(periods, against)
    return score, None if difference is None else difference["mean"]


def _last_days(periods: Sequence[Period]) -> list[Period]:
    """Return the newest periods that cover `LIVE_DAYS` days."""
    found: list[Period] = []
    for period in reversed(periods):
        if found and (found[-1].to_day - period.from_day).days > LIVE_DAYS:
            break
        found.insert(0, period)
    return found


def oldest_waiting_s(connection: Connection) -> float | None:
    """Return how many seconds the oldest job that could start has waited."""
    found = connection.scalar(_OLDEST)
    return None if found is None else float(found)


def _last_training_s(connection: Connection, region_key: int) -> float | None:
    """Return the duration of a region's last finished training."""
    query = (
        select(func.extract("epoch", training_runs.c.finished_at - training_runs.c.started_at))
        .where(training_runs.c.region_key == region_key, training_runs.c.finished_at.is_not(None))
        .order_by(training_runs.c.finished_at.desc())
        .limit(1)
    )
    found = connection.scalar(query)
    return None if found is None else float(found)


def _trainings_by_status(connection: Connection, region_key: int) -> dict[str, int]:
    """Count a region's training runs by status."""
    rows = connection.execute(
        select(training_runs.c.status, func.count())
        .where(training_runs.c.region_key == region_key)
        .group_by(training_runs.c.status)
    )
    return {status: int(count) for status, count in rows}
