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
from models.counts.negative_binomial import LEVEL
from models.units import FloatArray, IntArray

N_BINS = 10


def pit_histogram(pit_values: FloatArray) -> list[float]:
    """Return the shares of PIT values in tenths of 0..1 (10,); all are 0.1 when calibrated."""
    found, _ = np.histogram(pit_values, bins=N_BINS, range=(0.0, 1.0))
    return [float(v) for v in found / max(len(pit_values), 1)]


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


def evaluate_counts(
    model: CountModel, slots: Slots, count: IntArray, seed: int = 0
) -> dict[str, Any]:
    """Evaluate a count model on later slots (n,): coverage of its 90 % intervals, PIT, bias.

    Returns:
        {"n_slots", "expected", "observed", "coverage", "mean_width", "nominal", "pit", "worst_gap",
        "total": {"lo", "hi", "covered"}}; `total` is the sum over all the slots.
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
    }
