"""What has happened since a version was trained: new data, and the alarms that monitoring raised."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine

from app.core.roles import sees_unreleased
from app.forecasts.types import LoadedVersion
from app.regions.learning_policy import LearningPolicy
from app.regions.store import get_region_by_key
from app.registry.alarms import Alarm, open_alarms
from app.registry.history import arrived_since
from app.releases.disclosure import shown_alarm_message
from app.releases.groups import count_since
from app.releases.store import latest


def news_of(engine: Engine, version: LoadedVersion) -> tuple[str, ...]:
    """Sentences for the warnings; empty when nothing has happened since the version's data end."""
    with engine.begin() as connection:
        count, last_at = _arrived(connection, version)
        alarms = [
            a for a in open_alarms(connection, version.record.region_key) if _told(a, version)
        ]
        region = get_region_by_key(connection, version.record.region_key)
    raised = (
        *(f"{alarm.kind} alarm: {_message(alarm)}" for alarm in alarms),
        *_told_small_counts(version, LearningPolicy.of(region.settings).minimum_count),
    )
    if last_at is None:
        return raised
    news = f"{count} incidents up to {last_at:%Y-%m-%d} have arrived since the model's data end"
    return (news, *raised)


def _arrived(connection: Connection, version: LoadedVersion) -> tuple[int, datetime | None]:
    """How many incidents came since the data end, up to when; to readers those that are released."""
    key, since = version.record.region_key, version.record.cutoff
    if sees_unreleased.get():
        return arrived_since(connection, key, since, version.not_learnt)
    last = latest(connection, key)
    if last is None or last.until <= since:
        return 0, None
    count = count_since(connection, key, last, since)
    return (count, last.until - timedelta(seconds=1)) if count else (0, None)


def _told(alarm: Alarm, version: LoadedVersion) -> bool:
    """Alarms about this version, and that it stands in for one that did worse."""
    return version.record.version in (alarm.version, alarm.details.get("to"))


def _message(alarm: Alarm) -> str:
    if sees_unreleased.get():
        return alarm.message
    return shown_alarm_message(alarm.kind, alarm.message)


def _told_small_counts(version: LoadedVersion, minimum: int) -> list[str]:
    """A sentence where the region has asked since for more to be hidden than the version hides."""
    hidden = version.record.report.get("small_counts", {}).get("minimum_count", 0)
    if minimum < 2 or hidden >= minimum:
        return []
    return [
        f"trained before counts below {minimum} were to be hidden: it does not hide them; retrain"
    ]
