"""Drift tests of new incidents against a forecast: volume, place and calibration.

Each is tested at `LEVEL` on the days of `look_days` after the cutoff. A version that is replaced every
week is tested twice for each kind, which gives about 2 x 3 x 52 x LEVEL = 0.3 false alarms per year and
region.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from models.base import DensityModel
from models.counts.fit import Slots
from models.counts.model import CountModel
from models.counts.negative_binomial import cumulative
from models.units import DAY_S, FloatArray, IntArray

LEVEL = 0.001
FIRST_LOOKS = (3, 7, 14, 21, 28)
PERIOD_DAYS = 28
MIN_DAYS = 3
N_SIMULATED = 9_999
_CHUNK = 500


def look_days(elapsed_days: int) -> list[int]:
    """Return the days after the cutoff, up to `elapsed_days`, at which tests are due.

    >>> look_days(20), look_days(90)
    ([3, 7, 14], [3, 7, 14, 21, 28, 56, 84])
    """
    later = range(2 * PERIOD_DAYS, elapsed_days + 1, PERIOD_DAYS)
    return [day for day in FIRST_LOOKS if day <= elapsed_days] + list(later)


@dataclass(frozen=True)
class DaySums:
    """Sums by day of residuals (log density minus its expectation under the forecast).

    Args:
        n: (D,) number of incidents by day.
        total: (D,) sum of their residuals by day, nats.
    """

    n: FloatArray
    total: FloatArray

    @property
    def mean(self) -> float:
        """Mean residual, nats per incident."""
        return float(self.total.sum() / self.n.sum())

    def squares(self) -> float:
        """Return the sum over days of the squared deviation of a day's sum from its expectation."""
        return float(((self.total - self.n * self.mean) ** 2).sum())


def expected_log_density(model: DensityModel) -> FloatArray:
    """Return the mean log density per km2 of places drawn from the forecast, per window (W,)."""
    log_area = np.log(model.area_km2_)
    means = [row @ (np.log(np.maximum(row, 1e-300)) - log_area) for row in model.probability_]
    return np.array(means)


def volume_p_value(counts: CountModel, slots: Slots, count: int) -> float:
    """Return the two-sided mid-p value of a count in these slots under the count model."""
    mean = counts.mean(slots)
    dispersion = counts.sum_dispersion(mean, slots.time_s)
    upto, below = cumulative(np.array([count, count - 1]), mean.sum(), dispersion)
    middle = float(upto + below) / 2
    return float(min(1.0, 2 * min(middle, 1 - middle)))


def place_p_value(live: DaySums, reference: DaySums) -> float:
    """Return the one-sided p value that residuals have not fallen since validation (Student's t).

    Both are held-out days of equal horizons, so that general errors of the model cancel out. Days are
    blocks, because incidents of one day are dependent.
    """
    live_days, reference_days = len(live.n), len(reference.n)
    if live_days < MIN_DAYS or reference_days < MIN_DAYS:
        return 1.0
    degrees = live_days + reference_days - 2
    n_live, n_reference = live.n.sum(), reference.n.sum()
    by_incident = (live.squares() + reference.squares()) / (n_live + n_reference)
    by_incident *= (live_days + reference_days) / degrees
    error = np.sqrt(by_incident * (1 / n_live + 1 / n_reference))
    if error == 0:
        return 1.0
    return float(stdtr(degrees, (live.mean - reference.mean) / error))


def falls_behind(difference: DaySums) -> float:
    """Return the one-sided p value that a version is not worse than another, by paired days."""
    days, n = len(difference.n), difference.n.sum()
    if days < MIN_DAYS or n == 0:
        return 1.0
    error = np.sqrt(difference.squares() * days / (days - 1)) / n
    if error == 0:
        return 1.0 if difference.mean >= 0 else 0.0
    return float(stdtr(days - 1, difference.mean / error))


def interval_of(difference: DaySums, level: float = 0.95) -> tuple[float, float]:
    """Return the interval of the mean paired difference, nats per incident, by days."""
    days, n = len(difference.n), difference.n.sum()
    if days < 2 or n == 0:
        return float("-inf"), float("inf")
    error = np.sqrt(difference.squares() * days / (days - 1)) / n
    reach = float(stdtrit(days - 1, 0.5 + level / 2)) * error
    return difference.mean - reach, difference.mean + reach


def misses(counts: CountModel, mean: FloatArray, count: IntArray) -> int:
    """Count the slots whose count lies outside their 90 % interval."""
    low, high = counts.interval(mean)
    return int(((count < low) | (count > high)).sum())


def calibration_p_value(
    counts: CountModel, slots: Slots, count: IntArray, seed: int = 0
) -> tuple[float, float]:
    """Return the two-sided Monte Carlo p value of the number of misses, and their expectation.

    Periods are drawn from the count model with its errors by slot, day and level, because misses within
    a day, and by the level, are dependent.
    """
    mean = counts.mean(slots)
    low, high = counts.interval(mean)
    observed = misses(counts, mean, count)
    _, day = np.unique(slots.time_s // DAY_S, return_inverse=True)
    rng = np.random.default_rng(seed)
    drawn: list[IntArray] = []
    for start in range(0, N_SIMULATED, _CHUNK):
        size = min(_CHUNK, N_SIMULATED - start)
        rate = mean * _factor(rng, counts.by_level, (size, 1))
        rate = rate * _factor(rng, counts.by_day, (size, int(day.max()) + 1))[:, day]
        rate = rate * _factor(rng, counts.by_slot, (size, len(mean)))
        drawn_counts = rng.poisson(rate)
        drawn.append(((drawn_counts < low) | (drawn_counts > high)).sum(axis=1))
    simulated = np.concatenate(drawn)
    more = (1 + (simulated >= observed).sum()) / (N_SIMULATED + 1)
    fewer = (1 + (simulated <= observed).sum()) / (N_SIMULATED + 1)
    return float(min(1.0, 2 * min(more, fewer))), float(simulated.mean())


def _factor(rng: np.random.Generator, variance: float, shape: tuple[int, int]) -> FloatArray:
    """Draw gamma factors of mean one."""
    if variance <= 0:
        return np.ones(shape)
    return rng.gamma(1 / variance, variance, shape)


def day_sums(day: IntArray, residual: FloatArray) -> DaySums:
    """Sum residuals (n,) by day number (n,)."""
    _, place = np.unique(day, return_inverse=True)
    total = np.bincount(place, weights=residual).astype(np.float64)
    return DaySums(np.bincount(place).astype(np.float64), total)


def as_day_sums(n: Sequence[float], total: Sequence[float]) -> DaySums:
    """Create sums from stored values."""
    return DaySums(np.array(n, np.float64), np.array(total, np.float64))
