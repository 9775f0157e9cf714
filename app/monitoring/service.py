"""Monitoring of champions: live scores, drift alarms, and rollback of bad versions.

A check is made when its days are over and one more day was delivered, so that most late incidents have
arrived. Each check is made once and stored, whether it raises an alarm or not.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine

from app.core.db.locks import MONITOR_LOCK, transaction_lock
from app.core.db.tables import alarms as alarm_table
from app.fitting.hourly_counts import counted_slots
from app.incidents.releases import advance
from app.monitoring import live_score_store as scores
from app.monitoring.live_score_store import LiveDay
from app.monitoring.live_scores import paired, shadowed, update_scores
from app.monitoring.released_scores import SETTLE, release_scores
from app.regions.store import Region, get_region_by_key
from app.registry import alarms
from app.registry import store as registry
from app.registry.alarms import ALARMS, DRIFT_KINDS, Check
from app.registry.champions import Champion, champion_history, get_champion, roll_back
from app.registry.history import last_incident_at
from app.registry.new_incidents import new_incidents
from app.training.promotion_policy import MAX_DEFICIT
from models.counts.fit import Slots
from models.counts.model import CountModel
from models.evaluation import drift
from models.units import IntArray

ROLLBACK_LOOKS = (3, 5, 7, 14, 28)


@dataclass(frozen=True)
class Seen:
    """Result of monitoring a region."""

    days_scored: int
    raised: tuple[str, ...]
    rolled_back_to: str | None


def monitor_region(
    engine: Engine, region_key: int, now: datetime, *, auto_rollback: bool = True
) -> Seen:
    """Score new incidents, check for drift, and roll back to the previous champion if it was better.

    All in one transaction; concurrent monitors of a region wait for each other.
    """
    with engine.begin() as connection:
        transaction_lock(connection, MONITOR_LOCK, region_key)
        region = get_region_by_key(connection, region_key)
        current = get_champion(connection, region_key)
        if current is None:
            return Seen(0, (), None)
        followed = shadowed(connection, region_key)
        scored = sum(update_scores(connection, region, version, now) for version in followed)
        for version in followed:
            release_scores(connection, region, version.version, now)
        champion = registry.sound_version(connection, region_key, current.version)
        back = _judge_promotion(connection, region_key, current, now) if auto_rollback else None
        if back is not None:
            _clear_others(connection, region_key, back, now)
            return Seen(scored, ("rollback",), back)
        _clear_others(connection, region_key, current.version, now)
        raised = tuple(_look(connection, region, champion, now)) if champion is not None else ()
    return Seen(scored, raised, None)


def _clear_others(connection: Connection, region_key: int, champion: str, now: datetime) -> None:
    """Clear alarms about versions that are no longer champion."""
    alarms.clear_alarms(
        connection,
        region_key,
        now,
        alarm_table.c.kind.in_(DRIFT_KINDS),
        alarm_table.c.version != champion,
    )
    alarms.clear_alarms(
        connection,
        region_key,
        now,
        alarm_table.c.kind == "rollback",
        alarm_table.c.details["to"].astext != champion,
    )


def _look(
    connection: Connection, region: Region, version: registry.VersionRecord, now: datetime
) -> Iterator[str]:
    """Make the checks that are due; yield the kinds of raised alarms.

    Checks follow releases, because readers see them and must not notice a single new incident.
    """
    last, released = last_incident_at(connection, region.key), advance(connection, region, now)
    if last is None or released is None or min(last, released.until) < version.cutoff + SETTLE:
        return
    due = drift.look_days((min(last, released.until, now) - SETTLE - version.cutoff).days)
    taken = alarms.checks_made(connection, region.key, version.version)
    missing = [kind for kind in DRIFT_KINDS if due and (kind, due[-1]) not in taken]
    if not missing:
        return
    for check in _checks(connection, region, version, due[-1], missing):
        alarms.record_check(connection, region.key, version.version, check, now)
        if check.alarming:
            if alarms.raise_alarm(connection, region.key, version.version, check, now):
                yield check.kind
        else:
            alarms.clear_alarms(
                connection,
                region.key,
                now,
                alarm_table.c.kind == check.kind,
                alarm_table.c.version == version.version,
            )


def _checks(
    connection: Connection,
    region: Region,
    version: registry.VersionRecord,
    days: int,
    kinds: Sequence[str],
) -> Iterator[Check]:
    end = version.cutoff + timedelta(days=days)
    start = max(version.cutoff, end - timedelta(days=drift.PERIOD_DAYS))
    grid, _ = registry.grid_of(connection, version)
    found = new_incidents(connection, region, version, grid, start).inside()
    counts = CountModel.from_state(version.counts)
    slots, count = counted_slots(
        found.time_s, region.timezone, int(start.timestamp()), int(end.timestamp())
    )
    if "volume" in kinds:
        yield _volume_check(counts, slots, int(count.sum()), days, start)
    if "calibration" in kinds:
        yield _calibration_check(counts, slots, count, days, start)
    if "place" in kinds:
        yield _place_check(connection, version, days, (start, end))


def _volume_check(
    counts: CountModel, slots: Slots, observed: int, days: int, start: datetime
) -> Check:
    mean = counts.mean(slots)
    low, high = counts.interval_of_sum(mean, slots.time_s)
    return _check(
        ("volume", days, drift.volume_p_value(counts, slots, observed)),
        "volume_alarm",
        observed=observed,
        expected=float(mean.sum()),
        low=float(low),
        high=float(high),
        since=f"{start:%Y-%m-%d}",
        days=days,
    )


def _calibration_check(
    counts: CountModel, slots: Slots, count: IntArray, days: int, start: datetime
) -> Check:
    p_value, expected = drift.calibration_p_value(counts, slots, count)
    return _check(
        ("calibration", days, p_value),
        "calibration_alarm",
        observed=drift.misses(counts, counts.mean(slots), count),
        expected=expected,
        n=len(slots),
        since=f"{start:%Y-%m-%d}",
    )


def _place_check(
    connection: Connection,
    version: registry.VersionRecord,
    days: int,
    period: tuple[datetime, datetime],
) -> Check:
    start, end = period
    lived = [
        day
        for day in scores.read_days(connection, version.region_key, version.version)
        if start.date() <= day.day < end.date() and day.n > 0
    ]
    before = _reference(version)
    if not lived or before is None:
        return _check(("place", days, 1.0), "place_not_validated" if lived else "place_not_scored")
    live = _residuals(lived)
    p_value = drift.place_p_value(live, before)
    observed, expected = (float(sums.total.sum() / sums.n.sum()) for sums in (live, before))
    return _check(
        ("place", days, p_value),
        "place_alarm",
        observed=observed,
        expected=expected,
        since=f"{start:%Y-%m-%d}",
    )


def _reference(version: registry.VersionRecord) -> drift.DaySums | None:
    """Return the residuals of the validation, if there was one."""
    stored = version.scores.get("place_reference")
    return drift.as_day_sums(stored["n"], stored["total"]) if stored and stored["n"] else None


def _residuals(days: Sequence[LiveDay]) -> drift.DaySums:
    return drift.as_day_sums(
        [day.n for day in days], [day.log_density_sum - day.expected_sum for day in days]
    )


def _has_drifted(
    connection: Connection, region_key: int, version: str, days: Container[date]
) -> bool:
    """Return whether a version's residuals on these days are lower than in its validation."""
    record = registry.sound_version(connection, region_key, version)
    reference = _reference(record) if record is not None else None
    lived = [d for d in scores.read_days(connection, region_key, version) if d.day in days]
    if reference is None or not lived:
        return False
    return drift.place_p_value(_residuals(lived), reference) < drift.LEVEL


