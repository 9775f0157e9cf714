"""What has happened since a version was trained: new data, and whether it fits the forecast."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from sqlalchemy import Engine

from app.domain.windows import HOUR_S
from app.services.forecast_types import LoadedVersion
from app.services.slots import slots_of
from app.storage.alarms import Alarm, open_alarms
from app.storage.version_history import arrived_since
from models.counts_negative_binomial import nearest_interval

DRIFT_LEVEL = 0.998
NEWS_MIN_HOURS = 24
MAX_JUDGED_HOURS = 24 * 366
"""Beyond a year the model is stale anyway, which has a warning of its own."""


def news_of(engine: Engine, version: LoadedVersion) -> tuple[str, ...]:
    """Sentences for the warnings; empty when nothing has arrived since the version's data end."""
    cutoff = version.record.cutoff
    with engine.connect() as connection:
        count, last_at = arrived_since(
            connection, version.record.region_key, cutoff, version.not_learnt
        )
        alarms = [
            a for a in open_alarms(connection, version.record.region_key) if _told(a, version)
        ]
    raised = tuple(f"{alarm.kind} alarm: {alarm.message}" for alarm in alarms)
    if last_at is None:
        return raised
    news = [f"{count} incidents up to {last_at:%Y-%m-%d} have arrived since the model's data end"]
    hours = int((last_at - cutoff).total_seconds() // HOUR_S) + 1
    if hours >= NEWS_MIN_HOURS:
        drift = _drift(version, count, min(hours, MAX_JUDGED_HOURS))
        news += [drift] if drift and hours <= MAX_JUDGED_HOURS else []
    return (*news, *raised)


def _told(alarm: Alarm, version: LoadedVersion) -> bool:
    """Alarms about this version, and that it stands in for one that did worse."""
    return version.record.version in (alarm.version, alarm.details.get("to"))


def _drift(version: LoadedVersion, count: int, hours: int) -> str | None:
    """A sentence when so many incidents in so many hours were hardly to be expected."""
    first_s = int(version.record.cutoff.replace(tzinfo=UTC).timestamp())
    times = first_s + HOUR_S * np.arange(hours, dtype=np.int64)
    mean = version.counts.mean(slots_of(times, version.region.timezone))
    dispersion = version.counts.sum_dispersion(mean, times)
    low, high = nearest_interval(np.array([mean.sum()]), dispersion, DRIFT_LEVEL)
    if low[0] <= count <= high[0]:
        return None
    since = datetime.fromtimestamp(first_s, UTC)
    return (
        f"drift: {count} incidents since {since:%Y-%m-%d}, the model expected "
        f"{mean.sum():.0f} [{low[0]:.0f}, {high[0]:.0f}]; retrain"
    )
