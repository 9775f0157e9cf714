"""Bands of probabilities: how far they may be off, calibrated on the counts of past periods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models.counts.negative_binomial import cumulative, log_mass
from models.hour_table import HourTable, block_of, blocks
from models.units import HOURS_PER_DAY, N_WINDOWS, SATURDAY, FloatArray, IntArray

COVERAGE = 0.9
"""Share of the truth that a band is meant to hold."""
NORMAL_QUANTILE = 1.6448536269514722
"""Of (1 + COVERAGE) / 2."""
HOURS_A_PART = 6
N_PARTS = 2 * HOURS_PER_DAY // HOURS_A_PART
USUAL_SCALE, USUAL_EXTRA = 4.0, 0.05
"""Of the variances where no past period is long enough: what most cities' periods ask for."""
_SCALES = (1.0, 2.0, 4.0, 8.0)
_EXTRAS = (0.0, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.6)


@dataclass(frozen=True)
class Band:
    """Variances of the logarithms of probabilities (168, N), as a product of two factors.

    Args:
        loading: (168, K) non-negative.
        variance: (K, N) non-negative.
    """

    loading: FloatArray
    variance: FloatArray

    def log_variance(self, windows: IntArray | int) -> FloatArray:
        """Return variances (N,) in one window, or (W, N) in several."""
        result: FloatArray = self.loading[windows] @ self.variance
        return result

    def variance_by_part(
        self, n_incidents: FloatArray, probability: FloatArray, expected: FloatArray, cells: slice
    ) -> FloatArray:
        """Return variances (8, B) by part of the week of some cells, each window's by what it expects.

        Args:
            n_incidents: (168,).
            probability: (168, B) of these cells in the windows.
            expected: (8, B) as by `expected_by_part`.
        """
        own = probability * (self.loading @ self.variance[:, cells])
        weighted = expected_by_part(n_incidents, own)
        return np.divide(weighted, expected, out=np.zeros_like(weighted), where=expected > 0)

    def factor(self, window: int) -> FloatArray:
        """Return the factor (N,) by which a cell's probability may be off, either way."""
        deviation = np.sqrt(self.log_variance(window))
        factor: FloatArray = np.exp(NORMAL_QUANTILE * deviation)
        return factor

    def report(self) -> dict[str, float]:
        """Return the share that bands are meant to hold, and their usual factor."""
        usual = float(
            np.median([np.median(self.factor(w)) for w in range(0, len(self.loading), 7)])
        )
        return {"coverage": COVERAGE, "median_factor": usual}

    def pooled(self, cells: NDArray[np.bool_]) -> Band:
        """Return the band with the mean variance of some cells (N,) at all of them."""
        variance = self.variance.copy()
        if cells.any():
            variance[:, cells] = variance[:, cells].mean(axis=1, keepdims=True)
        return Band(self.loading, variance)


@dataclass(frozen=True)
class PartCounts:
    """Counts of a period by part of the week, and their forecast.

    Args:
        observed, expected: (8, N) incidents; expected ones share out each window's total by its
            probabilities.
        log_variance: (8, N) of the logarithms of the expected counts.
    """

    observed: FloatArray
    expected: FloatArray
    log_variance: FloatArray

    def log_likelihood(self, scale: float, extra: float) -> float:
        """Return the log-likelihood with the variances scaled, and a common one added."""
        spread = np.expm1(scale * self.log_variance + extra)
        return float(log_mass(self.observed, self.expected, spread).sum())

    def coverage(self, least: float, seed: int = 0) -> tuple[float, int]:
        """Return the share of counts within the central 90 % of their distributions, and their number.

        Counts are discrete, so that their place in the distribution is drawn uniformly within the mass
        of the count itself; for a perfect forecast the share is .9 on average.

        Args:
            least: only where at least so many are expected; elsewhere bands say little.
        """
        some = self.expected >= least
        spread = np.expm1(self.log_variance[some])
        observed, expected = self.observed[some], self.expected[some]
        upper, lower = (cumulative(observed - k, expected, spread) for k in (0, 1))
        place = lower + np.random.default_rng(seed).random(upper.shape) * (upper - lower)
        return float((np.abs(place - 0.5) <= COVERAGE / 2).sum()) / max(len(place), 1), len(place)


def calibrated(band: Band, past: Sequence[PartCounts]) -> Band:
    """Scale the variances, and add a common one, so that they explain counts of past periods.

    Both are those of maximum likelihood; counts of parts of the week are taken as negative binomial,
    with the variance of a mean that varies log-normally. Without a past period they are
    `USUAL_SCALE` and `USUAL_EXTRA`.
    """

    def likelihood(setting: tuple[float, float]) -> float:
        scale, extra = setting
        return sum(period.log_likelihood(scale, extra) for period in past)

    usual = (USUAL_SCALE, USUAL_EXTRA)
    scale, extra = max(product(_SCALES, _EXTRAS), key=likelihood) if past else usual
    loading = np.concatenate([band.loading * scale, np.ones((N_WINDOWS, 1))], axis=1)
    common = np.full((1, band.variance.shape[1]), extra)
    return Band(loading, np.concatenate([band.variance, common]))


def parts_of_week() -> IntArray:
    """Return the part (168,), 0..7, of each window: six hours of weekdays, or of the weekend."""
    hour = np.arange(N_WINDOWS)
    weekend = hour // HOURS_PER_DAY >= SATURDAY
    n_parts = HOURS_PER_DAY // HOURS_A_PART
    part: IntArray = hour % HOURS_PER_DAY // HOURS_A_PART + n_parts * weekend
    return part


def by_part_of_week(
    counts: FloatArray | csr_array, probability: FloatArray | HourTable, band: Band | None = None
) -> PartCounts:
    """Sum up counts (168, N) of a period and their forecast, probabilities (168, N)."""
    n_incidents = np.asarray(counts.sum(axis=1), np.float64)
    total = np.empty((N_PARTS, counts.shape[1]))
    variance = np.zeros_like(total)
    for part in blocks(counts.shape[1]):
        own = block_of(probability, part)
        total[:, part] = expected_by_part(n_incidents, own)
        if band is not None:
            variance[:, part] = band.variance_by_part(n_incidents, own, total[:, part], part)
    return PartCounts(observed_by_part(counts), total, variance)


def observed_by_part(counts: FloatArray | csr_array) -> FloatArray:
    """Sum up counts (168, N) by part of the week (8, N)."""
    return np.asarray(_members() @ counts, np.float64)


def expected_by_part(n_incidents: FloatArray, probability: NDArray[Any]) -> FloatArray:
    """Share out incidents (168,) of each window by probabilities (168, N); sums by part (8, N)."""
    expected: FloatArray = (_members() * n_incidents) @ probability
    return expected


def _members() -> FloatArray:
    """Return which windows (8, 168) belong to each part of the week."""
    part = parts_of_week()
    member = part[None, :] == np.arange(part.max() + 1)[:, None]
    return np.asarray(member, np.float64)
