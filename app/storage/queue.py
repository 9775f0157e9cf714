"""Putting jobs on the queue inside the caller's own transaction.

procrastinate's versioned SQL function is called on the same connection that writes the row the job
works on, so a run and its job exist together or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, text

TRAIN_TASK = "hotslot.train"
BACKTEST_TASK = "hotslot.backtest"
SYNC_TASK = "hotslot.sync"
MAINTENANCE_TASK = "hotslot.maintenance"
TASK_QUEUE = "hotslot"
MAINTENANCE_QUEUE = "hotslot-maintenance"
"""Of its own, so that upkeep never waits for a training to end."""
SYNC_PRIORITY = 1
TRAIN_PRIORITY = 0
BACKTEST_PRIORITY = -1
SCHEDULED_PRIORITY = -10
"""People who wait go before the clock."""

_DEFER = text(
    """
    SELECT unnest(procrastinate_defer_jobs_v1(ARRAY[
        ROW(:queue, :task, :priority, :lock, NULL, CAST(:args AS jsonb), NULL)
    ]::procrastinate_job_to_defer_v1[]))
    """
)

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
    task: str,
    args: Mapping[str, Any],
    *,
    lock: str | None = None,
    priority: int = 0,
) -> int:
    """Queue one job; returns its id. Jobs that share `lock` never run at the same time."""
    row = connection.execute(
        _DEFER,
        {
            "queue": TASK_QUEUE,
            "task": task,
            "priority": priority,
            "lock": lock,
            "args": json.dumps(dict(args)),
        },
    ).one()
    return int(row[0])


def forget_lost_upkeep(connection: Connection) -> int:
    """Drop upkeep jobs whose worker died: the next tick of the clock has queued another already."""
    return connection.execute(_LOST_UPKEEP, {"queue": MAINTENANCE_QUEUE}).rowcount


def queue_depth(connection: Connection) -> dict[str, int]:
    """Jobs by status (todo, doing, failed, ...)."""
    rows = connection.execute(
        text("SELECT status::text, count(*) FROM procrastinate_jobs GROUP BY status")
    )
    return {str(status): int(count) for status, count in rows}
