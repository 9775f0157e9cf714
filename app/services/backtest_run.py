"""The backtest itself, without a database: rolling origins, every model on the same incidents.

Each (origin, model) pair is one task: fit on everything before the origin, score the incidents of
the horizon after it. Tasks run in parallel processes, one thread each; finished ones are kept in a
folder, so that an interrupted backtest goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from app.domain.grid import Grid
from models.base import DAY_S, HORIZON_DAYS, FitCancelled, FitContext, FloatArray, Incidents
from models.catalog import create_model
from models.evaluation.metrics import (
    HIT_PERCENTS,
    ScoredIncidents,
    area_shares,
    score_incidents,
)

POLL_S = 0.5
_shared: dict[str, Any] = {}


@dataclass(frozen=True)
class Protocol:
    """What is compared: models, origins (UTC seconds), horizon, seed."""

    models: tuple[str, ...]
    origins_s: tuple[int, ...]
    horizon_days: int = HORIZON_DAYS
    seed: int = 0


@dataclass(frozen=True)
class TaskResult:
    """One model at one origin."""

    model: str
    origin_s: int
    scored: ScoredIncidents
    area_shares: dict[int, float]
    seconds: float
    report: dict[str, Any] = field(default_factory=dict)


def test_rows(incidents: Incidents, origin_s: int, horizon_days: int) -> Incidents:
    """The incidents of the horizon after an origin."""
    return incidents.since(origin_s).before(origin_s + horizon_days * DAY_S)


def fit_and_score(
    incidents: Incidents, grid: Grid, model: str, origin_s: int, protocol: Protocol
) -> TaskResult:
    """One task. The fit is handed only what happened before the origin."""
    started = time.perf_counter()
    context = FitContext(cutoff_s=origin_s, seed=protocol.seed, n_threads=1)
    fitted = create_model(model).fit(incidents.before(origin_s), grid, context)
    seconds = time.perf_counter() - started
    test = test_rows(incidents, origin_s, protocol.horizon_days)
    rows = grid.locate(test.x_m, test.y_m)
    test, rows = test.take(rows >= 0), rows[rows >= 0]
    return TaskResult(
        model,
        origin_s,
        score_incidents(fitted, rows, test.window),
        area_shares(fitted, test.window),
        seconds,
        dict(fitted.report()),
    )


def _start_worker(incidents: Incidents, grid: Grid, protocol: Protocol) -> None:
    import torch

    torch.set_num_threads(1)
    _shared.update(incidents=incidents, grid=grid, protocol=protocol)


def _work(model: str, origin_s: int) -> TaskResult:
    return fit_and_score(
        _shared["incidents"], _shared["grid"], model, origin_s, _shared["protocol"]
    )


def run_protocol(
    incidents: Incidents,
    grid: Grid,
    protocol: Protocol,
    *,
    n_jobs: int = 0,
    keep_in: Path | None = None,
    progress: Callable[[float, str], None] = lambda _share, _message: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> list[TaskResult]:
    """All tasks, ordered by model and origin as the protocol names them.

    Args:
        incidents: inside the grid, sorted by time.
        n_jobs: parallel processes; 0 means one per core.
        keep_in: folder for finished tasks.

    Raises:
        FitCancelled: the caller asked to stop; finished tasks are kept.
    """
    # Latest origins and slowest models first would balance best; the stack is named last, so reverse.
    tasks = [(m, o) for m in reversed(protocol.models) for o in protocol.origins_s]
    store = _Store(keep_in, incidents, grid, protocol)
    done = {task: found for task in tasks if (found := store.load(*task)) is not None}
    todo = [task for task in tasks if task not in done]
    n_jobs = min(n_jobs or os.cpu_count() or 1, max(len(todo), 1))
    limits = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    os.environ.update(limits)
    with ProcessPoolExecutor(
        n_jobs,
        multiprocessing.get_context("spawn"),
        _start_worker,
        (incidents, grid, protocol),
    ) as pool:
        running: dict[Future[TaskResult], tuple[str, int]] = {
            pool.submit(_work, *task): task for task in todo
        }
        while running:
            finished, _ = wait(running, POLL_S, FIRST_COMPLETED)
            for future in finished:
                task = running.pop(future)
                done[task] = future.result()
                store.save(done[task])
            progress(len(done) / len(tasks), f"{len(done)} of {len(tasks)} fits")
            if cancelled():
                pool.shutdown(wait=False, cancel_futures=True)
                raise FitCancelled("backtest cancelled")
    return [done[m, o] for m in protocol.models for o in protocol.origins_s]


class _Store:
    """Finished tasks in a folder, named by what they depend on; unreadable ones are done again."""

    def __init__(
        self, folder: Path | None, incidents: Incidents, grid: Grid, protocol: Protocol
    ) -> None:
        self.folder = folder
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            digest = hashlib.sha256(f"{protocol.horizon_days} {protocol.seed}".encode())
            for array in (incidents.x_m, incidents.y_m, incidents.time_s, grid.cell_id):
                digest.update(np.ascontiguousarray(array).tobytes())
            self.key = digest.hexdigest()[:16]

    def _path(self, model: str, origin_s: int) -> Path | None:
        return None if self.folder is None else self.folder / f"{self.key}-{model}-{origin_s}.npz"

    def load(self, model: str, origin_s: int) -> TaskResult | None:
        """A kept task, or None."""
        path = self._path(model, origin_s)
        if path is None or not path.exists():
            return None
        with np.load(path, allow_pickle=False) as kept:
            header = json.loads(str(kept["header"]))
            scored = ScoredIncidents(
                kept["log_density"],
                kept["mid_rank"],
                kept["place"],
                header["n_cells"],
                {int(k): v for k, v in header["best_hits"].items()},
            )
        shares = {int(k): v for k, v in header["area_shares"].items()}
        return TaskResult(model, origin_s, scored, shares, header["seconds"], header["report"])

    def save(self, result: TaskResult) -> None:
        """Keep a task; the rename makes it whole or absent."""
        path = self._path(result.model, result.origin_s)
        if path is None:
            return
        header = json.dumps(
            {
                "n_cells": result.scored.n_cells,
                "best_hits": result.scored.best_hits,
                "area_shares": result.area_shares,
                "seconds": result.seconds,
                "report": result.report,
            }
        )
        partial = path.with_suffix(".partial.npz")
        np.savez(
            partial,
            header=np.array(header),
            log_density=result.scored.log_density,
            mid_rank=result.scored.mid_rank,
            place=result.scored.place,
        )
        partial.replace(path)


def joined(results: Sequence[TaskResult]) -> tuple[ScoredIncidents, dict[int, float]]:
    """One model's tasks over all origins as one set of scored incidents."""
    scored = [r.scored for r in results]
    weights = [len(s) for s in scored]

    def column(name: str) -> FloatArray:
        return np.concatenate([getattr(s, name) for s in scored])

    shares = {
        k: float(np.average([r.area_shares[k] for r in results], weights=np.maximum(weights, 1)))
        for k in HIT_PERCENTS
    }
    best = {k: sum(s.best_hits[k] for s in scored) for k in HIT_PERCENTS}
    merged = ScoredIncidents(
        column("log_density"),
        column("mid_rank"),
        column("place").astype(np.int64),
        scored[0].n_cells,
        best,
    )
    return merged, shares
