"""The kinds of runs in one table: where their rows are, and how their jobs are queued."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Table

from app.core.db.tables import (
    backtest_data,
    backtest_units,
    backtests,
    sync_runs,
    training_runs,
)

TASK_QUEUE = "hotslot"
SYNC_QUEUE = "hotslot-sync"
"""A separate queue: a slow portal does not delay trainings, nor a long backtest the feeds."""
KIND_PRIORITIES = 1_000_000
"""Width of a kind's range of priorities, in which regions take turns (`queue.fair_priority`).

Not to be changed: jobs that another version has queued have their place in it.
"""
TURN_PRIORITIES = 1_000
"""Width of a turn's range of priorities, in which callers take turns."""
TRAIN_PRIORITY = 0
BACKTEST_PRIORITY = -KIND_PRIORITIES
SCHEDULED_PRIORITY = -2 * KIND_PRIORITIES
"""Requests of people come before scheduled ones."""
HELP_TASK = "hotslot.help"
HELP_PRIORITY = -3 * KIND_PRIORITIES
"""A worker helps with another's backtest when nothing else waits."""


@dataclass(frozen=True)
class RunKind:
    """One kind of run.

    Args:
        name: in code, and for the worker's child process.
        subject: what the audit log and messages call it; `plural` of several.
        task: name of the procrastinate task that works on it.
        priority: highest priority of its jobs.
        takes_turns: whether regions take turns within the kind's priorities.
        exclusive: whether runs of a region work one at a time.
        parts: tables whose rows exist only while a run works; its end deletes them.
    """

    name: str
    subject: str
    plural: str
    table: Table
    task: str
    queue: str = TASK_QUEUE
    priority: int = 0
    takes_turns: bool = True
    exclusive: bool = False
    parts: tuple[Table, ...] = ()


TRAIN = RunKind("train", "training", "trainings", training_runs, "hotslot.train", exclusive=True)
BACKTEST = RunKind(
    "backtest",
    "backtest",
    "backtests",
    backtests,
    "hotslot.backtest",
    priority=BACKTEST_PRIORITY,
    parts=(backtest_units, backtest_data),
)
SYNC = RunKind(
    "sync", "sync", "syncs", sync_runs, "hotslot.sync", queue=SYNC_QUEUE, takes_turns=False
)
KINDS = {kind.name: kind for kind in (TRAIN, BACKTEST, SYNC)}
KIND_OF_TASK = {kind.task: kind for kind in KINDS.values()}
RUN_QUEUES = (TASK_QUEUE, SYNC_QUEUE)
"""Queues of the jobs that work on a run."""
