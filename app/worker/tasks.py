"""The worker's procrastinate application: each job runs in a child process that it supervises."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID

from procrastinate import App, BaseRetryStrategy, PsycopgConnector, RetryDecision
from procrastinate.jobs import Job
from sqlalchemy import Engine

from app.core.db.engine import network_options
from app.core.errors import Unavailable
from app.core.settings import Settings
from app.runs.queue import (
    BACKTEST_TASK,
    MAINTENANCE_QUEUE,
    MAINTENANCE_TASK,
    SYNC_QUEUE,
    SYNC_TASK,
    TASK_QUEUE,
    TRAIN_TASK,
)
from app.worker.active_jobs import InHand
from app.worker.jobs import asked_to_stop, end_cancelled, fail_run, note_failure
from app.worker.recovery import MAX_ATTEMPTS
from app.worker.run_process import OUT_OF_MEMORY, RETRY, SUPERSEDED

RETRY_WAIT_S = 5
RETRY_WAIT_MAX_S = 300
KILLED_BY_SIGKILL = -9
TERMINATE_GRACE_S = 2.0
CANCEL_LOOK_S = 1.0
CANCEL_GRACE_S = 4.0
"""A run that was asked to stop has so long to do so by itself; then its process is killed."""
UPKEEP_LIMIT_S = 30 * 60.0
"""Upkeep takes seconds to minutes; one that takes longer hangs, and would keep all later ones waiting."""
_log = logging.getLogger("hotslot.worker")


class ChildFailed(Exception):
    """A run's child process ended without an outcome."""


class CappedBackoff(BaseRetryStrategy):
    """Try again after 5, 10, 20, ... s; `supervise` ends what has failed too often itself."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        """At once when the worker was told to stop; after a pause when the child died."""
        if isinstance(exception, asyncio.CancelledError):
            return RetryDecision(retry_in={"seconds": 0})
        if job.attempts + 1 >= MAX_ATTEMPTS:
            return None
        pause_s = min(RETRY_WAIT_S * 2**job.attempts, RETRY_WAIT_MAX_S)
        return RetryDecision(retry_in={"seconds": pause_s})


def child_environment(settings: Settings) -> dict[str, str]:
    """The environment of a child: ours, and the settings that may have come from elsewhere."""
    threads = settings.training_threads or max(1, (os.cpu_count() or 1) // 2)
    environment = {
        **os.environ,
        "HOTSLOT_PARENT_PID": str(os.getpid()),
        "HOTSLOT_HOME": str(settings.home),
        "HOTSLOT_DEVICE": settings.device,
        "HOTSLOT_LOG_LEVEL": settings.log_level,
        "HOTSLOT_LOG_FORMAT": settings.log_format,
        "HOTSLOT_TRAINING_THREADS": str(threads),
        "HOTSLOT_TRAINING_MEMORY_BYTES": str(settings.training_memory_bytes),
        "OMP_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
    }
    if settings.database_url is not None:
        environment["HOTSLOT_DATABASE_URL"] = settings.database_url.get_secret_value()
    return environment


async def run_child(
    settings: Settings,
    kind: str,
    run_id: str,
    until: Callable[[], Coroutine[Any, Any, None]] | None = None,
) -> int:
    """Start the child, wait for its end; when this task is cancelled, end the child first.

    Args:
        until: kills the child when it returns.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "app.worker.run_process",
        kind,
        run_id,
        stdin=asyncio.subprocess.DEVNULL,
        env=child_environment(settings),
    )
    killer = None if until is None else asyncio.create_task(_kill_after(process, until))
    try:
        return await process.wait()
    except asyncio.CancelledError:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), TERMINATE_GRACE_S)
        except TimeoutError:
            process.kill()
            await process.wait()
        raise
    finally:
        if killer is not None:
            killer.cancel()


