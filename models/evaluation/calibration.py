"""Calibration of forecasts: probability integral transforms (PIT) and coverage.

If a continuous forecast distribution F is correct, F(observation) is uniform. Counts are discrete, so
the transform is drawn at random within the step of the count (Czado, Gneiting & Held 2009, "Predictive
model assessment for count data"). The transform of a place is the probability of all denser places
(`ScoredIncidents.pit_values`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from models.counts.fit import Slots
from models.counts.model import CountModel
from models.counts.negative_binomial import LEVEL, cumulative, log_mass, nearest_interval
from models.evaluation.significance import wilson_interval
from models.units import DAY_S, HOUR_S, WEEK_S, FloatArray, IntArray

N_BINS = 10
COVERAGE_LEVELS = (0.5, 0.8, 0.9, 0.95)
_TAIL_SPREADS = 12.0
"""Counts further than this many standard deviations above the mean add nothing to a CRPS."""


def pit_histogram(pit_values: FloatArray) -> list[float]:
    """Return the shares of PIT values in tenths of 0..1 (10,); all are 0.1 when calibrated."""
    found, _ = np.histogram(pit_values, bins=N_BINS, range=(0.0, 1.0))
    return [float(v) for v in found / max(len(pit_values), 1)]


def reliability(pit_values: FloatArray) -> list[dict[str, float]]:
    """Return the share of incidents in each tenth of the forecast's probability, densest places first.

    Returns:
        ten rows {"expected", "observed", "lo", "hi"}: shares, with the 95 % Wilson interval of the observed
        one; a reliable forecast's interval holds the expected share.
    """
    n = len(pit_values)
    counts, _ = np.histogram(pit_values, bins=N_BINS, range=(0.0, 1.0))
    rows = []
    for hits in counts.tolist():
        lo, hi = wilson_interval(hits, n) if n else (0.0, 1.0)
        observed = hits / n if n else 0.0
        rows.append({"expected": 1.0 / N_BINS, "observed": observed, "lo": lo, "hi": hi})
    return rows


def ks_distance(pit_values: FloatArray) -> float:
    """Return the Kolmogorov-Smirnov distance of PIT values from the uniform distribution."""
    if len(pit_values) == 0:
        return 0.0
    ordered = np.sort(pit_values)
    n = len(ordered)
    above = np.arange(1, n + 1) / n - ordered
    below = ordered - np.arange(n) / n
    return float(max(above.max(), below.max()))


def count_pit_values(model: CountModel, count: IntArray, mean: FloatArray, seed: int) -> FloatArray:
    """Return randomised PIT values (n,) of slot counts with these forecast means."""
    at_most = model.cumulative(count, mean)
    below = model.cumulative(count - 1, mean)
    drawn = np.random.default_rng(seed).random(len(count))
    return below + drawn * (at_most - below)


def crps(count: IntArray, mean: FloatArray, dispersion: FloatArray | float) -> FloatArray:
    """Return the continuous ranked probability score (n,) of negative-binomial forecasts, in incidents.

    It is the sum over all k of (P(C <= k) - [count <= k])^2 (Matheson & Winkler 1976, "Scoring rules for
    continuous probability distributions").

    >>> [round(float(v), 4) for v in crps(np.array([0, 3]), np.array([1.0, 1.0]), 0.0)]
    [0.4762, 1.5229]
    """
    dispersion = np.broadcast_to(np.asarray(dispersion, np.float64), np.shape(mean))
    spread = np.sqrt(mean + dispersion * mean**2)
    last = np.maximum(count, mean + _TAIL_SPREADS * spread + _TAIL_SPREADS)
    total = np.zeros(len(count))
    for k in range(int(last.max(initial=-1.0)) + 1):
        total += (cumulative(k, mean, dispersion) - (count <= k)) ** 2
    return total


def _scores(count: IntArray, mean: FloatArray, dispersion: FloatArray) -> dict[str, Any]:
    """Return mean scores of forecasts (n,), and the shares of counts in their central intervals."""
    coverage = {}
    for level in COVERAGE_LEVELS:
        low, high = nearest_interval(mean, dispersion, level)
        coverage[f"{100 * level:g}"] = float(((count >= low) & (count <= high)).mean())
    return {
        "n": len(count),
        "crps": float(crps(count, mean, dispersion).mean()),
        "log_score": float(log_mass(count, mean, dispersion).mean()),
        "coverage": coverage,
    }


def _by_span(
    model: CountModel, slots: Slots, count: IntArray, mean: FloatArray, span_s: int
) -> dict[str, Any] | None:
    """Score the sums of spans of so many seconds from the first slot; None without a whole one."""
    first_s = int(slots.time_s[0])
    span = (slots.time_s - first_s) // span_s
    n_hours = np.bincount(span)
    whole = np.flatnonzero(n_hours == n_hours.max())
    if n_hours.max() * HOUR_S < span_s:
        return None
    observed = np.bincount(span, count).astype(np.int64)
    expected: FloatArray = np.bincount(span, mean).astype(np.float64)
    dispersion = [model.sum_dispersion(mean[span == s], slots.time_s[span == s]) for s in whole]
    return _scores(observed[whole], expected[whole], np.array(dispersion))


def _by_lead(
    slots: Slots, count: IntArray, low: FloatArray, high: FloatArray, mean: FloatArray
) -> list[dict[str, Any]]:
    """Return expected and observed totals and the coverage of hours by week ahead."""
    week = (slots.time_s - int(slots.time_s[0])) // WEEK_S
    inside = (count >= low) & (count <= high)
    return [
        {
            "week": int(one) + 1,
            "expected": float(mean[week == one].sum()),
            "observed": int(count[week == one].sum()),
            "coverage": float(inside[week == one].mean()),
        }
        for one in np.unique(week)
    ]


def evaluate_counts(
    model: CountModel, slots: Slots, count: IntArray, seed: int = 0
) -> dict[str, Any]:
    """Evaluate a count model on later slots (n,): coverage of its 90 % intervals, PIT, bias, scores.

    Returns:
        {"n_slots", "expected", "observed", "coverage", "mean_width", "nominal", "pit", "worst_gap",
        "total": {"lo", "hi", "covered"}, "by_hour", "by_day", "by_week", "by_lead"}; `total` is the sum over
        all the slots; the next three have `crps` (incidents), `log_score` (nats) and `coverage` of central
        intervals by level, None where there is no whole day or week.
    """
    mean = model.mean(slots)
    low, high = model.interval(mean)
    pit_values = count_pit_values(model, count, mean, seed)
    total = model.interval_of_sum(mean, slots.time_s)
    return {
        "n_slots": len(count),
        "expected": float(mean.sum()),
        "observed": int(count.sum()),
        "coverage": float(((count >= low) & (count <= high)).mean()),
        "mean_width": float((high - low).mean()),
        "nominal": LEVEL,
        "pit": pit_histogram(pit_values),
        "worst_gap": ks_distance(pit_values),
        "total": {
            "lo": total[0],
            "hi": total[1],
            "covered": bool(total[0] <= count.sum() <= total[1]),
        },
        "by_hour": _scores(count, mean, np.full(len(mean), model.dispersion)),
        "by_day": _by_span(model, slots, count, mean, DAY_S),
        "by_week": _by_span(model, slots, count, mean, WEEK_S),
        "by_lead": _by_lead(slots, count, low, high, mean),
    }
