"""Recovery of runs whose worker or terminal vanished: retry them, or give up."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Connection, Engine, text

from app.runs.queue import (
    BACKTEST_PRIORITY,
    BACKTEST_TASK,
    SCHEDULED_PRIORITY,
    SYNC_TASK,
    TRAIN_PRIORITY,
    TRAIN_TASK,
    defer_job,
    turn_of,
)
from app.runs.store import set_job
from app.worker.jobs import fail_run

KIND_OF_TASK = {TRAIN_TASK: "train", BACKTEST_TASK: "backtest", SYNC_TASK: "sync"}
PRIORITY_OF_TASK = {TRAIN_TASK: TRAIN_PRIORITY, BACKTEST_TASK: BACKTEST_PRIORITY, SYNC_TASK: 0}
"""Priorities of trainings and backtests requested by persons, and of syncs in their own queue."""
MAX_ATTEMPTS = 10
"""Maximum number of attempts of a run, including those interrupted by loss of worker or database.

It exceeds the limit of the run's own failures (`job_max_attempts`).
"""
GIVEN_UP = f"gave up after {MAX_ATTEMPTS} attempts that lost the worker or the database"

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
_LOST_OF = {
    TRAIN_TASK: text(_LOST.format(table="training_runs")),
    BACKTEST_TASK: text(_LOST.format(table="backtests")),
    SYNC_TASK: text(_LOST.format(table="sync_runs")),
}


# `hotslot train` runs without a job; its fits have two heartbeats per second, and its longest step in
# between (reading or storing a million rows) takes minutes.
_ABANDONED_S = 3600.0
_ABANDONED = """
    SELECT id FROM {table}
    WHERE status = 'running' AND job_id IS NULL
      AND heartbeat_at < now() - make_interval(secs => :abandoned_s)
"""
_ABANDONED_OF = {
    kind: text(_ABANDONED.format(table=table))
    for kind, table in (("train", "training_runs"), ("backtest", "backtests"))
}


def end_abandoned_runs(engine: Engine) -> int:
    """End runs without a job whose process is gone; return how many."""
    ended = 0
    for kind, query in _ABANDONED_OF.items():
        with engine.connect() as connection:
            found = connection.scalars(query, {"abandoned_s": _ABANDONED_S}).all()
        for run_id in found:
            fail_run(engine, kind, run_id, "its process vanished")
            ended += 1
    return ended


def give_up(engine: Engine, task: str, run_id: str) -> None:
    """End the run of a job that is not retried."""
    fail_run(engine, KIND_OF_TASK[task], UUID(run_id), GIVEN_UP)


def requeue_lost_runs(engine: Engine, stalled_s: float) -> int:
    """Queue unfinished runs without a job again; return how many."""
    with engine.begin() as connection:
        return sum(_requeue(connection, task, stalled_s) for task in _LOST_OF)


def _requeue(connection: Connection, task: str, stalled_s: float) -> int:
    lost = connection.execute(_LOST_OF[task], {"stalled_s": stalled_s}).all()
    for run in lost:
        lock = f"train:{run.region_key}" if task == TRAIN_TASK else None
        priority = SCHEDULED_PRIORITY if run.scheduled else PRIORITY_OF_TASK[task]
        if task != SYNC_TASK:
            priority = turn_of(connection, task, run.region_key, priority)
        args = {"run_id": str(run.id)}
        job_id = defer_job(connection, task, args, lock=lock, priority=priority)
        set_job(connection, KIND_OF_TASK[task], run.id, job_id)
    return len(lost)
