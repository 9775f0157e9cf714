"""How a worker's lanes fetch their jobs: those that its slots and memory have room for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from procrastinate.connector import BaseAsyncConnector
from procrastinate.jobs import Job
from procrastinate.manager import JobManager
from sqlalchemy import Connection, Engine

from app.core.settings import Settings
from app.runs.kinds import HELP_TASK, KINDS, RUN_QUEUES, TASK_QUEUE
from app.runs.taking import Taker, WaitingJob, take_job, waiting_jobs, works
from app.worker.capacity import capacity_of
from app.worker.estimates import estimated_bytes
from app.worker.slots import Slots
from models.catalog import USES_DEVICE

LOOK_AGAIN_S = 0.2
MAX_ESTIMATES = 1000
_TASKS = {
    queue: [
        *(kind.task for kind in KINDS.values() if kind.queue == queue),
        *([HELP_TASK] if queue == TASK_QUEUE else []),
    ]
    for queue in RUN_QUEUES
}


class SlotManager(JobManager):
    """Fetches jobs of runs by the order of `app.runs.taking` and the room in a worker's slots.

    Args:
        wait: without it, a lane ends when it gets no job; so it waits while one of its jobs runs, whose end
            could let others start.
    """

    def __init__(
        self,
        connector: BaseAsyncConnector,
        engine: Engine,
        settings: Settings,
        slots: Slots,
        *,
        wait: bool,
    ) -> None:
        super().__init__(connector)
        self.engine = engine
        self.slots = slots
        self.wait = wait
        self._taker = Taker.of(settings, USES_DEVICE)
        self._processes = capacity_of(settings).processes
        self._estimates: dict[int, int] = {}

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> Job | None:
        """Take the next job of a queue that may start here, or return None."""
        (queue,) = queues or ("",)
        if queue not in RUN_QUEUES:
            return await super().fetch_job(queues, worker_id)
        while True:
            # Asked first: a job that ends after it may let another start.
            works = not self.wait and await asyncio.to_thread(self._works, worker_id)
            async with self.slots.lock:
                job = await asyncio.to_thread(self._take, queue, worker_id)
            if job is not None or not works or self.slots.stopping:
                return job
            await asyncio.sleep(LOOK_AGAIN_S)

    def _take(self, queue: str, worker_id: int) -> Job | None:
        tasks = self.slots.tasks(queue, _TASKS[queue])
        if not tasks:
            return None
        with self.engine.begin() as connection:
            waiting = waiting_jobs(connection, queue, tasks, self._taker)
            fitting = self.slots.choose(queue, waiting, lambda job: self._n_bytes(connection, job))
            taken = next(
                (
                    (Job.from_row(row), n_bytes)
                    for job, n_bytes in fitting
                    if (row := take_job(connection, job.id, worker_id)) is not None
                ),
                None,
            )
        if taken is None:
            return None
        job, n_bytes = taken
        self.slots.hold(job.id or 0, queue, n_bytes, job.task_name)
        return job

    def _n_bytes(self, connection: Connection, job: WaitingJob) -> int:
        """Estimate a job once; its region may grow while it waits, but not by much."""
        if job.id not in self._estimates:
            if len(self._estimates) > MAX_ESTIMATES:
                self._estimates.clear()  # of jobs that others took
            self._estimates[job.id] = estimated_bytes(connection, job, self._processes)
        return self._estimates[job.id]

    def _works(self, worker_id: int) -> bool:
        with self.engine.connect() as connection:
            return works(connection, worker_id)
