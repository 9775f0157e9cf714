"""Alarms and the checks that raised them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from app.core.db.tables import alarms, drift_checks
from app.core.messages import Message, MessageTable

DRIFT_KINDS = ("volume", "place", "calibration")
ALARM_KINDS = (*DRIFT_KINDS, "rollback", "swing")
ALARMS = MessageTable(
    {
        "volume_alarm": "{observed} incidents in the {days} days since {since}; {expected:.0f} "
        "[{low:.0f}, {high:.0f}] were expected",
        "calibration_alarm": "{observed} of {n} hourly counts since {since} lie outside their 90 % "
        "intervals; {expected:.0f} were expected",
        "place_alarm": "incidents since {since} lie where the forecast is thinner than it expects, "
        "more than when it was validated",
        "rollback_alarm": "rolled back to {to}: {version} was worse on incidents that arrived since",
        "swing_alarm": "the incidents up to {until} would have moved {wanted:.0%} of the forecast at once; "
        "it moved by {moved:.0%}: look whether the feed delivered them in whole",
        "volume_alarm_redacted": "the number of incidents differs from the expected one",
        "calibration_alarm_redacted": "more hourly counts than expected lie outside their 90 % "
        "intervals",
        "place_not_scored": "not judged: no live scores yet",
        "place_not_validated": "not judged: the version was not validated",
    }
)


@dataclass(frozen=True)
class Alarm:
    """Something about a version that a person should know; open until it is cleared."""

    version: str
    kind: str
    message: str
    details: dict[str, Any]
    raised_at: datetime
    cleared_at: datetime | None


@dataclass(frozen=True)
class Check:
    """One drift check of a version against incidents after its cutoff."""

    kind: str
    days: int
    p_value: float
    alarming: bool
    details: Mapping[str, Any]


def _columns() -> list[Any]:
    return [alarms.c[name] for name in Alarm.__dataclass_fields__]


def open_alarms(connection: Connection, region_key: int) -> list[Alarm]:
    """List a region's open alarms, newest first."""
    query = (
        select(*_columns())
        .where(alarms.c.region_key == region_key, alarms.c.cleared_at.is_(None))
        .order_by(alarms.c.raised_at.desc(), alarms.c.id.desc())
    )
    return [Alarm(*row) for row in connection.execute(query)]


def list_alarms(connection: Connection, region_key: int, limit: int = 100) -> list[Alarm]:
    """List a region's newest alarms, open or cleared."""
    query = (
        select(*_columns())
        .where(alarms.c.region_key == region_key)
        .order_by(alarms.c.raised_at.desc(), alarms.c.id.desc())
        .limit(limit)
    )
    return [Alarm(*row) for row in connection.execute(query)]


def alarm_message(alarm: Alarm, *, exact: bool) -> Message:
    """Return what an alarm says; to readers without counts, which may be of few incidents.

    Alarms of releases before 0.2 may lack parameters.
    """
    code = alarm.details.get("code", f"{alarm.kind}_alarm")
    if not exact and f"{code}_redacted" in ALARMS.templates:
        return ALARMS.make(f"{code}_redacted")
    params = {k: v for k, v in alarm.details.items() if k in ALARMS.fields(code)}
    return Message(code, params, alarm.message)


def alarm_json(alarm: Alarm, *, exact: bool) -> dict[str, Any]:
    """Return an alarm as replies show it; to readers without its figures."""
    shown = {
        k: v for k, v in alarm.details.items() if k != "code" and (exact or k in ("days", "to"))
    }
    return {
        "version": alarm.version,
        "kind": alarm.kind,
        **alarm_message(alarm, exact=exact).to_json(),
        "details": shown,
        "raised_at": alarm.raised_at.isoformat(),
        "cleared_at": alarm.cleared_at.isoformat() if alarm.cleared_at else None,
    }


def raise_alarm(
    connection: Connection, region_key: int, version: str, check: Check, now: datetime
) -> bool:
    """Open an alarm of the check's kind unless one is open; return whether it is new.

    The check's details hold its `message`, its `code` and the parameters.
    """
    details = {k: v for k, v in check.details.items() if k != "message"}
    statement = upsert(alarms).values(
        region_key=region_key,
        version=version,
        kind=check.kind,
        message=check.details["message"],
        details={**details, "p_value": check.p_value, "days": check.days},
        raised_at=now,
    )
    made = connection.execute(
        statement.on_conflict_do_nothing(
            index_elements=["region_key", "version", "kind"],
            index_where=alarms.c.cleared_at.is_(None),
        ).returning(alarms.c.id)
    ).one_or_none()
    return made is not None


def clear_alarms(connection: Connection, region_key: int, now: datetime, *conditions: Any) -> int:
    """Close a region's open alarms that meet conditions on the table; return how many."""
    return connection.execute(
        update(alarms)
        .where(alarms.c.region_key == region_key, alarms.c.cleared_at.is_(None), *conditions)
        .values(cleared_at=now)
    ).rowcount


def drop_old_alarms(connection: Connection, before: datetime) -> int:
    """Delete alarms that were cleared before an instant; return how many."""
    return connection.execute(delete(alarms).where(alarms.c.cleared_at < before)).rowcount


def checks_made(connection: Connection, region_key: int, version: str) -> set[tuple[str, int]]:
    """Return {(kind, days)} of the drift checks made of a version."""
    query = select(drift_checks.c.kind, drift_checks.c.days).where(
        drift_checks.c.region_key == region_key, drift_checks.c.version == version
    )
    return {(kind, int(days)) for kind, days in connection.execute(query)}


def record_check(
    connection: Connection, region_key: int, version: str, check: Check, now: datetime
) -> None:
    """Store a drift check, so that it is made only once."""
    connection.execute(
        insert(drift_checks).values(
            region_key=region_key,
            version=version,
            kind=check.kind,
            days=check.days,
            checked_at=now,
            p_value=check.p_value,
            alarming=check.alarming,
            details=dict(check.details),
        )
    )


def list_checks(connection: Connection, region_key: int, version: str) -> list[Check]:
    """List all drift checks of a version, in order of time."""
    c = drift_checks.c
    query = (
        select(c.kind, c.days, c.p_value, c.alarming, c.details)
        .where(c.region_key == region_key, c.version == version)
        .order_by(c.days, c.kind)
    )
    return [Check(*row) for row in connection.execute(query)]
