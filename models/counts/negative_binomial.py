"""The negative-binomial distribution by mean and dispersion, vectorised.

Variance = mean + dispersion x mean^2: a Poisson count whose rate is gamma-distributed with
coefficient of variation sqrt(dispersion). A random share of such a count has the same dispersion, so
that cells and categories need no parameter of their own.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betainc, gammaincc, gammaln

from models.units import FloatArray

LEVEL = 0.9
"""Share of counts that intervals are meant to hold."""
POISSON_BELOW = 1e-6
"""Dispersions below this are Poisson to machine precision at any count that occurs."""
_BISECTIONS = 10


def cumulative(count: ArrayLike, mean: ArrayLike, dispersion: ArrayLike) -> FloatArray:
    """Return P(C <= count); zero for negative counts.

    >>> [round(float(p), 4) for p in cumulative([-1, 0, 1], 1.0, 0.0)]
    [0.0, 0.3679, 0.7358]
    """
    count, mean = np.broadcast_arrays(np.asarray(count, np.float64), np.asarray(mean, np.float64))
    known = np.maximum(count, 0.0)
    if np.all(np.asarray(dispersion) < POISSON_BELOW):
        upto = gammaincc(known + 1.0, mean)
    else:
        dispersion = np.maximum(dispersion, POISSON_BELOW)
        size = 1.0 / dispersion
        upto = betainc(size, known + 1.0, 1.0 / (1.0 + dispersion * mean))
    result: FloatArray = np.where(count < 0, 0.0, upto)
    return result


def log_mass(count: ArrayLike, mean: ArrayLike, dispersion: ArrayLike) -> FloatArray:
    """Return log P(C = count) for counts >= 0; a mean of zero counts as 1e-12."""
    count = np.asarray(count, np.float64)
    mean = np.maximum(np.asarray(mean, np.float64), 1e-12)
    if np.all(np.asarray(dispersion) < POISSON_BELOW):
        poisson: FloatArray = count * np.log(mean) - mean - gammaln(count + 1.0)
        return poisson
    dispersion = np.maximum(dispersion, POISSON_BELOW)
    size = 1.0 / dispersion
    rare = np.log1p(dispersion * mean)
    everywhere = np.broadcast_arrays(count, size, dispersion * mean, rare)
    # Of no incidents, which most cells have, this is all.
    result: FloatArray = np.asarray(-everywhere[1] * everywhere[3], np.float64)
    some = everywhere[0] > 0
    k, r, odds, log_more = (values[some] for values in everywhere)
    ways = gammaln(k + r) - gammaln(r) - gammaln(k + 1.0)
    result[some] += ways + k * (np.log(odds) - log_more)
    return result


def nearest_quantile(share: float, mean: ArrayLike, dispersion: ArrayLike) -> FloatArray:
    """Return the integers k >= -1 whose P(C <= k) is nearest to `share`; shape of `mean`.

    k = -1 has P = 0. Found by bisection.
    """
    mean, dispersion = np.broadcast_arrays(
        np.asarray(mean, np.float64), np.asarray(dispersion, np.float64)
    )
    spread = np.sqrt(mean + dispersion * mean**2)
    low = np.full(mean.shape, -1.0)
    high = np.ceil(mean + 40.0 * spread + 40.0)
    while np.any(high - low > 1):
        middle = np.floor((low + high) / 2)
        enough = cumulative(middle, mean, dispersion) >= share
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    short = share - cumulative(low, mean, dispersion)
    over = cumulative(high, mean, dispersion) - share
    result: FloatArray = np.where(short < over, low, high)
    return result


def nearest_interval(
    mean: ArrayLike, dispersion: ArrayLike, level: float
) -> tuple[FloatArray, FloatArray]:
    """Return inclusive integer bounds that leave about (1 - level) / 2 on either side.

    Counts are discrete: bounds with *at least* that probability would cover far more on average,
    so each tail is cut where its mass is nearest.

    >>> [float(v) for v in nearest_interval(5.0, 0.0, 0.9)]
    [2.0, 8.0]
    """
    tail = (1.0 - level) / 2
    low = nearest_quantile(tail, mean, dispersion) + 1.0
    high = nearest_quantile(1.0 - tail, mean, dispersion)
    return low, np.maximum(high, low)


def nominal_level(mean: ArrayLike, dispersion: float, target: float) -> float:
    """Find the level whose intervals are expected to cover a share of counts nearest to `target`.

    Coverage grows with the level in steps, so the two sides of the step are compared.
    """

    def expected(level: float) -> float:
        low, high = nearest_interval(mean, dispersion, level)
        inside = cumulative(high, mean, dispersion) - cumulative(low - 1.0, mean, dispersion)
        return float(inside.mean())

    low, high = 0.5, 0.999
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if expected(middle) >= target else (middle, high)
    return high if expected(high) - target <= target - expected(low) else low
