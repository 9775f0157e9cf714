"""Recovery of runs whose worker or terminal vanished: retry them, or give up."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Connection, Engine, text

from app.runs.kinds import BACKTEST, KIND_OF_TASK, KINDS, SCHEDULED_PRIORITY, TRAIN
from app.runs.store import queue_run
from app.runs.words import RUN_FAILURES
from app.worker.jobs import fail_run

MAX_ATTEMPTS = 10
"""Maximum number of attempts of a run, including those interrupted by loss of worker or database.

It exceeds the limit of the run's own failures (`job_max_attempts`).
"""
GIVEN_UP = RUN_FAILURES.make("run_gave_up", attempts=MAX_ATTEMPTS)

# If a suspended worker resumes and ends its job, the worker that replaced it loses the job.
_LOST = """
    SELECT id, region_key,
           EXISTS (SELECT 1 FROM schedule_ticks tick WHERE tick.run_id = run.id) AS scheduled
    FROM {table} run
    WHERE status IN ('queued', 'running') AND job_id IS NOT NULL
      AND coalesce(heartbeat_at, created_at) < now() - make_interval(secs => :stalled_s)
      AND NOT EXISTS (SELECT 1 FROM procrastinate_jobs job
                      WHERE job.id = run.job_id AND job.status IN ('todo', 'doing'))
    FOR UPDATE SKIP LOCKED
"""
_LOST_OF = {name: text(_LOST.format(table=kind.table.name)) for name, kind in KINDS.items()}


# `hotslot train` runs without a job; its fits have two heartbeats per second, and its longest step in
# between (reading or storing a million rows) takes minutes.
_ABANDONED_S = 3600.0
_ABANDONED = """
    SELECT id FROM {table}
    WHERE status = 'running' AND job_id IS NULL
      AND heartbeat_at < now() - make_interval(secs => :abandoned_s)
"""
_ABANDONED_OF = {
    kind.name: text(_ABANDONED.format(table=kind.table.name)) for kind in (TRAIN, BACKTEST)
}


def end_abandoned_runs(engine: Engine) -> int:
    """End runs without a job whose process is gone; return how many."""
    ended = 0
    for kind, query in _ABANDONED_OF.items():
        with engine.connect() as connection:
            found = connection.scalars(query, {"abandoned_s": _ABANDONED_S}).all()
        for run_id in found:
            fail_run(engine, kind, run_id, RUN_FAILURES.make("run_process_vanished"))
            ended += 1
    return ended


def give_up(engine: Engine, task: str, run_id: str) -> None:
    """End the run of a job that is not retried."""
    fail_run(engine, KIND_OF_TASK[task].name, UUID(run_id), GIVEN_UP)


def requeue_lost_runs(engine: Engine, stalled_s: float) -> int:
    """Queue unfinished runs without a job again; return how many."""
    with engine.begin() as connection:
        return sum(_requeue(connection, kind, stalled_s) for kind in KINDS)


def _requeue(connection: Connection, kind: str, stalled_s: float) -> int:
    lost = connection.execute(_LOST_OF[kind], {"stalled_s": stalled_s}).all()
    for run in lost:
        priority = SCHEDULED_PRIORITY if run.scheduled else None
        queue_run(connection, kind, run.id, run.region_key, priority)
    return len(lost)
