"""Forecasts of the number of incidents at a backtest's origins, and their scores as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.evaluation.backtests.checkpoints import Protocol
from app.fitting.hourly_counts import counted_slots
from models.base import FitCancelled
from models.counts.fit import Slots, delivered_hours
from models.counts.model import CountModel
from models.densities.prior_counts import PRIOR_DAYS
from models.evaluation.calibration import evaluate_counts
from models.incidents import Incidents
from models.times.aoristic import shared_out
from models.units import DAY_S, FloatArray, IntArray

COUNT_SPANS = ("by_hour", "by_day", "by_week")
"""Sums of counts that are scored, as `evaluate_counts` names them."""


def iso(time_s: int) -> str:
    """Format UTC seconds as RFC 3339."""
    return datetime.fromtimestamp(time_s, UTC).isoformat()


@dataclass(frozen=True)
class CountForecast:
    """The count model of an origin, and the delivered hours (n,) of its test period with their counts.

    `last_year` is the mean number per hour of the year before, which needs no model.
    """

    model: CountModel
    slots: Slots
    observed: IntArray
    last_year: float

    @property
    def mean(self) -> FloatArray:
        """Expected number of incidents in each hour (n,)."""
        return self.model.mean(self.slots)


def count_forecasts(
    incidents: Incidents,
    timezone: str,
    protocol: Protocol,
    cancelled: Callable[[], bool] = lambda: False,
) -> dict[int, CountForecast]:
    """Fit the count model at each origin (UTC seconds) to what was known then.

    Slots after the last incident, and days that seem to be missing from the feed, are left out. Incidents
    known as intervals count at an hour drawn by the shares that earlier incidents give its hours.

    Raises:
        FitCancelled: the caller asked to stop.
    """
    found = {}
    for origin_s in protocol.origins_s:
        if cancelled():
            raise FitCancelled("backtest cancelled")
        found[origin_s] = _forecast(incidents, timezone, protocol, origin_s)
    return found


def known_times(incidents: Incidents, protocol: Protocol, origin_s: int) -> Incidents:
    """Return all incidents, their intervals shared out by what was known at an origin."""
    return shared_out(incidents, protocol.known(incidents, origin_s))


def _forecast(
    incidents: Incidents, timezone: str, protocol: Protocol, origin_s: int
) -> CountForecast:
    shared = known_times(incidents, protocol, origin_s)
    past, cutoff_s = protocol.known(shared, origin_s), protocol.cutoff_of(origin_s)
    first_s = int(past.time_s[0]) if len(past) else cutoff_s
    slots, count = counted_slots(past.at_s, timezone, first_s, cutoff_s)
    until_s = min(protocol.end_of(origin_s), int(incidents.time_s[-1]) + 1)
    later, observed = counted_slots(shared.at_s, timezone, origin_s, until_s)
    before, delivered = _delivered(slots, count, later, observed)
    before &= slots.time_s >= cutoff_s - PRIOR_DAYS * DAY_S
    return CountForecast(
        CountModel.fit(slots, count),
        later.take(delivered),
        observed[delivered],
        float(count[before].mean()) if before.any() else 0.0,
    )


def _delivered(
    before: Slots, count: IntArray, later: Slots, observed: IntArray
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which earlier and which later slots were delivered; all later ones, if none seems to be."""
    both = Slots(
        *(
            np.concatenate([getattr(before, name), getattr(later, name)])
            for name in ("time_s", "window", "holiday")
        )
    )
    found = delivered_hours(both, np.concatenate([count, observed]))
    since = found[len(count) :]
    return found[: len(count)], since if since.any() else np.ones(len(observed), np.bool_)


def counts_json(forecasts: Mapping[int, CountForecast], protocol: Protocol) -> dict[str, Any]:
    """Evaluate the count model at the origins: coverage of its 90 % intervals, PIT, scores, totals."""
    per_origin = []
    for origin_s in protocol.origins_s:
        one = forecasts[origin_s]
        scores = evaluate_counts(one.model, one.slots, one.observed, seed=protocol.seed)
        per_origin.append({"origin": iso(origin_s), **scores})
    weight = np.array([o["n_slots"] for o in per_origin], np.float64)

    def average(name: str) -> Any:
        values = np.array([o[name] for o in per_origin])
        return np.average(values, axis=0, weights=weight).tolist()

    return {
        "nominal": per_origin[0]["nominal"],
        "n_slots": int(weight.sum()),
        "coverage": average("coverage"),
        "mean_width": average("mean_width"),
        "pit": average("pit"),
        **{name: _mean_scores([o[name] for o in per_origin]) for name in COUNT_SPANS},
        "totals_covered": sum(o["total"]["covered"] for o in per_origin),
        "per_origin": per_origin,
    }


def _mean_scores(found: Sequence[dict[str, Any] | None]) -> dict[str, Any] | None:
    """Return the scores of all origins as one, weighted by the forecasts in each; None without any."""
    known = [scores for scores in found if scores is not None]
    if not known:
        return None
    weight = [scores["n"] for scores in known]

    def mean(values: Sequence[float]) -> float:
        return float(np.average(values, weights=weight))

    return {
        "n": sum(weight),
        "crps": mean([scores["crps"] for scores in known]),
        "log_score": mean([scores["log_score"] for scores in known]),
        "coverage": {
            level: mean([scores["coverage"][level] for scores in known])
            for level in known[0]["coverage"]
        },
    }
