"""Whether forecasts keep what they promise: probability integral transforms and coverage.

A value that a continuous forecast distribution F gave is F(value)-uniform when F is right. Counts
are discrete, so the transform is drawn at random within the step that the count stands on (Czado,
Gneiting & Held 2009, "Predictive model assessment for count data"). The transform of a place is the
probability of all denser places (`ScoredIncidents.promised`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from models.base import FloatArray, IntArray
from models.counts.model import LEVEL, CountModel, Slots

N_BINS = 10


def histogram(transform: FloatArray) -> list[float]:
    """(10,) shares of a transform's values in tenths of 0..1; all 0.1 when calibrated."""
    if len(transform) == 0:
        return [0.0] * N_BINS
    found, _ = np.histogram(transform, bins=N_BINS, range=(0.0, 1.0))
    return [float(v) for v in found / len(transform)]


def worst_gap(transform: FloatArray) -> float:
    """Largest distance of the transform's distribution from uniform (Kolmogorov-Smirnov)."""
    if len(transform) == 0:
        return 0.0
    ordered = np.sort(transform)
    n = len(ordered)
    above = np.arange(1, n + 1) / n - ordered
    below = ordered - np.arange(n) / n
    return float(max(above.max(), below.max()))


def count_transform(model: CountModel, count: IntArray, mean: FloatArray, seed: int) -> FloatArray:
    """(n,) randomised probability integral transform of slot counts with these forecast means."""
    upto = model.cumulative(count, mean)
    below = model.cumulative(count - 1, mean)
    drawn = np.random.default_rng(seed).random(len(count))
    return below + drawn * (upto - below)


def judge_counts(model: CountModel, slots: Slots, count: IntArray, seed: int = 0) -> dict[str, Any]:
    """How a count model did on later slots (n,): coverage of its 90 % intervals, transform, bias.

    Returns:
        {"n_slots", "expected", "observed", "coverage", "mean_width", "nominal", "pit", "worst_gap",
        "total": {"lo", "hi", "covered"}}; `total` is the sum over all the slots.
    """
    mean = model.mean(slots)
    low, high = model.interval(mean)
    transform = count_transform(model, count, mean, seed)
    total = model.interval_of_sum(mean, slots.time_s)
    return {
        "n_slots": len(count),
        "expected": float(mean.sum()),
        "observed": int(count.sum()),
        "coverage": float(((count >= low) & (count <= high)).mean()),
        "mean_width": float((high - low).mean()),
        "nominal": LEVEL,
        "pit": histogram(transform),
        "worst_gap": worst_gap(transform),
        "total": {
            "lo": total[0],
            "hi": total[1],
            "covered": bool(total[0] <= count.sum() <= total[1]),
        },
    }
