"""Jobs that this process works on, and those that only the database believes it works on.

A job's end is one statement; when the database dies under it, procrastinate's worker lives on and
beats its heart, so the job would count as being worked on for ever, and its region's lock with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from procrastinate import App
from procrastinate.jobs import Job


class InHand:
    """Which jobs are truly worked on here."""

    def __init__(self) -> None:
        self._held: set[int] = set()
        self._worker_ids: set[int] = set()
        self._suspected: set[int] = set()

    @contextmanager
    def hold(self, job: Job) -> Iterator[None]:
        """The time in which a job is worked on."""
        if job.id is None or job.worker_id is None:
            raise ValueError("not a job that a worker fetched")
        self._worker_ids.add(job.worker_id)
        self._held.add(job.id)
        try:
            yield
        finally:
            self._held.discard(job.id)

    async def dropped(self, app: App) -> list[Job]:
        """Jobs under this process's name that it has not had in hand for two looks in a row."""
        found = [
            job
            for worker_id in self._worker_ids
            for job in await app.job_manager.list_jobs_async(status="doing", worker_id=worker_id)
            if job.id not in self._held
        ]
        again = [job for job in found if job.id in self._suspected]
        self._suspected = {job.id for job in found if job.id is not None}
        return again
