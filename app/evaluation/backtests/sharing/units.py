"""Fits of one backtest by several workers: each takes units, which are fits, until none is left.

The worker of the run itself plans, takes units like the others, waits for those that others still have, and
assembles. It invites helpers by jobs of the lowest priority, which idle workers take.
"""

from __future__ import annotations

import logging
import os
import platform
import time
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from sqlalchemy import Connection, Engine

from app.core.errors import InvalidInput
from app.core.processes.task_pool import run_taken
from app.core.retry import retry_outages
from app.core.settings import Settings
from app.evaluation.backtests.checkpoints import Protocol, TaskResult
from app.evaluation.backtests.execute import POLL_S, Inputs, fit_unit, tasks_of
from app.evaluation.backtests.sharing.inputs import (
    InputsDiffer,
    pack_inputs,
    pack_results,
    plan_digest,
    unpack_inputs,
    unpack_results,
)
from app.evaluation.backtests.sharing.unit_store import (
    Claimant,
    PlanGone,
    Tally,
    Unit,
    beat,
    claim_unit,
    count_busy,
    finish_unit,
    plan_of,
    read_data,
    read_results,
    release_units,
    run_worker,
    store_plan,
)
from app.fitting.device import choose_device
from app.runs.queue import invite_helper
from app.runs.store import Run
from app.runs.taking import Taker, others_wait
from app.runs.words import RunProgress, fits_said
from models.base import FitCancelled
from models.catalog import USES_DEVICE

BEAT_EVERY_S = 1.0
INVITE_EVERY_S = 3.0
LEAVE_S = 30.0
"""Time for a helper to finish its units when other work waits; then it gives them back."""
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_log = logging.getLogger("hotslot.backtest")
Result = TypeVar("Result")


def this_machine() -> str:
    """Return a name of this machine that all its containers share."""
    try:
        return _BOOT_ID.read_text().strip()[:100]
    except OSError:
        return platform.node()[:100]


def n_places(engine: Engine, settings: Settings) -> int:
    """Return how many processes a helper may start: by default one per core without a backtest's fit."""
    if settings.backtest_processes:
        return settings.backtest_processes
    with engine.connect() as connection:
        busy = count_busy(connection, this_machine(), settings.job_stalled_s)
    return max((os.cpu_count() or 1) - busy, 0)


def _fit(inputs: Inputs, unit: Unit) -> tuple[Unit, bytes]:
    """Fit one unit in a process of a pool."""
    return unit, pack_results(fit_unit(inputs, unit.task))


class UnitWork:
    """The part of a backtest that one process does."""

    def __init__(self, engine: Engine, claimant: Claimant) -> None:
        self.engine = engine
        self.claimant = claimant
        self.claims = True
        """Whether it takes further units."""
        self.n_done = 0
        self._held: set[int] = set()
        self._tally: tuple[float, Tally] | None = None

    def _run(self, work: Callable[[Connection], Result]) -> Result:
        def once() -> Result:
            with self.engine.begin() as connection:
                return work(connection)

        return retry_outages(once)

    def fits(self, inputs: Inputs, n_jobs: int) -> Generator[None, None, None]:
        """Fit units in parallel until none is free; pause at every result and at least every `POLL_S`."""
        with closing(run_taken(_fit, inputs, self._claim, n_jobs, POLL_S)) as answers:
            for answer in answers:
                if answer is not None:
                    self._save(*answer)
                yield

    def _claim(self) -> Unit | None:
        if not self.claims:
            return None
        unit = self._run(lambda connection: claim_unit(connection, self.claimant))
        if unit is not None:
            self._held.add(unit.number)
        return unit

    def _save(self, unit: Unit, result: bytes) -> None:
        stored = self._run(lambda c: finish_unit(c, self.claimant, unit, result))
        self._held.discard(unit.number)
        self.n_done += stored
        if not stored:
            _log.warning("unit was taken over", extra={"run": str(self.claimant.run_id)})

    def tally(self, *, fresh: bool = False) -> Tally:
        """Renew the claims, and return how far the backtest is, once a second unless `fresh`."""
        now = time.monotonic()
        if self._tally is None or fresh or now - self._tally[0] >= BEAT_EVERY_S:
            self._tally = now, self._run(lambda c: beat(c, self.claimant, self._held))
        return self._tally[1]

    def invite(self) -> None:
        """Let an idle worker help."""
        self._run(lambda c: invite_helper(c, self.claimant.run_id))

    def release(self) -> None:
        """Give back the units that are not done."""
        self._run(lambda c: release_units(c, self.claimant.run_id, self.claimant.worker))


