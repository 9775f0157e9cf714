"""Execution of a backtest, without a database: rolling origins, all models on the same incidents.

Each (model, origin, seed) is one task: fit to everything before the origin, score the incidents of the
horizon after it. Tasks run in parallel processes with one thread each. Finished ones are stored in a
folder, so that an interrupted backtest continues where it stopped.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from app.core.task_pool import run_tasks
from app.evaluation.backtests.checkpoints import Protocol, Task, TaskResult, TaskStore
from app.fitting.device import use_threads
from app.geo.grid import Grid
from models.base import DAY_S, FitCancelled, FitContext, FloatArray, Incidents, Progress
from models.catalog import create_model
from models.evaluation.hotspot_area import flagged_cells
from models.evaluation.metrics import HIT_PERCENTS, ScoredIncidents, area_shares, score_rows

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
    return incidents.since(origin_s).before(origin_s + horizon_days * DAY_S)


def fit_and_score(
    incidents: Incidents,
    grid: Grid,
    task: Task,
    protocol: Protocol,
) -> TaskResult:
    """Run one task; the fit gets only the incidents before the origin."""
    started = time.perf_counter()
    context = FitContext(task.origin_s, task.seed, protocol.device)
    fitted = create_model(task.model).fit(incidents.before(task.origin_s), grid, context)
    seconds = time.perf_counter() - started
    test = protocol.held_out(incidents, task.origin_s)
    return TaskResult(
        task,
        score_rows(fitted, grid, test),
        area_shares(fitted, test.window),
        flagged_cells(fitted),
        seconds,
        dict(fitted.report()),
    )


Shared = tuple[Incidents, Grid, Protocol]


def _work(shared: Shared, task: Task) -> TaskResult:
    use_threads(1)
    incidents, grid, protocol = shared
    return fit_and_score(incidents, grid, task, protocol)


def tasks_of(protocol: Protocol) -> list[Task]:
    """Return all tasks, ordered by model, origin and seed as in the protocol."""
    seeds = range(protocol.seed, protocol.seed + protocol.n_seeds)
    return [Task(m, o, s) for m in protocol.models for o in protocol.origins_s for s in seeds]


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
    progress: Progress = lambda _share, _message: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> list[TaskResult]:
    """Run all tasks and return results in the order of `tasks_of`; `incidents` are sorted by time.

    Raises:
        FitCancelled: the caller asked to stop; finished tasks remain stored.
    """
    execution = execution or Execution()
    tasks = tasks_of(protocol)
    store = TaskStore(execution.task_folder, incidents, grid, protocol)
    done = {task: found for task in tasks if (found := store.load(task)) is not None}
    # The slowest models, last in the catalog, start first, so that no core is idle at the end.
    todo = [task for task in reversed(tasks) if task not in done]
    n_jobs = min(execution.n_jobs or os.cpu_count() or 1, max(len(todo), 1))
    with closing(run_tasks(_work, (incidents, grid, protocol), todo, n_jobs, POLL_S)) as results:
        for result in results:
            if result is not None:
                done[result.task] = result
                store.save(result)
            progress(len(done) / len(tasks), f"{len(done)} of {len(tasks)} fits")
            if cancelled():
                raise FitCancelled("backtest cancelled")
    store.clear(tasks)
    return [done[task] for task in tasks]


def joined(results: Sequence[TaskResult]) -> tuple[ScoredIncidents, dict[int, float]]:
    """Join the tasks of one model over several origins into one set of scored incidents."""
    scored = [r.scored for r in results]
    weights = [max(len(s), 1) for s in scored]

    def column(name: str) -> FloatArray:
        return np.concatenate([getattr(s, name) for s in scored])

    shares = {
        k: float(np.average([r.area_shares[k] for r in results], weights=weights))
        for k in HIT_PERCENTS
    }
    merged = ScoredIncidents(
        column("log_density"),
        column("mid_rank"),
        column("place").astype(np.int64),
        column("pit_values"),
        scored[0].n_cells,
        {k: sum(s.best_hits[k] for s in scored) for k in HIT_PERCENTS},
    )
    return merged, shares
