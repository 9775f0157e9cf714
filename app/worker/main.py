"""A worker process: takes jobs from the queue, beats its heart, re-queues what others dropped."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Collection

from procrastinate import App
from procrastinate.jobs import Status
from sqlalchemy import Engine

from app.core.db.engine import conninfo, open_engine
from app.core.processes import sign_of_life
from app.core.roles import seeing_unreleased
from app.core.settings import Settings
from app.runs.queue import MAINTENANCE_QUEUE, RUN_QUEUES
from app.worker.active_jobs import InHand
from app.worker.health import beat
from app.worker.recovery import KIND_OF_TASK, MAX_ATTEMPTS, give_up, requeue_lost_runs
from app.worker.schedule_tick import queue_due_trainings
from app.worker.sync_tick import queue_due_syncs
from app.worker.tasks import build_app

SWEEP_EVERY_S = 5.0
RESTART_AFTER_S = 2.0
GRACE_S = 1.0
"""A fit outlives any reasonable grace, so a stop releases it at once for another worker."""
CANCEL_AGAIN_S = 1.0
HAND_BACK_S = 5.0
PULSE_EVERY_S = 1.0
_log = logging.getLogger("hotslot.worker")


async def requeue_stalled(app: App, engine: Engine, stalled_s: float, in_hand: InHand) -> int:
    """Give jobs back to the queue that nobody works on; returns how many.

    Their worker stopped beating, or is this one and has not got them. A job that was cut off
    `MAX_ATTEMPTS` times is ended.
    """
    stalled = [
        job
        for queue in RUN_QUEUES
        for job in await app.job_manager.get_stalled_jobs(
            queue=queue, seconds_since_heartbeat=stalled_s
        )
    ]
    count = 0
    for job in (*stalled, *await in_hand.dropped(app)):
        if job.attempts + 1 >= MAX_ATTEMPTS:
            if job.task_name in KIND_OF_TASK:
                run_id = str(job.task_kwargs["run_id"])
                await asyncio.to_thread(give_up, engine, job.task_name, run_id)
            await app.job_manager.finish_job(job, Status.FAILED, delete_job=False)
            continue
        _log.warning("job re-queued: its worker is gone", extra={"job": job.id})
        await app.job_manager.retry_job(job)
        count += 1
    return count + await asyncio.to_thread(requeue_lost_runs, engine, stalled_s)


async def _look_round(app: App, engine: Engine, settings: Settings, in_hand: InHand) -> None:
    beat(settings)
    try:
        await requeue_stalled(app, engine, settings.job_stalled_s, in_hand)
    except Exception:
        # The sweep must outlive a database that is away for a while; the next one tells.
        _log.exception("looking for stalled jobs failed")


async def _sweep(app: App, engine: Engine, settings: Settings, in_hand: InHand) -> None:
    while True:
        await _look_round(app, engine, settings, in_hand)
        await asyncio.sleep(SWEEP_EVERY_S)


async def _keep_up(app: App, settings: Settings) -> None:
    """Upkeep beside the trainings: jobs of its own queue, which never wait for a fit to end."""
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
            # Upkeep must outlive a database that is away for a while, as the other clocks do.
            _log.exception("upkeep stopped; it starts again")
        await asyncio.sleep(SWEEP_EVERY_S)


async def serve_queue(settings: Settings, engine: Engine, *, wait: bool = True) -> bool:
    """Work until told to stop (SIGTERM, SIGINT), or, without `wait`, until no job can start.

    procrastinate's worker ends when it loses the database for half a minute; it is started again.
    Returns whether it was told to stop.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    stopped, _pulse = asyncio.create_task(stop.wait()), asyncio.create_task(_give_signs_of_life())
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
            _log.exception("the worker lost the database; it starts again")
        if not wait:
            break
        await asyncio.wait({stopped}, timeout=RESTART_AFTER_S)
    return stop.is_set()


async def _give_signs_of_life() -> None:
    give = sign_of_life()
    while True:
        give()
        await asyncio.sleep(PULSE_EVERY_S)


async def _ended(tasks: Collection[asyncio.Task[None]]) -> None:
    """Cancel until all have ended: once is not enough.

    A wait for a connection that fails as it is cancelled loses the cancellation (`asyncio.wait_for`
    before Python 3.12); a worker that waited for such a task after an outage took no job ever again.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)


async def _work(settings: Settings, engine: Engine, wait: bool) -> None:
    in_hand = InHand()
    app = build_app(conninfo(engine), settings, engine, in_hand)
    async with app.open_async():
        if not wait:
            # Before the only look at the queue: what was dropped bars the others of its region.
            await _look_round(app, engine, settings, in_hand)
        beside = [
            asyncio.create_task(_sweep(app, engine, settings, in_hand)),
            asyncio.create_task(queue_due_syncs(engine, settings.sync_tick_s)),
        ]
        if wait:
            beside += [
                asyncio.create_task(queue_due_trainings(engine, settings.schedule_tick_s)),
                asyncio.create_task(_keep_up(app, settings)),
            ]
        lanes = [asyncio.create_task(_lane(app, settings, queue, wait)) for queue in RUN_QUEUES]
        try:
            # One that ends while it should wait has lost the database: all start again.
            await asyncio.wait(
                lanes,
                return_when=asyncio.FIRST_COMPLETED if wait else asyncio.FIRST_EXCEPTION,
            )
        finally:
            for lane in lanes:
                lane.cancel()
            # A second cancel would take the time in which a lane hands its job back.
            await asyncio.wait(lanes, timeout=HAND_BACK_S)
            await _ended([*beside, *lanes])
    for lane in lanes:
        if not lane.cancelled():
            lane.result()


async def _lane(app: App, settings: Settings, queue: str, wait: bool) -> None:
    """Jobs of one queue, one after another."""
    await app.run_worker_async(
        queues=[queue],
        name=queue,
        wait=wait,
        concurrency=1,
        update_heartbeat_interval=settings.job_heartbeat_s,
        stalled_worker_timeout=settings.job_stalled_s,
        shutdown_graceful_timeout=GRACE_S,
        fetch_job_polling_interval=2.0,
        delete_jobs="successful",
        install_signal_handlers=False,
    )


def run_worker(settings: Settings, *, wait: bool = True) -> bool:
    """Blocking entry point of `hotslot worker`; returns whether it was told to stop."""
    engine = open_engine(settings)
    try:
        with seeing_unreleased(True):
            return asyncio.run(serve_queue(settings, engine, wait=wait))
    finally:
        engine.dispose()
