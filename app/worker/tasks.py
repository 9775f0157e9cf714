"""The worker's procrastinate application, which runs each job in a supervised child process."""

from __future__ import annotations

import asyncio
import logging
from typing import Any
from uuid import UUID

from procrastinate import App, BaseRetryStrategy, PsycopgConnector, RetryDecision
from procrastinate.jobs import Job
from sqlalchemy import Engine

from app.core.db.engine import network_options
from app.core.errors import Unavailable
from app.core.settings import Settings
from app.runs.kinds import HELP_TASK, KINDS, TASK_QUEUE, RunKind
from app.runs.queue import MAINTENANCE_QUEUE, MAINTENANCE_TASK
from app.runs.words import RUN_FAILURES
from app.worker.active_jobs import ActiveJobs
from app.worker.children import CANCEL_GRACE_S, CANCEL_LOOK_S, run_child
from app.worker.fetching import SlotManager
from app.worker.help import Helper
from app.worker.jobs import asked_to_stop, end_cancelled, fail_run, note_failure
from app.worker.recovery import MAX_ATTEMPTS
from app.worker.run_process import OUT_OF_MEMORY, RETRY, SUPERSEDED

RETRY_WAIT_S = 5
RETRY_WAIT_MAX_S = 300
KILLED_BY_SIGKILL = -9
MAINTENANCE_LIMIT_S = 30 * 60.0
"""Maintenance takes seconds to minutes; after this limit it is killed, so as not to block later ones."""
_log = logging.getLogger("hotslot.worker")


class ChildFailed(Exception):
    """Raised when a run's child process ended without an outcome."""


class CappedBackoff(BaseRetryStrategy):
    """Retries after 5, 10, 20, ... s; `supervise` ends runs that failed too often."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        """Retry at once after a stop of the worker, or after a pause if the child died."""
        if isinstance(exception, asyncio.CancelledError):
            return RetryDecision(retry_in={"seconds": 0})
        if job.attempts + 1 >= MAX_ATTEMPTS:
            return None
        pause_s = min(RETRY_WAIT_S * 2**job.attempts, RETRY_WAIT_MAX_S)
        return RetryDecision(retry_in={"seconds": pause_s})


async def _ignored_cancelling(engine: Engine, kind: str, run_id: str) -> None:
    """Return when a cancelled run has not stopped in time."""
    asked = False
    while not asked:
        await asyncio.sleep(CANCEL_LOOK_S)
        try:
            asked = await asyncio.to_thread(asked_to_stop, engine, kind, UUID(run_id))
        except Unavailable:
            continue  # the request cannot be read without the database
    await asyncio.sleep(CANCEL_GRACE_S)


async def supervise(settings: Settings, engine: Engine, kind: str, run_id: str, job: Job) -> None:
    """Run one attempt; if it was the last and has no outcome, mark the run as failed.

    Raises:
        ChildFailed: the attempt died and will be retried.
    """
    status = await run_child(
        settings, kind, run_id, lambda: _ignored_cancelling(engine, kind, run_id)
    )
    if status in (0, SUPERSEDED):
        return
    if await asyncio.to_thread(end_cancelled, engine, kind, UUID(run_id)):
        return
    if status == OUT_OF_MEMORY:
        # Another attempt would need as much memory.
        said = RUN_FAILURES.make("run_out_of_memory")
        await asyncio.to_thread(fail_run, engine, kind, UUID(run_id), said)
        return
    if status == KILLED_BY_SIGKILL:
        reason = RUN_FAILURES.make("run_process_killed")
    elif status == RETRY:
        reason = RUN_FAILURES.make("run_lost_database")
    else:
        reason = RUN_FAILURES.make("run_process_ended", status=status)
    _log.warning("child failed", extra={"run": run_id, "status": status, "attempt": job.attempts})
    if await asyncio.to_thread(_is_last_try, settings, engine, kind, run_id, status, job):
        await asyncio.to_thread(fail_run, engine, kind, UUID(run_id), reason)
        return
    raise ChildFailed(reason.message)


async def supervise_maintenance(
    settings: Settings, timestamp: int, limit_s: float = MAINTENANCE_LIMIT_S
) -> None:
    """Run the maintenance once; kill it if it takes too long.

    Raises:
        ChildFailed: it failed.
    """
    took_too_long = False

    async def time_out() -> None:
        nonlocal took_too_long
        await asyncio.sleep(limit_s)
        took_too_long = True

    status = await run_child(settings, "maintenance", str(timestamp), time_out)
    if took_too_long:
        _log.error("maintenance took over %g s and was killed", limit_s)
    if status:
        raise ChildFailed(f"maintenance ended with status {status}; it will be retried")


def _is_last_try(
    settings: Settings, engine: Engine, kind: str, run_id: str, status: int, job: Job
) -> bool:
    """Return whether to give up: after few failures of the run, or many of worker and database."""
    if job.attempts + 1 >= MAX_ATTEMPTS:
        return True
    if status == RETRY:
        return False
    return note_failure(engine, kind, UUID(run_id)) >= settings.job_max_attempts


def build_app(
    conninfo: str,
    settings: Settings,
    engine: Engine,
    active_jobs: ActiveJobs | None = None,
    *,
    wait: bool = True,
) -> App:
    """Create the procrastinate app with hotslot's tasks, bound to one database.

    Args:
        wait: whether lanes wait for jobs; see `SlotManager`.
    """
    active_jobs = active_jobs or ActiveJobs()
    connector = PsycopgConnector(
        conninfo=conninfo, min_size=1, max_size=4, kwargs=network_options(settings)
    )
    app = App(connector=connector)
    app.job_manager = SlotManager(connector, engine, settings, active_jobs.slots, wait=wait)
    retry = CappedBackoff()

    def add_task(kind: RunKind) -> None:
        @app.task(name=kind.task, queue=kind.queue, pass_context=True, retry=retry)
        async def work(context: Any, run_id: str) -> None:
            with active_jobs.hold(context.job):
                await supervise(settings, engine, kind.name, run_id, context.job)

    for kind in KINDS.values():
        add_task(kind)
    helper = Helper(settings, engine)

    # Without retries: the run's own worker invites again.
    @app.task(name=HELP_TASK, queue=TASK_QUEUE, pass_context=True)
    async def help_backtest(context: Any, run_id: str) -> None:
        with active_jobs.hold(context.job):
            await helper.help(run_id, context.job)

    @app.periodic(cron=settings.maintenance_cron, periodic_id="maintenance")
    @app.task(
        name=MAINTENANCE_TASK,
        queue=MAINTENANCE_QUEUE,
        queueing_lock=MAINTENANCE_TASK,
    )
    async def maintenance(timestamp: int) -> None:
        await supervise_maintenance(settings, timestamp)

    return app
