"""Information gain of a backtest's forecasts of hours and cells over references without a count model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.evaluation.backtests.checkpoints import Protocol, TaskResult
from app.evaluation.backtests.counts import CountForecast, known_times
from app.geo.grid import Grid
from models.evaluation.consistency import as_observed
from models.evaluation.information_gain import RateRatio, information_gain
from models.evaluation.significance import block_seconds
from models.incidents import Incidents
from models.units import DAY_S, FloatArray, IntArray

REFERENCES = ("uniform", "pooled-kde", "prior-counts")
_LEAST_RATE = 1e-9


@dataclass(frozen=True)
class _Period:
    """A test period: which scored incidents lie in its delivered hours, and what was expected when.

    Args:
        inside: (n,) of the scored incidents; `time_s` and `log_hours` (m,) of those inside: their times, and
            the log ratio of the hour's expected number to last year's mean.
        hour_s, mean: (K,) start of each hour and its expected number; `last_year` is the reference's.
    """

    inside: NDArray[np.bool_]
    time_s: IntArray
    log_hours: FloatArray
    hour_s: IntArray
    mean: FloatArray
    last_year: float


def _period(
    incidents: Incidents, grid: Grid, protocol: Protocol, counts: CountForecast, origin_s: int
) -> _Period:
    test = protocol.held_out(known_times(incidents, protocol, origin_s), origin_s)
    rows = grid.locate(test.x_m, test.y_m)
    test, rows = test.take(rows >= 0), rows[rows >= 0]
    observed, inside = as_observed(rows, test.at_s, counts.slots.time_s)
    mean, last_year = np.maximum(counts.mean, _LEAST_RATE), max(counts.last_year, _LEAST_RATE)
    log_hours = np.log(mean[observed.slot]) - np.log(last_year)
    return _Period(inside, test.at_s[inside], log_hours, counts.slots.time_s, mean, last_year)


def gains_json(
    by_model: Mapping[str, Sequence[TaskResult]],
    incidents: Incidents,
    grid: Grid,
    protocol: Protocol,
    counts: Mapping[int, CountForecast],
) -> dict[str, Any]:
    """Return each model's gain, with the expected counts of hours, over each reference of `REFERENCES`.

    A reference's rate is last year's mean number per hour times its density. `gain` is the sum of `places`
    (log ratios of densities), `hours` (of the numbers of the hours) and `rate` (less the difference of
    the expected numbers), each per incident.
    """
    periods = [_period(incidents, grid, protocol, counts[o], o) for o in protocol.origins_s]
    log_hours = np.concatenate([p.log_hours for p in periods])
    time_s = np.concatenate([p.time_s for p in periods])
    hour_s = np.concatenate([p.hour_s for p in periods])
    mean = np.concatenate([p.mean for p in periods])
    last_year = np.concatenate([np.full(len(p.mean), p.last_year) for p in periods])
    density = {
        name: np.concatenate(
            [t.scored.log_density[p.inside] for t, p in zip(tasks, periods, strict=True)]
        )
        for name, tasks in by_model.items()
    }
    block_s, n = block_seconds(time_s), max(len(time_s), 1)
    rows = []
    for reference in (r for r in REFERENCES if r in density):
        for model in (m for m in density if m != reference):
            places = density[model] - density[reference]
            ratio = RateRatio(places + log_hours, time_s, mean - last_year, hour_s)
            rows.append(
                {
                    "model": model,
                    "against": reference,
                    **asdict(information_gain(ratio, protocol.seed, block_s)),
                    "places": float(places.sum()) / n,
                    "hours": float(log_hours.sum()) / n,
                    "rate": float((last_year - mean).sum()) / n,
                }
            )
    return {
        "n": len(time_s),
        "expected": float(mean.sum()),
        "expected_by_references": float(last_year.sum()),
        "block_days": block_s // DAY_S,
        "rows": rows,
    }
