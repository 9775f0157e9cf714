"""Block bootstrap (Künsch 1989): resample whole blocks, because incidents within one are dependent."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.units import FloatArray, IntArray

BOUNDS = (0.025, 0.975)
"""Quantiles of 95 % intervals."""


def time_blocks(time_s: IntArray, block_s: int) -> IntArray:
    """Number the blocks of `block_s` seconds that hold an incident; return that of each (n,)."""
    if len(time_s) == 0:
        return np.zeros(0, np.int64)
    _, block = np.unique((time_s - time_s.min()) // block_s, return_inverse=True)
    return block.astype(np.int64)


def draw_blocks(rng: np.random.Generator, n_blocks: int, n_resamples: int) -> IntArray:
    """Draw blocks with replacement (n_resamples, n_blocks)."""
    return rng.integers(0, n_blocks, (n_resamples, n_blocks))


def resampled_means(total: NDArray[Any], count: NDArray[Any], draw: IntArray) -> FloatArray:
    """Return the mean of each resample (R,), from sums and counts by block (B,).

    A resample without any count is NaN.
    """
    counts = count[draw].sum(axis=1)
    result: FloatArray = total[draw].sum(axis=1) / np.where(counts > 0, counts, np.nan)
    return result


def resampled_counts(table: FloatArray, draw: IntArray) -> FloatArray:
    """Return the sums (R, P) of each resample, from counts by block (B, P)."""
    times = np.zeros(draw.shape)
    np.add.at(times, (np.arange(len(draw))[:, None], draw), 1.0)
    return np.asarray(times @ table, np.float64)


def interval(samples: FloatArray) -> tuple[float, float]:
    """Return the 95 % interval of samples (R,)."""
    lo, hi = np.quantile(samples, BOUNDS)
    return float(lo), float(hi)
