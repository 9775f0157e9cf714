"""Memorisation test: whether samples of a forecast reveal its training incidents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.spatial import cKDTree

from models.base import Cells
from models.evaluation.bootstrap import draw_blocks, interval, resampled_means
from models.units import FloatArray, IntArray

NEAR_M = 25.0
MAX_RATIO = 1.5
"""Upper limit of the ratio of samples to new incidents near training incidents."""
N_RESAMPLES = 1_000
Verdict = Literal["passed", "failed", "too few to tell"]


@dataclass(frozen=True)
class Memorisation:
    """Shares of samples and of held-out incidents within 25 m of a training incident.

    Args:
        ratio: ratio of the shares, with its 95 % interval; None when no held-out incident is near.
        verdict: failed when the interval lies above `MAX_RATIO`, passed when it lies below.
    """

    sample_share: float
    held_out_share: float
    ratio: float | None
    lo: float | None
    hi: float | None
    n_samples: int
    n_held_out: int
    verdict: Verdict


def near_share(points_m: FloatArray, trained_m: FloatArray) -> FloatArray:
    """Return 1.0 for points (n, 2) within 25 m of a training point (m, 2), else 0.0."""
    distance, _ = cKDTree(trained_m).query(points_m, distance_upper_bound=NEAR_M)
    result: FloatArray = np.isfinite(distance).astype(np.float64)
    return result


def judge(
    samples_m: FloatArray,
    trained_m: FloatArray,
    held_out_m: FloatArray,
    block: IntArray,
    seed: int = 0,
) -> Memorisation:
    """Compare samples (s, 2) with held-out incidents (h, 2), in metres.

    Samples of a model that repeats its training data lie near it more often than new incidents do. The
    interval resamples the samples, and the held-out incidents by `block` (h,), because those of one
    day are dependent.
    """
    near = near_share(samples_m, trained_m)
    fresh = near_share(held_out_m, trained_m)
    rng = np.random.default_rng(seed)
    _, place = np.unique(block, return_inverse=True)
    hits, sizes = np.bincount(place, weights=fresh), np.bincount(place)
    shares = resampled_means(hits, sizes, draw_blocks(rng, len(hits), N_RESAMPLES))
    drawn = rng.binomial(len(near), near.mean(), N_RESAMPLES) / len(near)
    ratios = drawn / np.maximum(shares, 0.5 / len(fresh))
    lo, hi = interval(ratios)
    known = bool(fresh.any())
    return Memorisation(
        float(near.mean()),
        float(fresh.mean()),
        float(near.mean() / fresh.mean()) if known else None,
        lo if known else None,
        hi if known else None,
        len(near),
        len(fresh),
        _verdict(lo, hi),
    )


def _verdict(lo: float, hi: float) -> Verdict:
    if hi <= MAX_RATIO:
        return "passed"
    return "failed" if lo > MAX_RATIO else "too few to tell"


def places_in_cells(
    probability: FloatArray, cells: Cells, n: int, rng: np.random.Generator
) -> FloatArray:
    """Draw places (n, 2) in metres: a cell by its probability (N,), uniform within its square."""
    row = rng.choice(len(probability), n, p=probability / probability.sum())
    x_m = cells.x0_m + (cells.ix[row] + rng.random(n)) * cells.cell_size_m
    y_m = cells.y0_m + (cells.iy[row] + rng.random(n)) * cells.cell_size_m
    return np.column_stack([x_m, y_m])
