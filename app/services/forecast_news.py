"""What has happened since a version was trained: new data, and the alarms that monitoring raised."""

from __future__ import annotations

from sqlalchemy import Engine

from app.services.forecast_types import LoadedVersion
from app.storage.alarms import Alarm, open_alarms
from app.storage.version_history import arrived_since


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
    news = f"{count} incidents up to {last_at:%Y-%m-%d} have arrived since the model's data end"
    return (news, *raised)


def _told(alarm: Alarm, version: LoadedVersion) -> bool:
    """Alarms about this version, and that it stands in for one that did worse."""
    return version.record.version in (alarm.version, alarm.details.get("to"))
