"""Queue jobs in the caller's own transaction.

procrastinate's versioned SQL function is called on the same connection that writes the row the job
works on, so a run and its job are committed together.
"""

from __future__ import annotations

import json
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, delete, text

from app.runs.kinds import (
    HELP_PRIORITY,
    HELP_TASK,
    KIND_PRIORITIES,
    TASK_QUEUE,
    TURN_PRIORITIES,
    RunKind,
)

MAINTENANCE_TASK = "hotslot.maintenance"
MAINTENANCE_QUEUE = "hotslot-maintenance"
"""A separate queue, so that maintenance never waits for a training to end."""

_DEFER = text(
    """
    SELECT unnest(procrastinate_defer_jobs_v1(ARRAY[
        ROW(:queue, :task, :priority, :lock, NULL, CAST(:args AS jsonb), NULL)
    ]::procrastinate_job_to_defer_v1[]))
    """
)

# Place: `turn` counts the jobs of a region, `rank` those of a caller within a turn.
_PLACE = """
    WITH job AS (
        SELECT (:first - job.priority) / :width AS turn, (:first - job.priority) % :width AS rank,
               job.status = 'todo' AND coalesce(job.scheduled_at, now()) <= now() AS waits,
               run.region_key = :region AS own,
               run.requested_by = (SELECT requested_by FROM {table} WHERE id = :run) AS callers
        FROM procrastinate_jobs AS job
        JOIN {table} AS run ON run.id = (job.args->>'run_id')::uuid
        WHERE job.status IN ('todo', 'doing') AND job.task_name = :task
          AND job.priority > :first - :most AND job.priority <= :first
    ), place AS (
        SELECT greatest(coalesce(min(turn) FILTER (WHERE waits), 0),
                        coalesce(max(turn) FILTER (WHERE own) + 1, 0)) AS turn
        FROM job
    )
    SELECT place.turn, greatest(coalesce(min(rank) FILTER (WHERE waits), 0),
                                coalesce(max(rank) FILTER (WHERE callers) + 1, 0)) AS rank
    FROM place LEFT JOIN job USING (turn) GROUP BY place.turn
"""
_LOST_UPKEEP = text(
    """
    DELETE FROM procrastinate_jobs AS j
    WHERE j.queue_name = :queue AND j.status IN ('doing', 'failed') AND NOT EXISTS (
        SELECT FROM procrastinate_workers AS w
        WHERE w.id = j.worker_id AND w.last_heartbeat > now() - interval '5 min')
    """
)


def defer_job(
    connection: Connection,
    kind: RunKind,
    run_id: UUID | str,
    *,
    lock: str | None = None,
    priority: int = 0,
) -> int:
    """Queue a job for a run and return its id; jobs that share `lock` never run at the same time."""
    values = {
        "queue": kind.queue,
        "task": kind.task,
        "priority": priority,
        "lock": lock,
        "args": json.dumps({"run_id": str(run_id)}),
    }
    return int(connection.execute(_DEFER, values).scalar_one())


_INVITED = text(
    """
    SELECT 1 FROM procrastinate_jobs
    WHERE queue_name = :queue AND task_name = :task AND status = 'todo' AND args->>'run_id' = :run
    LIMIT 1
    """
)
_INVITATIONS = text(
    """
    DELETE FROM procrastinate_jobs
    WHERE queue_name = :queue AND task_name = :task AND status = 'todo' AND args->>'run_id' = :run
    """
)


def invite_helper(connection: Connection, run_id: UUID) -> None:
    """Queue a job by which a worker helps with a run, unless one is queued."""
    found = {"queue": TASK_QUEUE, "task": HELP_TASK, "run": str(run_id)}
    if connection.execute(_INVITED, found).first() is None:
        args = json.dumps({"run_id": str(run_id)})
        values = {"priority": HELP_PRIORITY, "lock": None, "args": args}
        connection.execute(_DEFER, {**found, **values})


def drop_parts(connection: Connection, kind: RunKind, run_id: UUID) -> None:
    """Remove a run's parts, and the jobs by which workers would help with it."""
    if not kind.parts:
        return
    for part in kind.parts:
        connection.execute(delete(part).where(part.c.run_id == run_id))
    found = {"queue": TASK_QUEUE, "task": HELP_TASK, "run": str(run_id)}
    connection.execute(_INVITATIONS, found)


_ENDED = text(
    """
    DELETE FROM procrastinate_jobs AS job
    WHERE job.status NOT IN ('todo', 'doing') AND NOT EXISTS (
        SELECT FROM procrastinate_events AS event WHERE event.job_id = job.id AND event.at >= :before)
    """
)


def forget_ended_jobs(connection: Connection, before: datetime) -> int:
    """Delete jobs that ended before an instant, with their events; return how many."""
    return connection.execute(_ENDED, {"before": before}).rowcount


def fair_priority(
    connection: Connection, kind: RunKind, run_id: UUID, region_key: int, first: int
) -> int:
    """Return the priority of the job of a region's run, so that regions and callers take turns.

    It comes after the region's own queued and running jobs, and not before the current turn of others: a
    region with many jobs waits for its own, and new requests cannot starve anyone. Within a turn it comes
    after the caller's own: whoever asks for many regions at once does not pass those who ask for one.
    Turns are counted anew when nothing of the kind waits or runs; after a thousand, and a thousand jobs of a
    caller within one, jobs follow each other as they come.

    Args:
        first: the highest priority to give.
    """
    query = text(_PLACE.format(table=kind.table.name))
    values = {"task": kind.task, "region": region_key, "run": run_id, "first": first}
    values |= {"width": TURN_PRIORITIES, "most": KIND_PRIORITIES}
    turn, rank = connection.execute(query, values).one()
    place = int(turn) * TURN_PRIORITIES + min(int(rank), TURN_PRIORITIES - 1)
    return first - min(place, KIND_PRIORITIES - 1)


def forget_lost_upkeep(connection: Connection) -> int:
    """Delete upkeep jobs whose worker died; the next tick has queued another already."""
    return connection.execute(_LOST_UPKEEP, {"queue": MAINTENANCE_QUEUE}).rowcount


def drop_waiting_job(connection: Connection, job_id: int | None) -> None:
    """Remove a job from the queue unless a worker has it already."""
    connection.execute(
        text("DELETE FROM procrastinate_jobs WHERE id = :id AND status = 'todo'"), {"id": job_id}
    )


def queue_depth(connection: Connection) -> dict[str, int]:
    """Count jobs by status (todo, doing, failed, ...)."""
    rows = connection.execute(
        text("SELECT status::text, count(*) FROM procrastinate_jobs GROUP BY status")
    )
    return {str(status): int(count) for status, count in rows}
