"""Execution of a backtest, without a database: rolling origins, all models on the same incidents.

Each (model, origin, seed) is one task: fit to everything before the origin, score the incidents of the
horizon after it. Tasks run in parallel processes with one thread each. Finished ones are stored in a
folder, so that an interrupted backtest continues where it stopped.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from app.core.processes.task_pool import run_tasks
from app.evaluation.backtests.checkpoints import (
    Protocol,
    Task,
    TaskResult,
    TaskStore,
    daily_name,
)
from app.evaluation.backtests.consistency.joint_tests import JointTests
from app.evaluation.backtests.daily import daily_scores, merged
from app.evaluation.backtests.plans import plan_shares
from app.evaluation.backtests.streets import StreetTests
from app.geo.grid import Grid
from app.runs.words import RunProgress, fits_said
from models.base import DensityModel, FitCancelled, FitContext
from models.catalog import create_model
from models.evaluation.hotspot_area import flagged_cells, listed_cells
from models.evaluation.metrics import ScoredIncidents, area_shares, score_rows
from models.evaluation.small_areas import small_area_hits
from models.evaluation.worth import score_all_hours
from models.incidents import Incidents
from models.times.aoristic import shared_out
from models.units import DAY_S, N_WINDOWS, FloatArray

__all__ = [
    "Execution",
    "Protocol",
    "Task",
    "TaskResult",
    "fit_and_score",
    "held_out",
    "joined",
    "run_protocol",
]

POLL_S = 0.5


def held_out(incidents: Incidents, origin_s: int, horizon_days: int) -> Incidents:
    """Return the incidents of the horizon after an origin."""
    return incidents.between(origin_s, origin_s + horizon_days * DAY_S)


def fit_and_score(
    incidents: Incidents,
    grid: Grid,
    task: Task,
    protocol: Protocol,
    streets: StreetTests | None = None,
) -> TaskResult:
    """Run one task; the fit gets only the incidents before the origin."""
    return results_of_fit(incidents, grid, task, protocol, streets)[0]


def results_of_fit(
    incidents: Incidents,
    grid: Grid,
    task: Task,
    protocol: Protocol,
    streets: StreetTests | None = None,
    joint: JointTests | None = None,
) -> list[TaskResult]:
    """Fit once; return the scores of the model as fitted and, if asked for, brought forward daily."""
    started = time.perf_counter()
    cutoff_s = protocol.cutoff_of(task.origin_s)
    context = FitContext(cutoff_s, task.seed, protocol.device)
    incidents = shared_out(incidents, incidents.before(cutoff_s).known_at(task.origin_s))
    past = incidents.before(cutoff_s).known_at(task.origin_s)
    fitted = create_model(task.model).fit(past, grid, context)
    seconds = time.perf_counter() - started
    report = dict(fitted.report())
    test = protocol.held_out(incidents, task.origin_s)
    frozen = score_rows(fitted, grid, test), area_shares(fitted, test.window), flagged_cells(fitted)
    small = small_area_hits(fitted, grid, past, test, cutoff_s)
    plan = plan_shares(fitted, past.window)
    rows = grid.locate(test.x_m, test.y_m)
    flat = score_all_hours(fitted, rows[rows >= 0], past.window)
    caught = None if streets is None else _on_streets(streets, fitted, grid, task, past, test)
    listed = listed_cells(fitted, past.window)
    tested = None
    if joint is not None and task.seed == protocol.seed:
        given = fitted.probability_, rows, test.at_s, protocol.seed
        tested = joint.by_origin[task.origin_s].outcome(*given)
    results = [
        TaskResult(task, *frozen, seconds, report, small, plan, flat, caught, listed, tested)
    ]
    if protocol.refresh is not None:
        daily = daily_scores(fitted, incidents, grid, task, protocol)
        seconds = time.perf_counter() - started
        named = replace(task, model=daily_name(task.model))
        results.append(TaskResult(named, *daily, seconds, report))
    return results


def _on_streets(
    streets: StreetTests,
    fitted: DensityModel,
    grid: Grid,
    task: Task,
    past: Incidents,
    test: Incidents,
) -> dict[str, FloatArray]:
    """Score a fit on streets; hours weigh in lists for all hours as past incidents fell into them."""
    rates = 1.0 + np.bincount(past.window, minlength=N_WINDOWS).astype(np.float64)
    hours = test.take(grid.locate(test.x_m, test.y_m) >= 0).by_hour()
    return streets.by_origin[task.origin_s].caught(fitted.probability_, rates, hours)


class Inputs(NamedTuple):
    """What all fits of a backtest read; without `streets` or `joint`, these are not tested."""

    incidents: Incidents
    grid: Grid
    protocol: Protocol
    streets: StreetTests | None = None
    joint: JointTests | None = None


def _work(shared: Inputs, task: Task) -> list[TaskResult]:
    """Run one task; the environment limits the numerical threads, so torch need not be imported for it."""
    return fit_unit(shared, task)


def fit_unit(inputs: Inputs, task: Task) -> list[TaskResult]:
    """Return `results_of_fit` on what all fits read."""
    incidents, grid, protocol, streets, joint = inputs
    return results_of_fit(incidents, grid, task, protocol, streets, joint)


def tasks_of(protocol: Protocol) -> list[Task]:
    """Return all tasks with a result, ordered by model, origin and seed as in the protocol."""
    seeds = range(protocol.seed, protocol.seed + protocol.n_seeds)
    return [Task(m, o, s) for m in protocol.compared for o in protocol.origins_s for s in seeds]


@dataclass(frozen=True)
class Execution:
    """How to execute a backtest.

    Args:
        n_jobs: number of parallel processes; 0: one per core.
        task_folder: folder for finished tasks until all are done; None: do not store them.
    """

    n_jobs: int = 0
    task_folder: Path | None = None


def run_protocol(
    incidents: Incidents,
    grid: Grid,
    protocol: Protocol,
    execution: Execution | None = None,
    progress: RunProgress = lambda _share, _message: None,
    cancelled: Callable[[], bool] = lambda: False,
    streets: StreetTests | None = None,
    joint: JointTests | None = None,
) -> list[TaskResult]:
    """Run all tasks and return results in the order of `tasks_of`; `incidents` are sorted by time.

    With `streets`, models are also scored on them; with `joint`, fits have their S- and CL-tests.

    Raises:
        FitCancelled: the caller asked to stop; finished tasks remain stored.
    """
    execution = execution or Execution()
    tasks = tasks_of(protocol)
    key = "" if streets is None else streets.key
    key += "" if joint is None else joint.key
    store = TaskStore(execution.task_folder, incidents, grid, protocol, key)
    done = {task: known for task in tasks if (known := store.load(task)) is not None}
    # The slowest models, last in the catalog, start first, so that no core is idle at the end.
    todo = [
        task
        for task in reversed(tasks)
        if task.model in protocol.models and not _is_done(task, done, protocol)
    ]
    n_jobs = min(execution.n_jobs or os.cpu_count() or 1, max(len(todo), 1))
    shared = Inputs(incidents, grid, protocol, streets, joint)
    with closing(run_tasks(_work, shared, todo, n_jobs, POLL_S)) as results:
        for found in results:
            for result in found or ():
                done[result.task] = result
                store.save(result)
            progress(len(done) / len(tasks), fits_said(len(done), len(tasks)))
            if cancelled():
                raise FitCancelled("backtest cancelled")
    store.clear(tasks)
    return [done[task] for task in tasks]


def _is_done(task: Task, done: Mapping[Task, TaskResult], protocol: Protocol) -> bool:
    """Return whether all results of a fit are known."""
    names = [task.model, *([] if protocol.refresh is None else [daily_name(task.model)])]
    return all(replace(task, model=name) in done for name in names)


def joined(results: Sequence[TaskResult]) -> tuple[ScoredIncidents, dict[int, float]]:
    """Join the tasks of one model over several origins into one set of scored incidents."""
    return merged([r.scored for r in results], [r.area_shares for r in results])