def run_shared(
    engine: Engine,
    settings: Settings,
    run: Run,
    n_erased: int,
    inputs: Inputs,
    progress: RunProgress,
    cancelled: Callable[[], bool],
) -> list[TaskResult]:
    """Run all fits of a claimed backtest together with other workers; results are as by `run_protocol`.

    Args:
        n_erased: number of erasures in the region before its data were read.

    Raises:
        FitCancelled: the caller asked to stop.
        PlanGone: incidents were erased; the data must be read again.
        Superseded: another worker has taken over the run.
    """
    protocol = inputs.protocol
    # The slowest models, last in the catalog, start first, so that no core is idle at the end.
    tasks = [task for task in reversed(tasks_of(protocol)) if task.model in protocol.models]
    content = pack_inputs(inputs)
    plan = plan_digest(content)

    def store() -> None:
        with engine.begin() as connection:
            store_plan(connection, run, plan, content, tasks, n_erased)

    retry_outages(store)
    claimant = Claimant(
        run.id, plan, run_worker(run.attempt), this_machine(), settings.job_stalled_s
    )
    work = UnitWork(engine, claimant)
    n_jobs = min(settings.backtest_processes or os.cpu_count() or 1, len(tasks))
    _Leader(work, progress, cancelled).lead(inputs, n_jobs)
    _log.info("fits done", extra={"run": str(run.id), "units": len(tasks), "own": work.n_done})
    return retry_outages(lambda: _all_results(engine, claimant, protocol))


class _Leader:
    """What the worker of the run does beside its own units."""

    def __init__(
        self, work: UnitWork, progress: RunProgress, cancelled: Callable[[], bool]
    ) -> None:
        self.work = work
        self.progress = progress
        self.cancelled = cancelled
        self._invited = 0.0

    def lead(self, inputs: Inputs, n_jobs: int) -> None:
        """Work until all units are done, by whomever."""
        while True:
            with closing(self.work.fits(inputs, n_jobs)) as steps:
                for _ in steps:
                    self._look()
            tally = self._look(fresh=True)
            if tally.n_done == tally.n_units:
                return
            time.sleep(POLL_S)  # others have the rest, unless they vanish

    def _look(self, *, fresh: bool = False) -> Tally:
        tally = self.work.tally(fresh=fresh)
        if tally.n_units:
            said = fits_said(tally.n_done, tally.n_units, tally.n_workers)
            self.progress(tally.n_done / tally.n_units, said)
        if self.cancelled():
            raise FitCancelled("backtest cancelled")
        if not tally.n_units:
            raise PlanGone
        now = time.monotonic()
        if tally.n_free and now - self._invited >= INVITE_EVERY_S:
            self._invited = now
            self.work.invite()
        return tally


def _all_results(engine: Engine, claimant: Claimant, protocol: Protocol) -> list[TaskResult]:
    """Return all results in the order of `tasks_of`.

    Raises:
        PlanGone: some were removed.
    """
    with engine.begin() as connection:
        done = {
            result.task: result
            for task, content in read_results(connection, claimant.run_id, claimant.plan)
            for result in unpack_results(content, task, protocol)
        }
    tasks = tasks_of(protocol)
    if len(done) < len(tasks):
        raise PlanGone
    return [done[task] for task in tasks]


def help_with(
    engine: Engine, settings: Settings, run_id: UUID, worker: str, job_id: int | None = None
) -> int:
    """Fit units of another worker's backtest until none is free or other work waits; return how many.

    Args:
        worker: name under which units are claimed.
        job_id: the job by which its worker helps.

    Raises:
        InputsDiffer: this process would not fit the same.
    """
    with engine.begin() as connection:
        plan = plan_of(connection, run_id)
        release_units(connection, run_id, worker)  # of an earlier attempt of the same job
    if plan is None:
        return 0
    try:
        with engine.begin() as connection:
            content = read_data(connection, run_id, plan)
    except PlanGone:
        return 0
    inputs = unpack_inputs(content, plan)
    _check_device(inputs.protocol, settings)
    claimant = Claimant(run_id, plan, worker, this_machine(), settings.job_stalled_s, helps=True)
    work = UnitWork(engine, claimant)
    try:
        _help(
            work, inputs, n_places(engine, settings), lambda: _others_wait(engine, settings, job_id)
        )
    finally:
        work.release()
    return work.n_done


def _help(work: UnitWork, inputs: Inputs, n_jobs: int, others_wait: Callable[[], bool]) -> None:
    leave_at = float("inf")
    with closing(work.fits(inputs, n_jobs)) as steps:
        for _ in steps:
            tally = work.tally()
            if not (tally.wanted and tally.n_units) or time.monotonic() > leave_at:
                return
            if work.claims and retry_outages(others_wait):
                work.claims, leave_at = False, time.monotonic() + LEAVE_S


def _others_wait(engine: Engine, settings: Settings, job_id: int | None) -> bool:
    taker = Taker.of(settings, USES_DEVICE)
    with engine.connect() as connection:
        return others_wait(connection, taker, job_id=job_id, n_slots=settings.worker_slots)


def _check_device(protocol: Protocol, settings: Settings) -> None:
    """Raise unless this process has the device on which the others fit.

    Raises:
        InputsDiffer: it has not.
    """
    if protocol.device == "cpu":
        return
    try:
        found = choose_device(settings)
    except InvalidInput as error:
        raise InputsDiffer(error.message) from error
    if found != protocol.device:
        raise InputsDiffer(f"the backtest is fitted on {protocol.device}, this worker has {found}")
