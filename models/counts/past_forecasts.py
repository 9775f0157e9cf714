"""Forecasts of past 28-day periods: they choose the half-lives, and show how far forecasts are off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from models.base import HORIZON_DAYS
from models.counts.fit import HalfLives, Slots, dispersion_of, moment_dispersion
from models.counts.negative_binomial import LEVEL, log_mass, nearest_interval, nominal_level
from models.units import HOURS_PER_DAY, N_WINDOWS, FloatArray, IntArray

N_FOLDS = 8
MIN_FOLD_WEEKS = 12
LEVEL_HALF_LIVES_WEEKS = (2.0, 4.0, 8.0, 16.0)
PROFILE_HALF_LIVES_WEEKS = (26.0, 52.0, 104.0)
TYPICAL_DISPERSION = 0.05
PERIOD_HOURS = HORIZON_DAYS * HOURS_PER_DAY
Forecast = Callable[[Slots, FloatArray, HalfLives, Slots], FloatArray]
"""Called with a history, its counts, half-lives and later slots (n,); returns the means of these (n,)."""


@dataclass(frozen=True)
class PastForecasts:
    """Counts of past 28-day periods, latest first, and their forecasts from earlier data.

    Args:
        half: the half-lives of these forecasts.
        observed, means: (672,) of each period.
    """

    half: HalfLives
    observed: list[IntArray]
    means: list[FloatArray]

    def score(self) -> float:
        """Return the mean log probability of the counts at a typical dispersion."""
        count, mean = np.concatenate(self.observed), np.concatenate(self.means)
        return float(log_mass(count, mean, TYPICAL_DISPERSION).mean())

    def dispersions(self) -> tuple[float, float, float]:
        """Split the dispersion of a slot into slot, day and level, by the variance of sums."""
        count, mean = np.concatenate(self.observed), np.concatenate(self.means)
        total = dispersion_of(count, mean)
        day_count, day_mean = (
            count.reshape(-1, HOURS_PER_DAY).sum(1),
            mean.reshape(-1, HOURS_PER_DAY).sum(1),
        )
        week_count = count.reshape(-1, N_WINDOWS).sum(1)
        week_mean = mean.reshape(-1, N_WINDOWS).sum(1)
        by_level = min(moment_dispersion(week_count, week_mean), total)
        by_day = min(max(moment_dispersion(day_count, day_mean) - by_level, 0.0), total - by_level)
        return total - by_level - by_day, by_day, by_level

    def coverage(self, dispersion: float) -> float:
        """Return the share of past counts inside the intervals for their forecast means."""
        inside = []
        for count, mean in zip(self.observed, self.means, strict=True):
            level = nominal_level(mean, dispersion, LEVEL)
            low, high = nearest_interval(mean, dispersion, level)
            inside.append(float(((count >= low) & (count <= high)).mean()))
        return float(np.mean(inside))


def past_forecasts(
    slots: Slots, count: IntArray, cleaned: FloatArray, forecast: Forecast
) -> PastForecasts | None:
    """Forecast the last periods with the half-lives that forecast them best; None if the history is short.

    Args:
        count, cleaned: (n,) as observed, and as the forecasts are fitted to.
    """
    starts = fold_starts(slots, N_FOLDS, MIN_FOLD_WEEKS)
    if not starts:
        return None
    periods = [slice(start, start + PERIOD_HOURS) for start in starts]
    observed = [count[period] for period in periods]

    def forecasts(half: HalfLives) -> PastForecasts:
        means = [
            forecast(slots.take(slice(0, p.start)), cleaned[: p.start], half, slots.take(p))
            for p in periods
        ]
        return PastForecasts(half, observed, means)

    usual = HalfLives()
    by_level = [forecasts(replace(usual, level_weeks=w)) for w in LEVEL_HALF_LIVES_WEEKS]
    best = max(by_level, key=PastForecasts.score)
    others = [w for w in PROFILE_HALF_LIVES_WEEKS if w != usual.profile_weeks]
    by_profile = [forecasts(replace(best.half, profile_weeks=w)) for w in others]
    return max([best, *by_profile], key=PastForecasts.score)


def fold_starts(slots: Slots, n_folds: int, min_weeks: int) -> list[int]:
    """Return first rows of the last 28-day periods, latest first, with enough history before."""
    starts = [len(slots) - (i + 1) * PERIOD_HOURS for i in range(n_folds)]
    return [s for s in starts if s >= min_weeks * N_WINDOWS]
