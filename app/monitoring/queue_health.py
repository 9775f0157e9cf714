"""How the queue and the trainings are doing."""

from __future__ import annotations

from sqlalchemy import Connection, func, select, text

from app.core.db.tables import training_runs

_OLDEST = text(
    """
    SELECT extract(epoch FROM now() - min(greatest(e.at, coalesce(j.scheduled_at, e.at))))
    FROM procrastinate_jobs AS j JOIN procrastinate_events AS e ON e.job_id = j.id
    WHERE j.status = 'todo' AND e.type = 'deferred' AND coalesce(j.scheduled_at, now()) <= now()
    """
)
_LIVING = text(
    """
    SELECT count(*) FROM procrastinate_workers
    WHERE last_heartbeat > now() - make_interval(secs => :stalled)
    """
)


def oldest_waiting_s(connection: Connection) -> float | None:
    """Seconds that the oldest job which could start has waited."""
    found = connection.scalar(_OLDEST)
    return None if found is None else float(found)


def living_workers(connection: Connection, stalled_s: float) -> int:
    """Claimers of jobs that have beaten lately; a worker process has three, one for each queue."""
    return int(connection.scalar(_LIVING, {"stalled": stalled_s}) or 0)


def last_training_s(connection: Connection, region_key: int) -> float | None:
    """How long a region's last finished training took."""
    query = (
        select(func.extract("epoch", training_runs.c.finished_at - training_runs.c.started_at))
        .where(training_runs.c.region_key == region_key, training_runs.c.finished_at.is_not(None))
        .order_by(training_runs.c.finished_at.desc())
        .limit(1)
    )
    found = connection.scalar(query)
    return None if found is None else float(found)


def trainings_by_status(connection: Connection, region_key: int) -> dict[str, int]:
    """Number of a region's training runs by status."""
    rows = connection.execute(
        select(training_runs.c.status, func.count())
        .where(training_runs.c.region_key == region_key)
        .group_by(training_runs.c.status)
    )
    return {status: int(count) for status, count in rows}
