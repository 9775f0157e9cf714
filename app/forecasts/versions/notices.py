"""Notices about a version since its training: new incidents, alarms, a changed policy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine

from app.core.messages import Message
from app.core.roles import sees_unreleased
from app.forecasts.versions.loaded import LoadedVersion
from app.forecasts.warnings import WARNINGS, places_left_out
from app.regions.learning_policy import LearningPolicy
from app.regions.store import get_region_by_key
from app.registry.alarms import Alarm, alarm_message, open_alarms
from app.registry.history import arrived_since
from app.releases.groups import count_since
from app.releases.store import latest


def news_of(engine: Engine, version: LoadedVersion) -> tuple[Message, ...]:
    """Return what to warn of; empty if nothing has happened since the version's data end."""
    with engine.begin() as connection:
        count, last_at = _arrived(connection, version)
        alarms = open_alarms(connection, version.record.region_key)
        region = get_region_by_key(connection, version.record.region_key)
    minimum_count = LearningPolicy.of(region.settings).minimum_count
    news = []
    if last_at is not None:
        news.append(WARNINGS.make("new_incidents", n=count, until=f"{last_at:%Y-%m-%d}"))
    if sees_unreleased.get():
        news += places_left_out(version.record)
    news += [_named(alarm) for alarm in alarms if _concerns(alarm, version)]
    return (*news, *_small_counts(version, minimum_count))


def _arrived(connection: Connection, version: LoadedVersion) -> tuple[int, datetime | None]:
    """Count the incidents since the data end, and find the last; readers get released ones only."""
    key, since = version.record.region_key, version.record.cutoff
    if sees_unreleased.get():
        return arrived_since(connection, key, since, version.not_learnt)
    last = latest(connection, key)
    if last is None or last.until <= since:
        return 0, None
    count = count_since(connection, key, last, since)
    return (count, last.until - timedelta(seconds=1)) if count else (0, None)


def _concerns(alarm: Alarm, version: LoadedVersion) -> bool:
    """Return whether an alarm is about this version, or about one that it replaced."""
    return version.record.version in (alarm.version, alarm.details.get("to"))


def _named(alarm: Alarm) -> Message:
    """Return the alarm's message for the caller, with its kind in front."""
    message = alarm_message(alarm, exact=sees_unreleased.get())
    return replace(message, message=f"{alarm.kind} alarm: {message.message}")


def _small_counts(version: LoadedVersion, minimum_count: int) -> Iterator[Message]:
    """Warn if the region's policy asks by now for more to be hidden than the version hides."""
    hidden = version.record.report.get("small_counts", {}).get("minimum_count", 0)
    if minimum_count >= 2 and hidden < minimum_count:
        yield WARNINGS.make("small_counts_not_hidden", minimum_count=minimum_count)
