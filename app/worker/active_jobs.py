"""Jobs that this process is running, and those that only the database believes it is running.

If the database fails while a job's end is written, procrastinate's worker continues its heartbeat, so
that the job would count as running forever and hold its region's lock.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from procrastinate import App
from procrastinate.jobs import Job

from app.worker.slots import Slots


class ActiveJobs:
    """The jobs that run in this process.

    Args:
        slots: where their places are free when they end.
    """

    def __init__(self, slots: Slots | None = None) -> None:
        self.slots = slots or Slots(1, 0)
        self._held: set[int] = set()
        self._worker_ids: set[int] = set()
        self._suspected: set[int] = set()

    @contextmanager
    def hold(self, job: Job) -> Iterator[None]:
        """Register a job as active inside the block."""
        if job.id is None or job.worker_id is None:
            raise ValueError(
                "the job has no id or worker; only jobs fetched by a worker can be active"
            )
        self._worker_ids.add(job.worker_id)
        self._held.add(job.id)
        try:
            yield
        finally:
            self._held.discard(job.id)
            self.slots.release(job.id)

    async def dropped(self, app: App) -> list[Job]:
        """Return jobs assigned to this process that were not active in two calls in a row."""
        found = [
            job
            for worker_id in self._worker_ids
            for job in await app.job_manager.list_jobs_async(status="doing", worker_id=worker_id)
            if job.id not in self._held
        ]
        again = [job for job in found if job.id in self._suspected]
        self._suspected = {job.id for job in found if job.id is not None}
        return again
