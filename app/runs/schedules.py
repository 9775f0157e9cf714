"""Training schedules of regions, and their past ticks."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from app.core.db.tables import regions, schedule_ticks, schedules, training_runs


@dataclass(frozen=True)
class Schedule:
    """A training schedule; each cause that is set can trigger a tick."""

    region_key: int
    model: str
    cron: str | None
    new_incidents: int | None
    new_share: float | None
    on_drift: bool
    counted_from: datetime
    failure: str | None = None
    """Of the last evaluation."""


@dataclass(frozen=True)
class Tick:
    """One training that was due, and its run."""

    tick_at: datetime
    cause: str
    run_id: UUID | None
    status: str | None
    """Of that run."""


def _as_schedule(row: Row[Any]) -> Schedule:
    return Schedule(**row._mapping)


def put_schedule(connection: Connection, schedule: Schedule) -> None:
    """Store a region's schedule, replacing the previous one."""
    values = asdict(schedule)
    statement = insert(schedules).values(**values)
    connection.execute(statement.on_conflict_do_update(index_elements=["region_key"], set_=values))


def remove_schedule(connection: Connection, region_key: int) -> bool:
    """Delete a region's schedule; return whether there was one."""
    return bool(
        connection.execute(delete(schedules).where(schedules.c.region_key == region_key)).rowcount
    )


def get_schedule(connection: Connection, region_key: int) -> Schedule | None:
    """Return a region's schedule, or None."""
    query = select(schedules).where(schedules.c.region_key == region_key)
    row = connection.execute(query).one_or_none()
    return None if row is None else _as_schedule(row)


def note_failure(connection: Connection, region_key: int, failure: str | None) -> None:
    """Store why the last evaluation of a schedule failed; None if it did not."""
    connection.execute(
        update(schedules).where(schedules.c.region_key == region_key).values(failure=failure)
    )


def failure_of(connection: Connection, region_key: int) -> str | None:
    """Return why the last evaluation of a region's schedule failed, or None."""
    schedule = get_schedule(connection, region_key)
    return schedule.failure if schedule else None


def failures_by_region(connection: Connection) -> dict[str, str]:
    """Return {region id: why the last evaluation of its schedule failed}."""
    query = (
        select(regions.c.id, schedules.c.failure)
        .join(regions, regions.c.key == schedules.c.region_key)
        .where(schedules.c.failure.is_not(None))
        .order_by(regions.c.id)
    )
    return {str(region): str(failure) for region, failure in connection.execute(query)}


def scheduled_regions(connection: Connection) -> list[int]:
    """List the keys of the regions with a schedule."""
    return list(connection.scalars(select(schedules.c.region_key).order_by(schedules.c.region_key)))


def lock_schedule(connection: Connection, region_key: int) -> Schedule | None:
    """Lock a schedule until the transaction ends; return None if another scheduler holds it."""
    query = (
        select(schedules)
        .where(schedules.c.region_key == region_key)
        .with_for_update(skip_locked=True)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else _as_schedule(row)


def latest_ticks(
    connection: Connection, region_key: int, limit: int = 10, before: datetime | None = None
) -> list[Tick]:
    """Return a region's newest ticks (not later than `before`), newest first."""
    query = (
        select(
            schedule_ticks.c.tick_at,
            schedule_ticks.c.cause,
            schedule_ticks.c.run_id,
            training_runs.c.status,
        )
        .outerjoin(training_runs, training_runs.c.id == schedule_ticks.c.run_id)
        .where(schedule_ticks.c.region_key == region_key)
        .order_by(schedule_ticks.c.tick_at.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(schedule_ticks.c.tick_at <= before)
    return [Tick(*row) for row in connection.execute(query)]


def newest_tick(
    connection: Connection, region_key: int, before: datetime, cause: str | None = None
) -> datetime | None:
    """Return the time of the last tick (of a cause) not later than `before`."""
    query = select(func.max(schedule_ticks.c.tick_at)).where(
        schedule_ticks.c.region_key == region_key, schedule_ticks.c.tick_at <= before
    )
    if cause is not None:
        query = query.where(schedule_ticks.c.cause == cause)
    found: datetime | None = connection.scalar(query)
    return found


def record_tick(
    connection: Connection, region_key: int, tick_at: datetime, cause: str, run_id: UUID
) -> bool:
    """Record a tick; return False if it was recorded before."""
    statement = insert(schedule_ticks).values(
        region_key=region_key, tick_at=tick_at, cause=cause, run_id=run_id
    )
    done = connection.execute(
        statement.on_conflict_do_nothing().returning(schedule_ticks.c.tick_at)
    ).one_or_none()
    return done is not None


def waiting_run(connection: Connection, region_key: int) -> UUID | None:
    """Return a run that a tick queued and that has not started yet."""
    query = (
        select(training_runs.c.id)
        .join(schedule_ticks, schedule_ticks.c.run_id == training_runs.c.id)
        .where(training_runs.c.region_key == region_key, training_runs.c.status == "queued")
        .limit(1)
    )
    found: UUID | None = connection.scalar(query)
    return found


def unfinished_tick_runs(connection: Connection) -> list[UUID]:
    """List unfinished runs, of any region, that a tick queued."""
    query = (
        select(training_runs.c.id)
        .join(schedule_ticks, schedule_ticks.c.run_id == training_runs.c.id)
        .where(training_runs.c.status.in_(("queued", "running")))
        .distinct()
    )
    return list(connection.scalars(query))


def has_unfinished_run(connection: Connection, region_key: int) -> bool:
    """Return whether a training of the region is queued or running."""
    query = select(training_runs.c.id).where(
        training_runs.c.region_key == region_key, training_runs.c.status.in_(("queued", "running"))
    )
    return connection.execute(query.limit(1)).one_or_none() is not None


def drop_old_ticks(connection: Connection, before: datetime) -> int:
    """Delete old ticks; return how many."""
    return connection.execute(
        delete(schedule_ticks).where(schedule_ticks.c.tick_at < before)
    ).rowcount


def database_clock(connection: Connection) -> datetime:
    """Return the database's time: one clock for the schedulers of all machines."""
    now: datetime = connection.execute(select(func.now())).scalar_one()
    return now
