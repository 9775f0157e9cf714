"""The whole service at a glance: for `hotslot status` and for Prometheus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from app.core.roles import sees_unreleased
from app.monitoring import queue_health as health
from app.monitoring.released_score_store import Period, read_periods
from app.monitoring.released_scores import difference_of
from app.regions.store import Region, list_regions
from app.registry import store as registry
from app.registry.alarms import open_alarms
from app.registry.champions import line
from app.registry.history import last_incident_at
from app.registry.visibility import served
from app.releases.disclosure import shown_mean
from app.releases.store import latest
from app.runs.queue import queue_depth
from app.runs.schedules import database_clock, failure_of

LIVE_DAYS = 28


@dataclass(frozen=True)
class RegionState:
    """One region; ages in seconds, None where there is nothing to be old."""

    region: str
    champion: str | None
    model_age_s: float | None
    """Since the champion's data end."""
    ingest_lag_s: float | None
    """Since the last incident that is known; for readers, since the end of the last release."""
    live_log_score: float | None
    """Of the champion on the last 28 released days, nats per incident."""
    live_difference: float | None
    """The same minus the champion's before, on the same incidents."""
    last_training_s: float | None
    """How long the last finished training took."""
    trainings: dict[str, int]
    """Runs by status."""
    alarms: list[str]
    schedule_failure: str | None
    """Why the last look at what its schedule asks for failed."""


@dataclass(frozen=True)
class Overview:
    """All regions, the queue and its workers."""

    at: datetime
    queue: dict[str, int]
    oldest_job_s: float | None
    """Age of the job that has waited longest."""
    workers: int
    """Workers that have beaten lately."""
    regions: list[RegionState]


def overview(connection: Connection, stalled_s: float) -> Overview:
    """What is going on now.

    Args:
        stalled_s: a worker without a sign of life for so long is not counted.
    """
    now = database_clock(connection)
    return Overview(
        at=now,
        queue=queue_depth(connection),
        oldest_job_s=health.oldest_waiting_s(connection),
        workers=health.living_workers(connection, stalled_s),
        regions=[_region(connection, region, now) for region in list_regions(connection)],
    )


def _region(connection: Connection, region: Region, now: datetime) -> RegionState:
    key = region.key
    current = served(connection, key)
    version = registry.sound_version(connection, key, current) if current else None
    last = _last_known(connection, key)
    score, difference = _live(connection, key, version)
    return RegionState(
        region=region.id,
        champion=current,
        model_age_s=(now - version.cutoff).total_seconds() if version else None,
        ingest_lag_s=(now - last).total_seconds() if last else None,
        live_log_score=score,
        live_difference=difference,
        last_training_s=health.last_training_s(connection, key),
        trainings=health.trainings_by_status(connection, key),
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
    held = line(connection, key)
    if len(held) < 2:
        return score, None
    against = read_periods(connection, key, held[-2].version)
    difference = difference_of(periods, against)
    return score, None if difference is None else difference["mean"]


def _last_days(periods: Sequence[Period]) -> list[Period]:
    """The newest periods that cover `LIVE_DAYS` days."""
    found: list[Period] = []
    for period in reversed(periods):
        if found and (found[-1].to_day - period.from_day).days > LIVE_DAYS:
            break
        found.insert(0, period)
    return found
