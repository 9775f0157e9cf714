"""The two ways to run the fits of a backtest: in processes of this one, or shared with other workers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from sqlalchemy import Engine

from app.core.errors import NotReady
from app.core.retry import retry_outages
from app.core.settings import Settings
from app.evaluation.backtests.checkpoints import TaskResult, tasks_folder
from app.evaluation.backtests.execute import Execution, Inputs, run_protocol
from app.evaluation.backtests.sharing.unit_store import PlanGone, count_erasures
from app.evaluation.backtests.sharing.units import run_shared
from app.runs.store import Run
from app.runs.words import RunProgress

Fit = Callable[[Inputs], list[TaskResult]]
"""Runs all fits of a backtest and returns their results in the order of `tasks_of`."""
MAX_PLANS = 5


def local_fits(settings: Settings, progress: RunProgress, cancelled: Callable[[], bool]) -> Fit:
    """Return what runs all fits in processes of this one, and keeps finished ones in files."""
    execution = Execution(settings.backtest_processes, tasks_folder(settings))

    def fit(inputs: Inputs) -> list[TaskResult]:
        incidents, grid, protocol, streets, joint = inputs
        return run_protocol(
            incidents, grid, protocol, execution, progress, cancelled, streets, joint
        )

    return fit


def with_others(
    engine: Engine,
    settings: Settings,
    run: Run,
    progress: RunProgress,
    cancelled: Callable[[], bool],
    backtest: Callable[[Fit], dict[str, Any]],
) -> dict[str, Any]:
    """Run a backtest whose fits other workers share; after an erasure again, on what is left.

    Args:
        backtest: reads the data, passes them to what it is given, and returns the result.

    Raises:
        NotReady: incidents were erased during each of `MAX_PLANS` attempts.
    """
    for _ in range(MAX_PLANS):
        n_erased = retry_outages(lambda: _count_erasures(engine, run.region_key))

        def fit(inputs: Inputs, n_erased: int = n_erased) -> list[TaskResult]:
            return run_shared(engine, settings, run, n_erased, inputs, progress, cancelled)

        with suppress(PlanGone):
            return backtest(fit)
    raise NotReady(
        f"incidents of the region were erased during each of {MAX_PLANS} attempts; request the backtest "
        "again when no more are to be erased",
        code="erased_meanwhile",
    )


def _count_erasures(engine: Engine, region_key: int) -> int:
    with engine.connect() as connection:
        return count_erasures(connection, region_key)
