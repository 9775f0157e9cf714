"""A backtest's result as JSON: scores, differences, calibration, shares by neighbourhood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from app.evaluation.backtests.checkpoints import daily_name
from app.evaluation.backtests.counts import iso
from app.evaluation.backtests.execute import Protocol, TaskResult, joined
from app.evaluation.backtests.small_areas import small_areas_json
from app.evaluation.fairness.shares import share_report
from app.geo.grid import Grid
from models.evaluation.calibration import ks_distance, pit_histogram, reliability
from models.evaluation.hotspot_area import FLAGGED_PERCENT, compactness, overlap, turnover
from models.evaluation.metrics import ScoredIncidents, cap_curve, summarise
from models.evaluation.near_misses import fractions_skill, skill_sums
from models.evaluation.significance import block_seconds, compare_all
from models.evaluation.worth import AllHoursScores, worth_json
from models.incidents import Incidents
from models.units import IntArray

REFERENCES = ("pooled-kde", "prior-counts", "uniform")


def of_first_seed(results: Sequence[TaskResult], protocol: Protocol) -> dict[str, list[TaskResult]]:
    """Return the results of the first seed by model, in the order of origins."""
    first = [r for r in results if r.task.seed == protocol.seed]
    return {m: [r for r in first if r.task.model == m] for m in protocol.compared}


def result_json(
    results: Sequence[TaskResult], incidents: Incidents, grid: Grid, protocol: Protocol
) -> dict[str, Any]:
    """Return scores by model (of the first seed), differences with intervals, scores by origin."""
    by_model = of_first_seed(results, protocol)
    scored = {name: joined(tasks) for name, tasks in by_model.items()}
    tests = [protocol.held_out(incidents, o) for o in protocol.origins_s]
    tests = [t.take(grid.locate(t.x_m, t.y_m) >= 0) for t in tests]
    time_s = np.concatenate([t.time_s for t in tests])
    models = {}
    for name, tasks in by_model.items():
        found, shares = scored[name]
        models[name] = {
            **summarise(found, shares),
            "cap_curve": cap_curve(found.place, found.n_cells),
            "calibration": {
                "pit": pit_histogram(found.pit_values),
                "worst_gap": ks_distance(found.pit_values),
            },
            "reliability": reliability(found.pit_values),
            "flagged": _flagged(tasks, grid),
            **_lists(tasks, tests, grid),
            "seeds": seed_spread([r for r in results if r.task.model == name]),
            "per_origin": [_one_origin(t) for t in tasks],
            "seconds": round(sum(t.seconds for t in tasks), 2),
        }
    return {
        "models": models,
        "differences": compare_all(
            {m: s for m, (s, _) in scored.items()}, time_s, REFERENCES, protocol.seed
        ),
        "small_areas": small_areas_json(by_model, tests, grid, protocol),
        "worth": _worth(by_model, {m: s for m, (s, _) in scored.items()}, time_s, protocol.seed),
        "origins": [iso(o) for o in protocol.origins_s],
        "horizon_days": protocol.horizon_days,
        "n": len(time_s),
        **_refresh_json({m: s for m, (s, _) in scored.items()}, time_s, protocol),
    }


def _worth(
    by_model: Mapping[str, Sequence[TaskResult]],
    scored: Mapping[str, ScoredIncidents],
    time_s: IntArray,
    seed: int,
) -> dict[str, Any]:
    """Return the gains of each model as fitted, all origins together."""
    found = {}
    for name, tasks in by_model.items():
        known = [task.all_hours for task in tasks if task.all_hours is not None]
        if len(known) == len(tasks):
            flat = AllHoursScores(
                np.concatenate([one.log_density for one in known]),
                np.concatenate([one.hits for one in known]),
            )
            block_s = block_seconds(time_s)
            found[name] = worth_json(scored[name], flat, scored, time_s, seed, block_s)
    return found


def _refresh_json(
    scored: Mapping[str, ScoredIncidents], time_s: IntArray, protocol: Protocol
) -> dict[str, Any]:
    """Return what bringing each model forward every day is worth; nothing where it was not asked for."""
    if protocol.refresh is None:
        return {}
    worth = [
        row
        for model in protocol.models
        for row in compare_all(
            {name: scored[name] for name in (model, daily_name(model))},
            time_s,
            (model,),
            protocol.seed,
        )
    ]
    return {
        "refresh": {
            "every": protocol.refresh,
            "delay_days": protocol.delay_days,
            "differences": worth,
        }
    }


def _one_origin(result: TaskResult) -> dict[str, Any]:
    return {
        "origin": iso(result.task.origin_s),
        **summarise(result.scored, result.area_shares),
        "seconds": round(result.seconds, 2),
        "report": result.report,
    }


def _flagged(tasks: Sequence[TaskResult], grid: Grid) -> dict[str, float | None]:
    """Return the shape of the top 5 % of cells, and its overlap from one origin to the next."""
    stays = [overlap(a.flagged, b.flagged) for a, b in pairwise(tasks)]
    return {
        "percent": FLAGGED_PERCENT,
        **compactness(tasks[-1].flagged, grid),
        "overlap_with_next_origin": float(np.mean(stays)) if stays else None,
    }


def _lists(tasks: Sequence[TaskResult], tests: Sequence[Incidents], grid: Grid) -> dict[str, Any]:
    """Return how near the best 5 % of cells of all hours lay to what happened, and how steady they are."""
    if any(task.listed is None for task in tasks):
        return {}
    lists = [task.listed for task in tasks if task.listed is not None]
    sums = [
        skill_sums(listed, grid.locate(test.x_m, test.y_m), grid)
        for listed, test in zip(lists, tests, strict=True)
    ]
    return {
        "near_misses": {"percent": FLAGGED_PERCENT, **fractions_skill(sums, grid.cell_size_m)},
        "turnover": {"percent": FLAGGED_PERCENT, **turnover(lists)},
    }


def seed_spread(tasks: Sequence[TaskResult]) -> dict[str, float | int | None]:
    """Return standard deviations of a model's scores over seeds, on the same incidents.

    They measure the effect of a fit's random numbers; the intervals of `differences` measure that of
    the sample of test weeks.
    """
    seeds = sorted({t.task.seed for t in tasks})
    scores = []
    for seed in seeds:
        found, _ = joined([t for t in tasks if t.task.seed == seed])
        scores.append((found.log_density.mean(), 1.0 - found.mid_rank.mean()))
    spread = np.std(scores, axis=0, ddof=1) if len(seeds) > 1 else None
    return {
        "n": len(seeds),
        "log_score_sd": None if spread is None else float(spread[0]),
        "cap_auc_sd": None if spread is None else float(spread[1]),
    }


def neighbourhoods_json(
    results: Sequence[TaskResult],
    incidents: Incidents,
    grid: Grid,
    protocol: Protocol,
    collection: Mapping[str, Any] | None,
    minimum_count: int,
) -> dict[str, Any]:
    """Return `share_report` of all models over all origins."""
    tests = [protocol.held_out(incidents, o) for o in protocol.origins_s]
    found = np.concatenate([grid.locate(t.x_m, t.y_m) for t in tests])
    flagged = {
        name: [r.flagged for r in results if r.task.model == name] for name in protocol.compared
    }
    time_s = np.concatenate([t.time_s for t in tests])
    return share_report(
        flagged, found[found >= 0], time_s[found >= 0], grid, collection, minimum_count
    )