async def _kill_after(
    process: asyncio.subprocess.Process, until: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    await until()
    with contextlib.suppress(ProcessLookupError):
        process.kill()


async def _ignored_cancelling(engine: Engine, kind: str, run_id: str) -> None:
    """Return when a run was asked to stop and has not done so in time, whatever it is busy with."""
    asked = False
    while not asked:
        await asyncio.sleep(CANCEL_LOOK_S)
        try:
            asked = await asyncio.to_thread(asked_to_stop, engine, kind, UUID(run_id))
        except Unavailable:
            continue  # the database is away, and with it the wish
    await asyncio.sleep(CANCEL_GRACE_S)


async def supervise(settings: Settings, engine: Engine, kind: str, run_id: str, job: Job) -> None:
    """Run one attempt; after the last one without an outcome, say so in the run's row.

    Raises:
        ChildFailed: the attempt died and another one is due.
    """
    status = await run_child(
        settings, kind, run_id, lambda: _ignored_cancelling(engine, kind, run_id)
    )
    if status in (0, SUPERSEDED):
        return
    if await asyncio.to_thread(end_cancelled, engine, kind, UUID(run_id)):
        return
    if status == OUT_OF_MEMORY:
        # Another try would need as much; the run says why it ended.
        await asyncio.to_thread(fail_run, engine, kind, UUID(run_id), "out of memory")
        return
    if status == KILLED_BY_SIGKILL:
        reason = "its process was killed, most likely out of memory"
    elif status == RETRY:
        reason = "its process lost the database"
    else:
        reason = f"its process ended with status {status}"
    _log.warning("child failed", extra={"run": run_id, "status": status, "attempt": job.attempts})
    if await asyncio.to_thread(_is_last_try, settings, engine, kind, run_id, status, job):
        await asyncio.to_thread(fail_run, engine, kind, UUID(run_id), reason)
        return
    raise ChildFailed(reason)


async def supervise_upkeep(
    settings: Settings, timestamp: int, limit_s: float = UPKEEP_LIMIT_S
) -> None:
    """Do the upkeep once; end it from outside when it takes too long.

    Raises:
        ChildFailed: it did not come to its end.
    """
    took_too_long = False

    async def patience() -> None:
        nonlocal took_too_long
        await asyncio.sleep(limit_s)
        took_too_long = True

    status = await run_child(settings, "maintenance", str(timestamp), patience)
    if took_too_long:
        _log.error("upkeep took over %g s and was ended", limit_s)
    if status:
        raise ChildFailed(f"upkeep ended with status {status}; the next one tries again")


def _is_last_try(
    settings: Settings, engine: Engine, kind: str, run_id: str, status: int, job: Job
) -> bool:
    """Few failures of its own end a run; what befalls its worker or the database, only many."""
    if job.attempts + 1 >= MAX_ATTEMPTS:
        return True
    if status == RETRY:
        return False
    return note_failure(engine, kind, UUID(run_id)) >= settings.job_max_attempts


def build_app(
    conninfo: str, settings: Settings, engine: Engine, in_hand: InHand | None = None
) -> App:
    """The procrastinate app with hotslot's tasks, bound to one database."""
    in_hand = in_hand or InHand()
    connector = PsycopgConnector(
        conninfo=conninfo, min_size=1, max_size=4, kwargs=network_options(settings)
    )
    app = App(connector=connector)
    retry = CappedBackoff()

    @app.task(name=TRAIN_TASK, queue=TASK_QUEUE, pass_context=True, retry=retry)
    async def train(context: Any, run_id: str) -> None:
        with in_hand.hold(context.job):
            await supervise(settings, engine, "train", run_id, context.job)

    @app.task(name=BACKTEST_TASK, queue=TASK_QUEUE, pass_context=True, retry=retry)
    async def backtest(context: Any, run_id: str) -> None:
        with in_hand.hold(context.job):
            await supervise(settings, engine, "backtest", run_id, context.job)

    @app.task(name=SYNC_TASK, queue=SYNC_QUEUE, pass_context=True, retry=retry)
    async def sync(context: Any, run_id: str) -> None:
        with in_hand.hold(context.job):
            await supervise(settings, engine, "sync", run_id, context.job)

    @app.periodic(cron=settings.maintenance_cron, periodic_id="maintenance")
    @app.task(
        name=MAINTENANCE_TASK,
        queue=MAINTENANCE_QUEUE,
        queueing_lock=MAINTENANCE_TASK,
    )
    async def maintenance(timestamp: int) -> None:
        await supervise_upkeep(settings, timestamp)

    return app
