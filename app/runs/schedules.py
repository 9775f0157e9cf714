"""When each region is trained again, and which ticks have been."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from app.core.db.operations_tables import schedule_ticks, schedules
from app.core.db.tables import regions, training_runs


@dataclass(frozen=True)
class Schedule:
    """Any of the causes that is set makes a tick."""

    region_key: int
    model: str
    cron: str | None
    new_incidents: int | None
    new_share: float | None
    on_drift: bool
    counted_from: datetime
    failure: str | None = None
    """Of the last look at what is due."""


@dataclass(frozen=True)
class Tick:
    """One training that was due, and the run that answered it."""

    tick_at: datetime
    cause: str
    run_id: UUID | None
    status: str | None
    """Of that run."""


def _as_schedule(row: Row[Any]) -> Schedule:
    return Schedule(**row._mapping)


def put_schedule(connection: Connection, schedule: Schedule) -> None:
    """Keep a region's schedule in place of the one before."""
    values = asdict(schedule)
    statement = insert(schedules).values(**values)
    connection.execute(statement.on_conflict_do_update(index_elements=["region_key"], set_=values))


def remove_schedule(connection: Connection, region_key: int) -> bool:
    """Whether there was one."""
    return bool(
        connection.execute(delete(schedules).where(schedules.c.region_key == region_key)).rowcount
    )


def get_schedule(connection: Connection, region_key: int) -> Schedule | None:
    """A region's schedule, if it has one."""
    query = select(schedules).where(schedules.c.region_key == region_key)
    row = connection.execute(query).one_or_none()
    return None if row is None else _as_schedule(row)


def note_failure(connection: Connection, region_key: int, failure: str | None) -> None:
    """Keep why the last look at what a schedule asks for failed, or that it did not."""
    connection.execute(
        update(schedules).where(schedules.c.region_key == region_key).values(failure=failure)
    )


def failure_of(connection: Connection, region_key: int) -> str | None:
    """Why the last look at what a schedule asks for failed, if it did."""
    schedule = get_schedule(connection, region_key)
    return schedule.failure if schedule else None


def failures_by_region(connection: Connection) -> dict[str, str]:
    """Why the last look at a schedule failed, by the ids of the regions where it did."""
    query = (
        select(regions.c.id, schedules.c.failure)
        .join(regions, regions.c.key == schedules.c.region_key)
        .where(schedules.c.failure.is_not(None))
        .order_by(regions.c.id)
    )
    return {str(region): str(failure) for region, failure in connection.execute(query)}


def scheduled_regions(connection: Connection) -> list[int]:
    """Keys of the regions with a schedule."""
    return list(connection.scalars(select(schedules.c.region_key).order_by(schedules.c.region_key)))


def lock_schedule(connection: Connection, region_key: int) -> Schedule | None:
    """The schedule, held until the transaction ends; None when another scheduler holds it."""
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
    """The newest ticks of a region (not later than `before`), by their own time."""
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
    """When the last tick (of a cause) was that is not later than `before`."""
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
    """Whether this tick had not been yet."""
    statement = insert(schedule_ticks).values(
        region_key=region_key, tick_at=tick_at, cause=cause, run_id=run_id
    )
    done = connection.execute(
        statement.on_conflict_do_nothing().returning(schedule_ticks.c.tick_at)
    ).one_or_none()
    return done is not None


def waiting_run(connection: Connection, region_key: int) -> UUID | None:
    """A run that a tick queued and that nobody has started yet."""
    query = (
        select(training_runs.c.id)
        .join(schedule_ticks, schedule_ticks.c.run_id == training_runs.c.id)
        .where(training_runs.c.region_key == region_key, training_runs.c.status == "queued")
        .limit(1)
    )
    found: UUID | None = connection.scalar(query)
    return found


def unfinished_tick_runs(connection: Connection) -> list[UUID]:
    """Runs of any region that a tick queued and that have not come to an end."""
    query = (
        select(training_runs.c.id)
        .join(schedule_ticks, schedule_ticks.c.run_id == training_runs.c.id)
        .where(training_runs.c.status.in_(("queued", "running")))
        .distinct()
    )
    return list(connection.scalars(query))


def has_unfinished_run(connection: Connection, region_key: int) -> bool:
    """Whether a training of the region waits or runs."""
    query = select(training_runs.c.id).where(
        training_runs.c.region_key == region_key,
        training_runs.c.status.in_(("queued", "running")),
    )
    return connection.execute(query.limit(1)).one_or_none() is not None


def drop_old_ticks(connection: Connection, before: datetime) -> int:
    """Forget ticks long past; returns how many."""
    return connection.execute(
        delete(schedule_ticks).where(schedule_ticks.c.tick_at < before)
    ).rowcount


def database_clock(connection: Connection) -> datetime:
    """The time by the database: one clock for all schedulers on all machines."""
    now: datetime = connection.execute(select(func.now())).scalar_one()
    return now
