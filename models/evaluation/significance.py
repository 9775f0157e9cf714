"""Whether two models differ: paired, over weeks, corrected for many comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb, erfc, sqrt

import numpy as np

from models.base import DAY_S, FloatArray, IntArray
from models.evaluation.metrics import ScoredIncidents

WEEK_S = 7 * DAY_S
N_RESAMPLES = 2_000
MIN_WEEKS = 8
"""A bootstrap over fewer blocks is too sure of itself."""


@dataclass(frozen=True)
class Difference:
    """Mean difference of paired scores (model minus other), with its 95 % interval.

    `n` incidents in `n_blocks` blocks of time (weeks unless asked otherwise).
    """

    mean: float
    lo: float
    hi: float
    p_value: float
    p_diebold_mariano: float
    n: int
    n_blocks: int


def paired_difference(
    score: FloatArray, other: FloatArray, time_s: IntArray, seed: int = 0, block_s: int = WEEK_S
) -> Difference:
    """Compare two models on the same incidents (n,) each.

    Weeks are resampled whole (block bootstrap, Künsch 1989), since incidents of one week hang
    together; `p_value` is two-sided from the bootstrap; the Diebold-Mariano test (1995) on weekly
    means with a HAC variance stands beside it as a check. A bootstrap over fewer than about eight
    blocks is too sure of itself: a single 28-day period is better cut into days (`block_s`).
    """
    difference = score - other
    if len(difference) == 0:
        return Difference(0.0, 0.0, 0.0, 1.0, 1.0, 0, 0)
    _, block = np.unique((time_s - time_s.min()) // block_s, return_inverse=True)
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


def wilson_interval(hits: int, n: int) -> tuple[float, float]:
    """95 % interval of a share, good for small n too (Wilson 1927).

    >>> [round(v, 3) for v in wilson_interval(5, 21)]
    [0.106, 0.451]
    """
    if n == 0:
        return 0.0, 1.0
    z = 1.959964
    centre = (hits + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * sqrt(hits * (n - hits) / n + z * z / 4)
    return max(centre - half, 0.0), min(centre + half, 1.0)


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """Two-sided exact p-value that two forecasts catch equally often.

    Args:
        only_first, only_second: incidents that one of them caught and the other missed.

    >>> round(mcnemar_exact(1, 4), 4)
    0.375
    """
    n = only_first + only_second
    tail = sum(comb(n, k) for k in range(min(only_first, only_second) + 1))
    return min(1.0, 2.0 * float(tail) / 2.0**n)


def compare_all(
    scores: Mapping[str, ScoredIncidents], time_s: IntArray, against: Sequence[str], seed: int = 0
) -> list[dict[str, float | str | int]]:
    """Every model against each reference: the contract's `differences`, with Holm's p-values.

    `log_score` (with `lo`, `hi`) and `cap_auc` (with `cap_auc_lo`, `cap_auc_hi`) are the model's
    minus the reference's; `p_holm` corrects for all the rows returned. Blocks are weeks, or days
    (`block_days` 1) when there are fewer than `MIN_WEEKS` of them.
    """
    n_weeks = len(np.unique((time_s - time_s.min()) // WEEK_S)) if len(time_s) else 0
    block_s = WEEK_S if n_weeks >= MIN_WEEKS else DAY_S
    pairs = [(m, r) for r in against if r in scores for m in scores if m != r]
    rows: list[dict[str, float | str | int]] = []
    for model, reference in pairs:
        one, other = scores[model], scores[reference]
        found = paired_difference(one.log_density, other.log_density, time_s, seed, block_s)
        area = paired_difference(-one.mid_rank, -other.mid_rank, time_s, seed, block_s)
        rows.append(
            {
                "model": model,
                "against": reference,
                "log_score": found.mean,
                "lo": found.lo,
                "hi": found.hi,
                "p": found.p_value,
                "p_diebold_mariano": found.p_diebold_mariano,
                "cap_auc": area.mean,
                "cap_auc_lo": area.lo,
                "cap_auc_hi": area.hi,
                "n": found.n,
                "n_weeks": n_weeks,
                "block_days": block_s // DAY_S,
            }
        )
    for row, adjusted in zip(rows, holm([float(r["p"]) for r in rows]), strict=True):
        row["p_holm"] = adjusted
    return rows
