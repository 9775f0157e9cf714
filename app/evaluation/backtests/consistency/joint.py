"""Joint tests of a backtest's forecasts, counts times densities, as JSON: numbers, places and hours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from app.evaluation.backtests.checkpoints import Protocol, TaskResult
from app.evaluation.backtests.consistency.clustering import N_BEFORE, REFERENCE, errors_of
from app.evaluation.backtests.consistency.joint_tests import JointOutcome, JointTest, JointTests
from app.evaluation.backtests.counts import CountForecast, iso
from models.evaluation.consistency import LEVEL, N_SIMULATIONS, JointForecast, Outcome, number_test

TESTS = ("N", "S", "CL")


def number_outcomes(counts: Mapping[int, CountForecast], protocol: Protocol) -> dict[int, Outcome]:
    """Return the N-test of each origin, which is the same for all models."""
    found = {}
    for origin_s in protocol.origins_s:
        one = counts[origin_s]
        window = one.slots.window.astype(np.int64)
        no_cells = np.ones((1, 1))
        forecast = JointForecast(one.mean, window, one.slots.time_s, no_cells, errors_of(one))
        found[origin_s] = number_test(forecast, int(one.observed.sum()), protocol.seed)
    return found


def consistency_json(
    by_model: Mapping[str, Sequence[TaskResult]],
    numbers: Mapping[int, Outcome],
    tests: JointTests,
) -> dict[str, Any]:
    """Return each model's outcomes of N-, S- and CL-test by origin, pass rates, and the failures.

    `all` passed where all three did. `clustering.periods` is how many earlier periods the clustering was
    estimated on, by forecasts of `reference`; with 0, incidents were drawn independently.
    """
    models = {}
    for name, tasks in by_model.items():
        rows = [
            _one_origin(
                task.task.origin_s,
                task.joint,
                numbers[task.task.origin_s],
                tests.by_origin[task.task.origin_s],
            )
            for task in tasks
            if task.joint is not None
        ]
        if rows:
            models[name] = {
                **{test: _rate([row[test]["passed"] for row in rows]) for test in TESTS},
                "all": _rate([all(row[test]["passed"] for test in TESTS) for row in rows]),
                "failures": [
                    {"origin": row["origin"], "test": test, "quantile": row[test]["quantile"]}
                    for row in rows
                    for test in TESTS
                    if not row[test]["passed"]
                ],
                "per_origin": rows,
            }
    return {
        "level": LEVEL,
        "n_simulations": N_SIMULATIONS,
        "reference": REFERENCE,
        "periods_before": N_BEFORE,
        "models": models,
    }


def _one_origin(
    origin_s: int, found: JointOutcome, number: Outcome, test: JointTest
) -> dict[str, Any]:
    space, joint = (
        {"quantile": o.quantile, "passed": o.passed} for o in (found.space, found.joint)
    )
    return {
        "origin": iso(origin_s),
        "n": found.n,
        "N": asdict(number),
        "S": space,
        "CL": joint,
        "clustering": {"periods": test.n_before, **asdict(test.clustering)},
    }


def _rate(passed: Sequence[bool]) -> dict[str, float | int]:
    n = sum(passed)
    return {"passed": n, "of": len(passed), "rate": n / len(passed)}
