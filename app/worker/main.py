"""The worker process: runs jobs from the queue, sends heartbeats, re-queues lost jobs."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Collection
from uuid import UUID, uuid4

from procrastinate import App
from procrastinate.jobs import Status
from sqlalchemy import Engine

from app.core.db.engine import conninfo, open_engine
from app.core.errors import HotslotError
from app.core.processes.supervisor import heartbeat_sender
from app.core.roles import seeing_unreleased
from app.core.settings import Settings
from app.monitoring.schedules.service import tick
from app.runs.kinds import KIND_OF_TASK, RUN_QUEUES
from app.runs.queue import MAINTENANCE_QUEUE
from app.runs.schedules import database_clock
from app.runs.workers import forget_worker, note_worker
from app.sync.schedule import queue_due
from app.worker.active_jobs import ActiveJobs
from app.worker.capacity import capacity_of
from app.worker.health import beat
from app.worker.pushes import push_repeatedly
from app.worker.recovery import MAX_ATTEMPTS, give_up, requeue_lost_runs
from app.worker.slots import Slots
from app.worker.states import Assimilation
from app.worker.tasks import build_app

SWEEP_EVERY_S = 5.0
RESTART_AFTER_S = 2.0
GRACE_S = 1.0
"""Fits take longer than any reasonable grace period, so a stop releases them at once."""
CANCEL_AGAIN_S = 1.0
RELEASE_S = 5.0
PULSE_EVERY_S = 1.0
_log = logging.getLogger("hotslot.worker")


async def requeue_stalled(
    app: App, engine: Engine, stalled_s: float, active_jobs: ActiveJobs
) -> int:
    """Re-queue jobs that no worker runs; return how many.

    Their worker has no heartbeat, or is this one and does not run them. Jobs that were interrupted
    `MAX_ATTEMPTS` times are ended.
    """
    stalled = [
        job
        for queue in RUN_QUEUES
        for job in await app.job_manager.get_stalled_jobs(
            queue=queue, seconds_since_heartbeat=stalled_s
        )
    ]
    count = 0
    for job in (*stalled, *await active_jobs.dropped(app)):
        if job.attempts + 1 >= MAX_ATTEMPTS:
            if job.task_name in KIND_OF_TASK:
                run_id = str(job.task_kwargs["run_id"])
                await asyncio.to_thread(give_up, engine, job.task_name, run_id)
            await app.job_manager.finish_job(job, Status.FAILED, delete_job=False)
            continue
        _log.warning("job re-queued because its worker is gone", extra={"job": job.id})
        await app.job_manager.retry_job(job)
        count += 1
    return count + await asyncio.to_thread(requeue_lost_runs, engine, stalled_s)


async def _requeue_once(
    app: App, engine: Engine, settings: Settings, active_jobs: ActiveJobs
) -> None:
    beat(settings)
    try:
        await requeue_stalled(app, engine, settings.job_stalled_s, active_jobs)
    except Exception:
        # The sweep must survive a temporary loss of the database; the next one tries again.
        _log.exception("re-queueing stalled jobs failed")


async def _sweep(app: App, engine: Engine, settings: Settings, active_jobs: ActiveJobs) -> None:
    while True:
        await _requeue_once(app, engine, settings, active_jobs)
        await asyncio.sleep(SWEEP_EVERY_S)


def queue_due_trainings(engine: Engine) -> int:
    """Queue the trainings that schedules ask for now; return how many."""
    with engine.connect() as connection:
        now = database_clock(connection)
    return len(tick(engine, now))


async def _queue_repeatedly(
    queue_due_runs: Callable[[Engine], int], engine: Engine, every_s: float, what: str
) -> None:
    """Queue runs that are due, for as long as the worker lives."""
    while True:
        try:
            count = await asyncio.to_thread(queue_due_runs, engine)
            if count:
                _log.info("due %s queued", what, extra={"count": count})
        except Exception:
            # The loop must survive a temporary loss of the database; the next check catches up.
            _log.exception("queueing due %s failed", what)
        await asyncio.sleep(every_s)


async def _run_maintenance(app: App, settings: Settings) -> None:
    """Run maintenance jobs, which have their own queue and never wait for a fit."""
    while True:
        try:
            await app.run_worker_async(
                queues=[MAINTENANCE_QUEUE],
                name="maintenance",
                concurrency=1,
                install_signal_handlers=False,
                update_heartbeat_interval=settings.job_heartbeat_s,
                stalled_worker_timeout=settings.job_stalled_s,
                shutdown_graceful_timeout=GRACE_S,
                delete_jobs="always",
            )
        except Exception:
            # Maintenance must survive a temporary loss of the database.
            _log.exception("maintenance stopped; restarting it")
        await asyncio.sleep(SWEEP_EVERY_S)


async def _say_alive(engine: Engine, worker: UUID, settings: Settings) -> None:
    """Record this process's heartbeat, for as long as the worker lives."""

    def beat() -> None:
        with engine.begin() as connection:
            note_worker(connection, worker, settings.worker_takes)

    while True:
        try:
            await asyncio.to_thread(beat)
        except Exception:
            # As the others: the loop must survive a temporary loss of the database.
            _log.exception("recording the heartbeat failed")
        await asyncio.sleep(settings.job_heartbeat_s)


