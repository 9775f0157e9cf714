"""The study's Table 1 on any region, with intervals and tests of the differences.

As in the study, each hour of the week has its own forecast, fitted to about 200 or about 2,000 earlier
incidents of that hour and tested on the same hour of the next four weeks. One window of each size gives
a table like the study's; all 168 windows together, and models that pool them, have more power.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from app.core.errors import NotReady
from app.core.settings import Settings
from app.evaluation.backtests.checkpoints import tasks_folder
from app.evaluation.backtests.counts import iso
from app.evaluation.backtests.execute import Execution, Protocol, TaskResult, held_out, run_protocol
from app.fitting.data import load_training_data
from app.fitting.device import choose_device
from app.geo.grid import Grid
from app.regions.store import get_region
from app.runs.words import as_text
from models.base import HORIZON_DAYS, Progress
from models.evaluation.metrics import HIT_PERCENTS, n_top
from models.evaluation.significance import mcnemar_exact, paired_difference, wilson_interval
from models.incidents import Incidents
from models.times.aoristic import shared_out
from models.units import DAY_S, N_WINDOWS

SIZES = (200, 2000)
STUDY_MODELS = {"maf-paper": "NF", "window-kde": "KDE", "gmm": "GMM"}
DETERMINISTIC = (
    "window-kde",
    "pooled-kde",
    "multi-kde",
    "recent-kde",
    "history",
    "sepp",
    "uniform",
    "cox",
    "maf",
    "stack",
)
REFERENCE = "pooled-kde"


@dataclass(frozen=True)
class PaperRequest:
    """What to fit: number of seeds of random models, models per window, models that pool all hours."""

    n_seeds: int = 10
    models: tuple[str, ...] = tuple(STUDY_MODELS)
    pooled_models: tuple[str, ...] = (REFERENCE, "stack")
    sizes: tuple[int, ...] = SIZES
    n_jobs: int = 0
    task_folder: Path | None = None
    device: str = "cpu"


def paper_table(
    incidents: Incidents,
    grid: Grid,
    request: PaperRequest,
    progress: Progress = lambda _share, _message: None,
) -> dict[str, Any]:
    """Fit the study's models to each size and pooled models to everything; JSON-ready.

    The origin is 28 days before the last incident. `docs/paper.md` explains the result.

    Returns:
        {"origin", "n_seeds", "sets": [{"size", "one_window": {...}, "all_windows": {...}}], ...}
        where each table holds `n`, `models` (AUC, hits with Wilson intervals, spread over seeds)
        and `mcnemar`; "pooled" is a table of all windows.
    """
    incidents = incidents.take(grid.locate(incidents.x_m, incidents.y_m) >= 0)
    origin_s = int(incidents.time_s[-1]) + 1 - HORIZON_DAYS * DAY_S
    incidents = shared_out(incidents, incidents.before(origin_s))
    n_parts = len(request.sizes) + 1
    sets = []
    for i, size in enumerate(request.sizes):
        part = _part(progress, i / n_parts, (i + 1) / n_parts, f"{size} per window: ")
        sets.append(_set_of(size, incidents, grid, origin_s, request, part))
    part = _part(progress, 1 - 1 / n_parts, 1.0, "pooled: ")
    pooled = _fit(incidents, grid, request.pooled_models, origin_s, request, part)
    test = held_out(incidents, origin_s, HORIZON_DAYS)
    return {
        "origin": iso(origin_s),
        "horizon_days": HORIZON_DAYS,
        "n_seeds": request.n_seeds,
        "n_cells": len(grid),
        "cell_size_m": grid.cell_size_m,
        "sets": sets,
        "pooled": table_of(pooled, test, np.ones(len(test), bool)),
    }


def _set_of(
    size: int,
    incidents: Incidents,
    grid: Grid,
    origin_s: int,
    request: PaperRequest,
    progress: Progress,
) -> dict[str, Any]:
    """Fit the study's models to `size` earlier incidents per window; return tables of one and all."""
    chosen = latest_per_window(incidents, origin_s, size)
    results = _fit(chosen, grid, request.models, origin_s, request, progress)
    test = held_out(incidents, origin_s, HORIZON_DAYS)
    n_train = np.bincount(chosen.before(origin_s).window, minlength=N_WINDOWS)
    window = typical_window(n_train, np.bincount(test.window, minlength=N_WINDOWS), size)
    one = table_of(results, test, test.window == window)
    everywhere = table_of(results, test, np.ones(len(test), bool))
    return {
        "size": size,
        "one_window": {"window": window, "n_train": int(n_train[window]), **one},
        "all_windows": {"n_train_mean": float(n_train.mean()), **everywhere},
    }


def _part(progress: Progress, start: float, end: float, prefix: str) -> Progress:
    return lambda share, message: progress(start + (end - start) * share, prefix + message)


def latest_per_window(incidents: Incidents, origin_s: int, size: int) -> Incidents:
    """Return the last `size` incidents of each window before the origin, and all after it."""
    past = np.flatnonzero(incidents.time_s < origin_s)
    order = np.argsort(incidents.window[past], kind="stable")
    counts = np.bincount(incidents.window[past], minlength=N_WINDOWS)
    from_the_end = np.concatenate([np.arange(n, 0, -1) for n in counts])
    keep = np.ones(len(incidents), bool)
    keep[past[order]] = from_the_end <= size
    return incidents.take(keep)


def typical_window(n_train: NDArray[Any], n_test: NDArray[Any], size: int) -> int:
    """Return the window with the training set nearest in size, ties by most test incidents."""
    away = np.abs(n_train - size)
    nearest = np.flatnonzero(away == away.min())
    return int(nearest[np.argmax(n_test[nearest])])


