"""Schedules of trainings, and the tick that queues those that are due.

Every tick is taken exactly once: the schedule's row is locked, the tick's time is a primary key, and a
tick older than the newest one is never due. Downtime is therefore followed by at most one catch-up, and
a clock that is set back repeats nothing.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine

from app.audit import store as audit
from app.core.cron import check_cron, latest_tick, next_tick
from app.core.errors import InvalidInput, NotFound, Unavailable
from app.core.texts import cut
from app.incidents.releases import NO_RELEASE, advance
from app.regions.store import Region, get_region, get_region_by_key
from app.registry.alarms import open_alarms
from app.registry.history import arrived_since, newest_version
from app.releases.groups import count_since
from app.runs import schedules as store
from app.runs.kinds import SCHEDULED_PRIORITY
from app.runs.schedules import Schedule
from app.runs.store import request_run
from app.training.service import TrainingRequest, of_release

CLOCK_JUMP = timedelta(hours=1)
"""Ticks and starts of schedules further in the future were written by a wrong clock and are ignored."""
TRIGGER_PAUSE = timedelta(hours=1)
"""Pause between trainings triggered by data."""
PAUSE_AFTER_FAILURE = timedelta(days=1)
DRIFT_PAUSE = timedelta(days=7)
"""Pause between trainings triggered by one alarm."""
MAX_NEW_INCIDENTS = 10**9
MAX_FAILURE_LENGTH = 500
_log = logging.getLogger("hotslot.schedule")


@dataclass(frozen=True)
class ScheduleRequest:
    """A schedule with at least one cause."""

    model: str = "stack"
    cron: str | None = None
    new_incidents: int | None = None
    new_share: float | None = None
    on_drift: bool = False

    def checked(self) -> ScheduleRequest:
        """Validate the request and return it with a normalised cron expression.

        Raises:
            InvalidInput: unknown model, invalid expression, number out of range, or no cause.
        """
        TrainingRequest(self.model).checked()
        if self.new_incidents is not None and not 1 <= self.new_incidents <= MAX_NEW_INCIDENTS:
            raise InvalidInput(
                f"new_incidents must lie within 1..{MAX_NEW_INCIDENTS}, got {self.new_incidents}",
                field="new_incidents",
            )
        if self.new_share is not None and not 0.001 <= self.new_share <= 100:
            raise InvalidInput(
                f"new_share must lie within 0.001..100, got {self.new_share:g}", field="new_share"
            )
        if self.cron is not None and not self.cron.strip():
            raise InvalidInput("cron is empty; give five fields, or null", field="cron")
        if not (self.cron or self.new_incidents or self.new_share or self.on_drift):
            raise InvalidInput(
                "give at least one of cron, new_incidents, new_share, on_drift", field="cron"
            )
        cron = check_cron(self.cron) if self.cron else None
        return ScheduleRequest(self.model, cron, self.new_incidents, self.new_share, self.on_drift)


def set_schedule(
    engine: Engine, region_id: str, request: ScheduleRequest, now: datetime
) -> dict[str, Any]:
    """Store a region's schedule; ticks of a new cron expression before `now` are skipped.

    If the expression is unchanged, a due tick stays due.

    Raises:
        NotFound: the region does not exist.
        InvalidInput: the request is invalid.
    """
    request = request.checked()
    with engine.begin() as connection:
        region = get_region(connection, region_id)
        before = store.get_schedule(connection, region.key)
        store.put_schedule(
            connection,
            Schedule(
                region.key,
                request.model,
                request.cron,
                request.new_incidents,
                request.new_share,
                request.on_drift,
                counted_from=before.counted_from if before and before.cron == request.cron else now,
            ),
        )
        audit.record(connection, "schedule.set", chain=region.id, **asdict(request))
    return show_schedule(engine, region_id, now)


def show_schedule(engine: Engine, region_id: str, now: datetime) -> dict[str, Any]:
    """Return a region's schedule, its next cron tick and its last ticks.

    Raises:
        NotFound: the region does not exist or has no schedule.
    """
    with engine.connect() as connection:
        region = get_region(connection, region_id)
        found = store.get_schedule(connection, region.key)
        if found is None:
            raise NotFound(f"{region_id} has no schedule", code="no_schedule")
        ticks = store.latest_ticks(connection, region.key)
    upcoming = next_tick(found.cron, region.timezone, now) if found.cron else None
    return {
        "region": region.id,
        "model": found.model,
        "cron": found.cron,
        "timezone": region.timezone,
        "new_incidents": found.new_incidents,
        "new_share": found.new_share,
        "on_drift": found.on_drift,
        "failure": found.failure,
        "next_at": upcoming.isoformat() if upcoming else None,
        "last_ticks": [
            {
                "at": tick.tick_at.isoformat(),
                "cause": tick.cause,
                "status": tick.status,
                "training_run": str(tick.run_id) if tick.run_id else None,
            }
            for tick in ticks
        ],
    }


def remove_schedule(engine: Engine, region_id: str) -> None:
    """Remove a region's schedule.

    Raises:
        NotFound: the region does not exist or has no schedule.
    """
    with engine.begin() as connection:
        region = get_region(connection, region_id)
        if not store.remove_schedule(connection, region.key):
            raise NotFound(f"{region_id} has no schedule", code="no_schedule")
        audit.record(connection, "schedule.removed", chain=region.id)


def tick(engine: Engine, now: datetime) -> list[UUID]:
    """Queue the trainings that are due in all regions; return the new runs.

    Any number of schedulers may call it at any time. Failures of a region do not affect the others; the
    reason is logged and stored with its schedule.
    """
    with engine.connect() as connection:
        keys = store.scheduled_regions(connection)
    runs = []
    for key in keys:
        run_id = _tick_alone(engine, key, now)
        if run_id is not None:
            runs.append(run_id)
    return runs


def _tick_alone(engine: Engine, region_key: int, now: datetime) -> UUID | None:
    """Call `tick_region` in a transaction of its own.

    Raises:
        Unavailable: the database cannot be reached, which would affect all following regions.
    """
    try:
        with engine.begin() as connection:
            return tick_region(connection, region_key, now)
    except Unavailable:
        raise
    except Exception as error:
        _log.exception("checking a schedule failed", extra={"region_key": region_key})
        failure = cut(f"{type(error).__name__}: {error}", MAX_FAILURE_LENGTH)
    with engine.begin() as connection:
        store.note_failure(connection, region_key, failure)
    return None


def tick_region(connection: Connection, region_key: int, now: datetime) -> UUID | None:
    """Queue the run that a region's schedule requests now, in the caller's transaction.

    A cron tick whose previous run is still waiting is assigned to that run.
    """
    schedule = store.lock_schedule(connection, region_key)
    if schedule is None:
        return None
    if schedule.failure is not None:
        store.note_failure(connection, region_key, None)
    region = get_region_by_key(connection, region_key)
    due = _due_by_clock(connection, schedule, region, now)
    if due is not None:
        waiting = store.waiting_run(connection, region_key)
        if waiting is not None:
            store.record_tick(connection, region_key, due, "cron", waiting)
            return None
        return _start(connection, schedule, region, due, "cron")
    cause = _due_by_data(connection, schedule, now)
    return None if cause is None else _start(connection, schedule, region, now, cause)


def _start(
    connection: Connection, schedule: Schedule, region: Region, tick_at: datetime, cause: str
) -> UUID | None:
    request = of_release(connection, region, TrainingRequest(schedule.model))
    if request.release == NO_RELEASE:  # Readers do not see versions of so few incidents.
        request = TrainingRequest(schedule.model)
    run = request_run(connection, "train", region.key, request, SCHEDULED_PRIORITY)
    store.record_tick(connection, region.key, tick_at, cause, run.id)
    return run.id


def _due_by_clock(
    connection: Connection, schedule: Schedule, region: Region, now: datetime
) -> datetime | None:
    """Return the latest tick of the cron expression, unless it or a later one was taken."""
    if schedule.cron is None:
        return None
    latest = latest_tick(schedule.cron, region.timezone, now)
    if latest is None or latest <= schedule.counted_from <= now + CLOCK_JUMP:
        return None
    newest = store.newest_tick(connection, region.key, now + CLOCK_JUMP, "cron")
    if newest is not None and newest >= latest:
        return None
    return latest


def _due_by_data(connection: Connection, schedule: Schedule, now: datetime) -> str | None:
    """Return the cause if new data or an alarm triggers a training."""
    key = schedule.region_key
    if store.has_unfinished_run(connection, key):
        return None
    last = next(iter(store.latest_ticks(connection, key, 1, before=now + CLOCK_JUMP)), None)
    if last is not None:
        pause = PAUSE_AFTER_FAILURE if last.status == "failed" else TRIGGER_PAUSE
        if now - last.tick_at < pause:
            return None
    if _enough_new(connection, schedule, now):
        return "new_incidents" if schedule.new_incidents else "new_share"
    if schedule.on_drift and _unanswered(connection, key, last.tick_at if last else None, now):
        return "drift"
    return None


def _enough_new(connection: Connection, schedule: Schedule, now: datetime) -> bool:
    """Return whether enough released incidents happened since the newest version's data end.

    Trainings use released incidents only, and counting others would let the author of the schedule count
    them one by one. Without a version, all incidents count.
    """
    if schedule.new_incidents is None and schedule.new_share is None:
        return False
    region = get_region_by_key(connection, schedule.region_key)
    newest = newest_version(connection, region.key)
    found = advance(connection, region, now)
    if newest is None:
        count, known = arrived_since(connection, region.key, datetime.min.replace(tzinfo=UTC))[0], 0
    elif found is None or found.until <= newest.cutoff:
        return False
    else:
        count, known = count_since(connection, region.key, found, newest.cutoff), newest.n_incidents
    if schedule.new_incidents is not None and count >= schedule.new_incidents:
        return True
    return schedule.new_share is not None and count > 0 and count >= schedule.new_share * known


def _unanswered(
    connection: Connection, region_key: int, answered_at: datetime | None, now: datetime
) -> bool:
    """Return whether an open alarm is newer than the last training, or open a week after it."""
    drift = [a for a in open_alarms(connection, region_key) if a.kind != "rollback"]
    if answered_at is None or now - answered_at >= DRIFT_PAUSE:
        return bool(drift)
    return any(alarm.raised_at > answered_at for alarm in drift)
