"""Which waiting job a worker takes: by lanes, then callers and regions with few running jobs, then turns."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from app.core.settings import Settings
from app.runs.kinds import BACKTEST, KIND_PRIORITIES, TASK_QUEUE, TRAIN

MAX_LOOKED_AT = 50
"""Waiting jobs among which a worker chooses: the first by priority of those that it may take."""
_RUN = """
    SELECT region_key, requested_by, request FROM training_runs WHERE id = (job.args->>'run_id')::uuid
    UNION ALL SELECT region_key, requested_by, request FROM backtests WHERE id = (job.args->>'run_id')::uuid
    UNION ALL SELECT region_key, requested_by, request FROM sync_runs WHERE id = (job.args->>'run_id')::uuid
"""
# As procrastinate fetches: a job whose lock is held, or asked for by another one before it, cannot start.
_WAITING = text(
    f"""
    WITH running AS (
        SELECT job.task_name, run.region_key, run.requested_by
        FROM procrastinate_jobs AS job CROSS JOIN LATERAL ({_RUN}) AS run
        WHERE job.status = 'doing' AND job.worker_id IS NOT NULL AND job.queue_name = :queue
    ), busy_caller AS (
        SELECT task_name, requested_by, count(*) AS n FROM running GROUP BY task_name, requested_by
    ), busy_region AS (
        SELECT task_name, region_key, count(*) AS n FROM running GROUP BY task_name, region_key
    ), gpu AS (
        SELECT EXISTS (
            SELECT FROM worker_processes
            WHERE takes = 'gpu' AND heartbeat_at > now() - make_interval(secs => :stalled_s)
        ) AS lives
    ), first AS (
        SELECT job.id, job.task_name, job.priority, job.args->>'run_id' AS run_id, run.region_key,
               run.requested_by, run.request
        FROM procrastinate_jobs AS job
        LEFT JOIN LATERAL ({_RUN}) AS run ON true
        CROSS JOIN LATERAL (SELECT coalesce(
            run.request->>'model' = ANY(:gpu_models) OR run.request->'models' ?| :gpu_models, false
        ) AS worthy) AS label
        WHERE job.status = 'todo' AND job.queue_name = :queue AND job.task_name = ANY(:tasks)
          AND coalesce(job.scheduled_at, now()) <= now()
          AND CASE :takes WHEN 'gpu' THEN label.worthy
                          WHEN 'cpu' THEN NOT label.worthy OR NOT (SELECT lives FROM gpu)
                          ELSE true END
          AND (job.lock IS NULL OR NOT EXISTS (
              SELECT FROM procrastinate_jobs AS other
              WHERE other.lock = job.lock AND (other.status = 'doing' OR other.status = 'todo'
                AND (other.priority, -other.id) > (job.priority, -job.id))))
        ORDER BY job.priority DESC, job.id LIMIT :most
    )
    SELECT first.id, first.task_name, first.run_id, first.region_key, first.request
    FROM first
    LEFT JOIN busy_caller USING (task_name, requested_by)
    LEFT JOIN busy_region USING (task_name, region_key)
    ORDER BY first.priority / :of_a_kind DESC, coalesce(busy_caller.n, 0), coalesce(busy_region.n, 0),
             first.priority DESC, first.id
    """  # noqa: S608 - constants
)
_TAKE = text(
    """
    UPDATE procrastinate_jobs SET status = 'doing', worker_id = :worker
    WHERE id = (SELECT id FROM procrastinate_jobs WHERE id = :id AND status = 'todo'
                FOR UPDATE SKIP LOCKED)
    RETURNING id, status::text, task_name, priority, lock, queueing_lock, args, scheduled_at,
              queue_name, attempts, worker_id
    """
)


@dataclass(frozen=True)
class Taker:
    """What a worker takes: `all`, only what is worth a GPU, or the rest while such a worker is alive.

    Args:
        gpu_models: models whose runs are worth a GPU.
        stalled_s: workers without a heartbeat for so long are not alive.
    """

    takes: str
    gpu_models: tuple[str, ...]
    stalled_s: float

    @classmethod
    def of(cls, settings: Settings, gpu_models: Collection[str]) -> Taker:
        """Return what a worker with these settings takes."""
        return cls(settings.worker_takes, tuple(sorted(gpu_models)), settings.job_stalled_s)


@dataclass(frozen=True)
class WaitingJob:
    """A job that could start; region and request are those of its run, None if that is gone."""

    id: int
    task_name: str
    run_id: str
    region_key: int | None
    request: dict[str, Any] | None


def waiting_jobs(
    connection: Connection,
    queue: str,
    tasks: Sequence[str],
    taker: Taker,
    most: int = MAX_LOOKED_AT,
) -> list[WaitingJob]:
    """List the jobs that could start now, in the order in which they should."""
    values = {"queue": queue, "tasks": list(tasks), "most": most, "of_a_kind": KIND_PRIORITIES}
    values |= {**vars(taker), "gpu_models": list(taker.gpu_models)}
    return [WaitingJob(**row._mapping) for row in connection.execute(_WAITING, values)]


def take_job(connection: Connection, job_id: int, worker_id: int) -> dict[str, Any] | None:
    """Mark a waiting job as running here; return its row, or None if it cannot start any more."""
    try:
        with connection.begin_nested():
            row = connection.execute(_TAKE, {"id": job_id, "worker": worker_id}).one_or_none()
    except IntegrityError:  # another job with its lock has just started
        return None
    return None if row is None else dict(row._mapping)


_RUNS_HERE = text(
    "SELECT EXISTS (SELECT FROM procrastinate_jobs WHERE status = 'doing' AND worker_id = :worker)"
)


def works(connection: Connection, worker_id: int) -> bool:
    """Return whether a lane of a worker has a job that has not ended."""
    return bool(connection.scalar(_RUNS_HERE, {"worker": worker_id}))


def most_backtests(n_slots: int) -> int:
    """Return how many of a worker's slots backtests may hold: all but one, which is left to trainings."""
    return max(1, n_slots - 1)


_BACKTESTS_BESIDE = text(
    """
    SELECT count(*) FROM procrastinate_jobs
    WHERE status = 'doing' AND task_name = :task
      AND worker_id = (SELECT worker_id FROM procrastinate_jobs WHERE id = :job)
    """
)


def others_wait(
    connection: Connection, taker: Taker, *, job_id: int | None = None, n_slots: int = 1
) -> bool:
    """Return whether work that comes before helping could start in the place of a worker's helper.

    Args:
        job_id: the helper's job.
        n_slots: slots of its worker.
    """
    values = {"task": BACKTEST.task, "job": job_id}
    n_backtests = int(connection.scalar(_BACKTESTS_BESIDE, values) or 0)
    tasks = [TRAIN.task, *([BACKTEST.task] if n_backtests < most_backtests(n_slots) else [])]
    return bool(waiting_jobs(connection, TASK_QUEUE, tasks, taker, most=1))
