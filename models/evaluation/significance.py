"""Whether two models differ: paired, over weeks, corrected for many comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import erfc, sqrt

import numpy as np

from models.base import DAY_S, FloatArray, IntArray

WEEK_S = 7 * DAY_S
N_RESAMPLES = 2_000


@dataclass(frozen=True)
class Difference:
    """Mean difference of paired scores (model minus other), with its 95 % interval over weeks."""

    mean: float
    lo: float
    hi: float
    p_value: float
    p_diebold_mariano: float
    n: int
    n_weeks: int


def paired_difference(
    score: FloatArray, other: FloatArray, time_s: IntArray, seed: int = 0
) -> Difference:
    """Compare two models on the same incidents (n,) each.

    Weeks are resampled whole (block bootstrap, Künsch 1989), since incidents of one week hang
    together; `p_value` is two-sided from the bootstrap; the Diebold-Mariano test (1995) on weekly
    means with a HAC variance stands beside it as a check.
    """
    difference = score - other
    if len(difference) == 0:
        return Difference(0.0, 0.0, 0.0, 1.0, 1.0, 0, 0)
    week = (time_s - time_s.min()) // WEEK_S
    _, block = np.unique(week, return_inverse=True)
    sums = np.bincount(block, weights=difference)
    counts = np.bincount(block).astype(np.float64)
    mean = float(difference.mean())
    rng = np.random.default_rng(seed)
    draw = rng.integers(0, len(sums), (N_RESAMPLES, len(sums)))
    means = sums[draw].sum(axis=1) / counts[draw].sum(axis=1)
    lo, hi = np.quantile(means, [0.025, 0.975])
    tail = min(float((means <= 0).mean()), float((means >= 0).mean()))
    p_value = min(1.0, 2 * max(tail, 1 / N_RESAMPLES))
    return Difference(
        mean,
        float(lo),
        float(hi),
        p_value if len(sums) > 1 else 1.0,
        diebold_mariano(sums / counts),
        len(difference),
        len(sums),
    )


def diebold_mariano(weekly: FloatArray) -> float:
    """Two-sided p-value that weekly mean differences are zero on average.

    Newey-West variance with floor(n^(1/3)) lags, at least the plain one; normal approximation.
    """
    n = len(weekly)
    if n < 4:
        return 1.0
    centred = weekly - weekly.mean()
    plain = float((centred**2).mean())
    n_lags = int(np.floor(n ** (1 / 3)))
    variance = plain
    for lag in range(1, n_lags + 1):
        weight = 1 - lag / (n_lags + 1)
        variance += 2 * weight * float((centred[lag:] * centred[:-lag]).sum() / n)
    variance = max(variance, plain)
    if variance == 0:
        return 1.0 if weekly.mean() == 0 else 0.0
    return erfc(abs(float(weekly.mean())) / sqrt(variance / n) / sqrt(2))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values (Holm 1979): the family-wise error stays at its level."""
    order = np.argsort(p_values)
    adjusted = np.empty(len(p_values))
    running = 0.0
    for step, place in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - step) * p_values[place]))
        adjusted[place] = running
    return [float(v) for v in adjusted]


def compare_all(
    scores: Mapping[str, FloatArray], time_s: IntArray, against: Sequence[str], seed: int = 0
) -> list[dict[str, float | str | int]]:
    """Every model against each reference: the contract's `differences`, with Holm's p-values."""
    rows: list[dict[str, float | str | int]] = []
    for reference in against:
        if reference not in scores:
            continue
        for model in scores:
            if model == reference:
                continue
            found = paired_difference(scores[model], scores[reference], time_s, seed)
            rows.append(
                {
                    "model": model,
                    "against": reference,
                    "log_score": found.mean,
                    "lo": found.lo,
                    "hi": found.hi,
                    "p": found.p_value,
                    "p_diebold_mariano": found.p_diebold_mariano,
                    "n": found.n,
                    "n_weeks": found.n_weeks,
                }
            )
    for row, adjusted in zip(rows, holm([float(r["p"]) for r in rows]), strict=True):
        row["p_holm"] = adjusted
    return rows