def _fit(
    incidents: Incidents,
    grid: Grid,
    models: Sequence[str],
    origin_s: int,
    request: PaperRequest,
    progress: Progress,
) -> list[TaskResult]:
    """Fit every model with every seed, deterministic ones once."""
    fixed = tuple(m for m in models if m in DETERMINISTIC)
    drawn = tuple(m for m in models if m not in DETERMINISTIC)
    results: list[TaskResult] = []
    for group, n_seeds in ((fixed, 1), (drawn, request.n_seeds)):
        if group:
            protocol = Protocol(group, (origin_s,), n_seeds=n_seeds, device=request.device)
            execution = Execution(request.n_jobs, request.task_folder)
            results += run_protocol(incidents, grid, protocol, execution, as_text(progress))
    return results


def table_of(
    results: Sequence[TaskResult], test: Incidents, mine: NDArray[np.bool_]
) -> dict[str, Any]:
    """Return AUC and hits of each model on some of the test incidents, and tests of pairs.

    Hits are of the seed with the median AUC (`hits`), with the range over seeds; `auc_sd_seeds` is
    the spread over seeds, `auc_se` the standard error from having n incidents.
    """
    by_model: dict[str, list[TaskResult]] = {}
    for result in results:
        by_model.setdefault(result.task.model, []).append(_restricted(result, mine))
    middle = {name: _median_seed(found) for name, found in by_model.items()}
    n = int(mine.sum())
    return {
        "n": n,
        "models": {m: _row(found, middle[m], n) for m, found in by_model.items()},
        "mcnemar": _mcnemar(middle),
        "differences": _differences(middle, test.time_s[mine]),
    }


def _restricted(result: TaskResult, mine: NDArray[np.bool_]) -> TaskResult:
    scored = result.scored
    return replace(
        result,
        scored=replace(
            scored,
            log_density=scored.log_density[mine],
            mid_rank=scored.mid_rank[mine],
            place=scored.place[mine],
            pit_values=scored.pit_values[mine],
            hit_shares=scored.hit_shares[mine],
        ),
    )


def _median_seed(found: Sequence[TaskResult]) -> TaskResult:
    ordered = sorted(found, key=lambda r: float(r.scored.mid_rank.mean()))
    return ordered[len(ordered) // 2]


def _hits(result: TaskResult, percent: int) -> NDArray[np.bool_]:
    return result.scored.place < n_top(result.scored.n_cells, percent)


def _row(found: Sequence[TaskResult], middle: TaskResult, n: int) -> dict[str, Any]:
    areas = [1.0 - float(r.scored.mid_rank.mean()) for r in found]
    scores = [float(r.scored.log_density.mean()) for r in found]
    several = len(found) > 1
    hits = {}
    for percent in HIT_PERCENTS:
        over_seeds = [int(_hits(r, percent).sum()) for r in found]
        caught = int(_hits(middle, percent).sum())
        low, high = wilson_interval(caught, n)
        hits[str(percent)] = {
            "hits": caught,
            "least": min(over_seeds),
            "most": max(over_seeds),
            "wilson": [low, high],
        }
    return {
        "n_seeds": len(found),
        "auc": float(np.mean(areas)),
        "auc_se": float(middle.scored.mid_rank.std() / np.sqrt(max(n, 1))),
        "auc_sd_seeds": float(np.std(areas, ddof=1)) if several else None,
        "log_score": float(np.mean(scores)),
        "log_score_sd_seeds": float(np.std(scores, ddof=1)) if several else None,
        "hits": hits,
        "seconds": float(np.mean([r.seconds for r in found])),
    }


def _mcnemar(middle: dict[str, TaskResult]) -> list[dict[str, Any]]:
    """Return exact paired tests of all pairs of models at all percentages."""
    rows = []
    for first, second in combinations(middle, 2):
        for percent in HIT_PERCENTS:
            one, other = _hits(middle[first], percent), _hits(middle[second], percent)
            only_first, only_second = int((one & ~other).sum()), int((other & ~one).sum())
            rows.append(
                {
                    "first": first,
                    "second": second,
                    "percent": percent,
                    "only_first": only_first,
                    "only_second": only_second,
                    "p": mcnemar_exact(only_first, only_second),
                }
            )
    return rows


def _differences(middle: dict[str, TaskResult], time_s: NDArray[np.int64]) -> list[dict[str, Any]]:
    """Return paired differences in AUC and log score with 95 % intervals by days."""
    rows = []
    for first, second in combinations(middle, 2):
        one, other = middle[first].scored, middle[second].scored
        area = paired_difference(-one.mid_rank, -other.mid_rank, time_s, block_s=DAY_S)
        score = paired_difference(one.log_density, other.log_density, time_s, block_s=DAY_S)
        rows.append(
            {
                "first": first,
                "second": second,
                "auc": [area.mean, area.lo, area.hi],
                "log_score": [score.mean, score.lo, score.hi],
            }
        )
    return rows


def paper_table_of_region(
    engine: Engine,
    settings: Settings,
    region_id: str,
    request: PaperRequest,
    progress: Progress = lambda _share, _message: None,
) -> dict[str, Any]:
    """Return `paper_table` of a region's stored incidents; finished fits are stored until all are done.

    Raises:
        NotFound: the region does not exist.
        NotReady: there are no more than 28 days of incidents.
    """
    with engine.connect() as connection:
        key = get_region(connection, region_id).key
    data = load_training_data(engine, key)
    span_s = int(data.incidents.time_s[-1] - data.incidents.time_s[0])
    if span_s <= HORIZON_DAYS * DAY_S:
        raise NotReady("the table needs more than 28 days of incidents", code="no_incidents")
    request = replace(request, task_folder=tasks_folder(settings), device=choose_device(settings))
    return {"region": region_id, **paper_table(data.incidents, data.grid, request, progress)}
