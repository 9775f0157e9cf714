"""Jobs by which an idle worker helps with the backtest of another."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from uuid import UUID

from procrastinate.jobs import Job
from sqlalchemy import Engine

from app.core.errors import HotslotError, Unavailable
from app.core.settings import Settings
from app.evaluation.backtests.sharing.inputs import InputsDiffer
from app.evaluation.backtests.sharing.unit_store import is_wanted, release_units
from app.evaluation.backtests.sharing.units import help_with, n_places
from app.worker.children import CANCEL_GRACE_S, CANCEL_LOOK_S, run_child

DIFFERS = 6
"""Exit status of a helper that would not fit the same as the others."""
_log = logging.getLogger("hotslot.worker")


def helper_name(job_id: int | str) -> str:
    """Return the name under which the process of a job claims units."""
    return f"job {job_id}"


def run_help(engine: Engine, settings: Settings, run_id: str, job_id: str) -> int:
    """Help in this process; return its exit status."""
    try:
        n_done = help_with(engine, settings, UUID(run_id), helper_name(job_id), int(job_id))
    except InputsDiffer as error:
        _log.warning("no help", extra={"run": run_id, "reason": error.message})
        return DIFFERS
    _log.info("helped", extra={"run": run_id, "units": n_done})
    return 0


class Helper:
    """Helps with backtests, each in a child process; one instance per worker."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self.settings = settings
        self.engine = engine
        self._left_alone: set[str] = set()
        """Backtests with which this worker cannot help: they differ, or its process failed."""

    async def help(self, run_id: str, job: Job) -> None:
        """Help with a backtest if it still runs and this machine has a core for it.

        A helper that fails is not tried again here: its units go back, and the worker of the run meets the
        same failure or does not.
        """
        if run_id in self._left_alone or not await asyncio.to_thread(self._is_useful, run_id):
            return
        try:
            status = await run_child(
                self.settings, "help", f"{run_id},{job.id}", lambda: self._no_longer_wanted(run_id)
            )
        finally:
            # Also where the worker stops: others need not wait until the claims expire.
            with suppress(HotslotError):
                await asyncio.to_thread(self._release, run_id, job)
        if status and await asyncio.to_thread(self._is_wanted, run_id):
            self._left_alone.add(run_id)
            _log.warning("helping failed", extra={"run": run_id, "status": status})

    def _is_wanted(self, run_id: str) -> bool:
        with self.engine.connect() as connection:
            return is_wanted(connection, UUID(run_id))

    def _is_useful(self, run_id: str) -> bool:
        return self._is_wanted(run_id) and n_places(self.engine, self.settings) > 0

    async def _no_longer_wanted(self, run_id: str) -> None:
        """Return when a helper has not noticed in time that its backtest has ended or shall stop."""
        wanted = True
        while wanted:
            await asyncio.sleep(CANCEL_LOOK_S)
            with suppress(Unavailable):
                wanted = await asyncio.to_thread(self._is_wanted, run_id)
        await asyncio.sleep(CANCEL_GRACE_S)

    def _release(self, run_id: str, job: Job) -> None:
        with self.engine.begin() as connection:
            release_units(connection, UUID(run_id), helper_name(job.id or 0))
