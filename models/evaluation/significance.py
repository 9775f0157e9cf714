"""Significance of differences between models: paired, in blocks of time, corrected for multiplicity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb, erfc, sqrt
from typing import Any

import numpy as np

from models.evaluation.bootstrap import draw_blocks, interval, resampled_means, time_blocks
from models.evaluation.metrics import HIT_PERCENTS, ScoredIncidents
from models.units import DAY_S, WEEK_S, FloatArray, IntArray

N_RESAMPLES = 2_000
MIN_WEEKS = 8
"""A bootstrap over fewer blocks gives intervals that are too narrow."""


@dataclass(frozen=True)
class Difference:
    """Mean difference of paired scores (model minus other), with its 95 % interval.

    `n` incidents lie in `n_blocks` blocks of time, by default weeks.
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

    The interval and the two-sided `p_value` come from a block bootstrap; `p_diebold_mariano` is the
    Diebold-Mariano test (1995) on means by block with a HAC variance. Intervals from fewer than about
    eight blocks are too narrow: split a single 28-day period into days (`block_s`).
    """
    difference = score - other
    if len(difference) == 0:
        return Difference(0.0, 0.0, 0.0, 1.0, 1.0, 0, 0)
    block = time_blocks(time_s, block_s)
    sums = np.bincount(block, weights=difference)
    counts = np.bincount(block).astype(np.float64)
    mean = float(difference.mean())
    draw = draw_blocks(np.random.default_rng(seed), len(sums), N_RESAMPLES)
    means = resampled_means(sums, counts, draw)
    lo, hi = interval(means)
    tail = min(float((means <= 0).mean()), float((means >= 0).mean()))
    p_value = min(1.0, 2 * max(tail, 1 / N_RESAMPLES))
    return Difference(
        mean,
        lo,
        hi,
        p_value if len(sums) > 1 else 1.0,
        diebold_mariano(sums / counts),
        len(difference),
        len(sums),
    )


def hit_rate_differences(
    one: ScoredIncidents,
    other: ScoredIncidents,
    time_s: IntArray,
    seed: int = 0,
    block_s: int = WEEK_S,
) -> dict[str, dict[str, float]]:
    """Return {percent: `mean`, `lo` and `hi`} of the share in the top-k% cells, one model minus the other."""
    rows = {}
    for column, percent in enumerate(HIT_PERCENTS):
        ours, theirs = one.hit_shares[:, column], other.hit_shares[:, column]
        found = paired_difference(ours, theirs, time_s, seed, block_s)
        rows[str(percent)] = {"mean": found.mean, "lo": found.lo, "hi": found.hi}
    return rows


def diebold_mariano(weekly: FloatArray) -> float:
    """Return the two-sided p value that weekly mean differences are zero on average.

    Newey-West variance with floor(n^(1/3)) lags, at least the simple variance; normal approximation.
    """
    n = len(weekly)
    if n < 4:
        return 1.0
    centred = weekly - weekly.mean()
    simple = float((centred**2).mean())
    n_lags = int(np.floor(n ** (1 / 3)))
    variance = simple
    for lag in range(1, n_lags + 1):
        weight = 1 - lag / (n_lags + 1)
        variance += 2 * weight * float((centred[lag:] * centred[:-lag]).sum() / n)
    variance = max(variance, simple)
    if variance == 0:
        return 1.0 if weekly.mean() == 0 else 0.0
    return erfc(abs(float(weekly.mean())) / sqrt(variance / n) / sqrt(2))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p values (Holm 1979) to control the family-wise error rate."""
    order = np.argsort(p_values)
    adjusted = np.empty(len(p_values))
    running = 0.0
    for step, place in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - step) * p_values[place]))
        adjusted[place] = running
    return [float(v) for v in adjusted]


def wilson_interval(hits: float, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share, valid for small n (Wilson 1927).

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
    """Return the two-sided exact p value that two forecasts catch equally often.

    Args:
        only_first, only_second: numbers of incidents that only one of them caught.

    >>> round(mcnemar_exact(1, 4), 4)
    0.375
    """
    n = only_first + only_second
    tail = sum(comb(n, k) for k in range(min(only_first, only_second) + 1))
    return min(1.0, 2.0 * float(tail) / 2.0**n)


def block_seconds(time_s: IntArray) -> int:
    """Return the length of bootstrap blocks: weeks, or days if there are fewer than `MIN_WEEKS`."""
    return WEEK_S if _n_weeks(time_s) >= MIN_WEEKS else DAY_S


def _n_weeks(time_s: IntArray) -> int:
    return len(np.unique((time_s - time_s.min()) // WEEK_S)) if len(time_s) else 0


def compare_all(
    scores: Mapping[str, ScoredIncidents], time_s: IntArray, against: Sequence[str], seed: int = 0
) -> list[dict[str, Any]]:
    """Compare every model with each reference.

    `log_score` (with `lo`, `hi`) and `cap_auc` (with `cap_auc_lo`, `cap_auc_hi`) are those of the model
    minus those of the reference, and `hit_rate` is as in `hit_rate_differences`; `p_holm` corrects for all
    returned rows. Blocks are weeks, or days (`block_days` 1) if there are fewer than `MIN_WEEKS`.
    """
    n_weeks, block_s = _n_weeks(time_s), block_seconds(time_s)
    pairs = [(m, r) for r in against if r in scores for m in scores if m != r]
    rows: list[dict[str, Any]] = []
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
                "hit_rate": hit_rate_differences(one, other, time_s, seed, block_s),
                "n": found.n,
                "n_weeks": n_weeks,
                "block_days": block_s // DAY_S,
            }
        )
    for row, adjusted in zip(rows, holm([float(r["p"]) for r in rows]), strict=True):
        row["p_holm"] = adjusted
    return rows