def _check(what: tuple[str, int, float], code: str, **details: Any) -> Check:
    kind, days, p_value = what
    message = ALARMS.make(code, **details).message
    found = {"message": message, "code": code, **details}
    return Check(kind, days, p_value, p_value < drift.LEVEL, found)


def _judge_promotion(
    connection: Connection, region_key: int, current: Champion, now: datetime
) -> str | None:
    """Roll back if the champion was worse than the one before it; return the version restored.

    Both are compared on the same incidents of days after those known at the promotion, after 3, 5, 7, 14
    and 28 such days, each at `drift.LEVEL`. A deficit below `MAX_DEFICIT` does not lead to a rollback,
    nor does a drift that affects both versions, which needs a training instead.
    """
    held = champion_history(connection, region_key)
    if len(held) < 2 or held[-1].version != current.version:
        return None
    champion, before = held[-1].version, held[-2].version
    mine = scores.read_days(connection, region_key, champion)
    # The last day may be incomplete, and the day of the promotion was partly known.
    known = held[-1].data_until
    settled = [d for d in mine[:-1] if known is None or d.day > known.date()]
    days, difference = paired(settled, scores.read_days(connection, region_key, before))
    due = [look for look in ROLLBACK_LOOKS if look <= len(days)]
    if not due or ("rollback", due[-1]) in alarms.checks_made(connection, region_key, champion):
        return None
    p_value = drift.falls_behind(difference)
    worse = p_value < drift.LEVEL and difference.mean < -MAX_DEFICIT
    if worse and _has_drifted(connection, region_key, before, set(days)):
        return None
    found = _check(
        ("rollback", due[-1], p_value),
        "rollback_alarm",
        to=before,
        version=champion,
        n=int(difference.n.sum()),
        difference=float(difference.mean),
    )
    check = replace(found, alarming=worse)
    alarms.record_check(connection, region_key, champion, check, now)
    if not worse:
        return None
    roll_back(connection, region_key, check.details["message"], current.revision)
    alarms.raise_alarm(connection, region_key, champion, check, now)
    return before