def _forget(engine: Engine, worker: UUID) -> None:
    try:
        with engine.begin() as connection:
            forget_worker(connection, worker)
    except HotslotError as error:
        _log.info("counted until its heartbeat is old", extra={"reason": error.message})


async def serve_queue(settings: Settings, engine: Engine, *, wait: bool = True) -> bool:
    """Run jobs until SIGTERM or SIGINT or, without `wait`, until no job can start.

    procrastinate's worker ends when it loses the database for half a minute, and is then restarted.
    Returns whether a signal ended it.
    """
    worker = uuid4()
    alive = asyncio.create_task(_say_alive(engine, worker, settings))
    try:
        return await _serve_queue(settings, engine, wait)
    finally:
        await _cancel_all([alive])
        await asyncio.to_thread(_forget, engine, worker)


async def _serve_queue(settings: Settings, engine: Engine, wait: bool) -> bool:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    stopped, _pulse = asyncio.create_task(stop.wait()), asyncio.create_task(_send_pulses())
    while not stop.is_set():
        work = asyncio.create_task(_work(settings, engine, wait))
        await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            work.cancel()
        try:
            await work
        except asyncio.CancelledError:
            return True
        except Exception:
            if not wait:
                raise
            _log.exception("the worker lost the database; restarting it")
        if not wait:
            break
        await asyncio.wait({stopped}, timeout=RESTART_AFTER_S)
    return stop.is_set()


async def _send_pulses() -> None:
    give = heartbeat_sender()
    while True:
        give()
        await asyncio.sleep(PULSE_EVERY_S)


async def _cancel_all(tasks: Collection[asyncio.Task[None]]) -> None:
    """Cancel tasks repeatedly until all have ended.

    A wait for a connection that fails while it is cancelled loses the cancellation (`asyncio.wait_for`
    before Python 3.12); after an outage, a worker waited for such a task forever.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)


async def _work(settings: Settings, engine: Engine, wait: bool) -> None:
    capacity = capacity_of(settings)
    slots = Slots(capacity.slots, capacity.memory_bytes)
    active_jobs = ActiveJobs(slots)
    app = build_app(conninfo(engine), settings, engine, active_jobs, wait=wait)
    async with app.open_async():
        if not wait:
            # Before the queue is read once, because lost jobs block others of their region.
            await _requeue_once(app, engine, settings, active_jobs)
        beside = [
            asyncio.create_task(_sweep(app, engine, settings, active_jobs)),
            asyncio.create_task(
                _queue_repeatedly(queue_due, engine, settings.sync_tick_s, "syncs")
            ),
        ]
        if wait:
            beside += [
                asyncio.create_task(
                    _queue_repeatedly(
                        queue_due_trainings, engine, settings.schedule_tick_s, "trainings"
                    )
                ),
                asyncio.create_task(_run_maintenance(app, settings)),
                asyncio.create_task(push_repeatedly(engine, settings)),
            ]
            if settings.worker_takes != "gpu":
                assimilation = Assimilation(engine, settings, slots)
                beside.append(asyncio.create_task(assimilation.repeat()))
        lanes = [
            asyncio.create_task(_lane(app, settings, queue, capacity.slots, wait))
            for queue in RUN_QUEUES
        ]
        try:
            # A lane that ends although it should wait has lost the database; restart all.
            await asyncio.wait(
                lanes,
                return_when=asyncio.FIRST_COMPLETED if wait else asyncio.FIRST_EXCEPTION,
            )
        finally:
            slots.stopping = True
            for lane in lanes:
                lane.cancel()
            # A second cancellation would interrupt a lane while it releases its job.
            await asyncio.wait(lanes, timeout=RELEASE_S)
            await _cancel_all([*beside, *lanes])
    for lane in lanes:
        if not lane.cancelled():
            lane.result()


async def _lane(app: App, settings: Settings, queue: str, n_slots: int, wait: bool) -> None:
    """Run the jobs of one queue, as many at once as there are slots."""
    await app.run_worker_async(
        queues=[queue],
        name=queue,
        wait=wait,
        concurrency=n_slots,
        update_heartbeat_interval=settings.job_heartbeat_s,
        stalled_worker_timeout=settings.job_stalled_s,
        shutdown_graceful_timeout=GRACE_S,
        fetch_job_polling_interval=2.0,
        delete_jobs="successful",
        install_signal_handlers=False,
    )


def run_worker(settings: Settings, *, wait: bool = True) -> bool:
    """Run a worker (blocking); return whether a signal ended it."""
    engine = open_engine(settings)
    try:
        with seeing_unreleased(True):
            return asyncio.run(serve_queue(settings, engine, wait=wait))
    finally:
        engine.dispose()
