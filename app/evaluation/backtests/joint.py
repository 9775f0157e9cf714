"""Joint tests of a backtest's forecasts, counts times densities, as JSON: so far of their number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from app.evaluation.backtests.checkpoints import Protocol, TaskResult
from app.evaluation.backtests.counts import CountForecast, iso
from models.evaluation.consistency import LEVEL, JointForecast, Outcome, number_test

TESTS = ("N",)


def number_outcomes(counts: Mapping[int, CountForecast], protocol: Protocol) -> dict[int, Outcome]:
    """Return the N-test of each origin, which is the same for all models."""
    found = {}
    for origin_s in protocol.origins_s:
        one = counts[origin_s]
        window = one.slots.window.astype(np.int64)
        no_cells = np.ones((1, 1))
        forecast = JointForecast(one.mean, window, one.slots.time_s, no_cells, one.model)
        found[origin_s] = number_test(forecast, int(one.observed.sum()), protocol.seed)
    return found


def consistency_json(
    by_model: Mapping[str, Sequence[TaskResult]], numbers: Mapping[int, Outcome]
) -> dict[str, Any]:
    """Return each model's outcomes by origin, pass rates, and the failures."""
    models = {}
    for name, tasks in by_model.items():
        rows = [_one_origin(task.task.origin_s, numbers) for task in tasks]
        models[name] = {
            **{test: _rate([row[test]["passed"] for row in rows]) for test in TESTS},
            "failures": [
                {"origin": row["origin"], "test": test, "quantile": row[test]["quantile"]}
                for row in rows
                for test in TESTS
                if not row[test]["passed"]
            ],
            "per_origin": rows,
        }
    return {"level": LEVEL, "models": models}


def _one_origin(origin_s: int, numbers: Mapping[int, Outcome]) -> dict[str, Any]:
    return {"origin": iso(origin_s), "N": asdict(numbers[origin_s])}


def _rate(passed: Sequence[bool]) -> dict[str, float | int]:
    n = sum(passed)
    return {"passed": n, "of": len(passed), "rate": n / len(passed)}
