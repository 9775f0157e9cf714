"""A negative-binomial model of the number of incidents in each hour.

mean(slot) = level(date) x profile(hour of week) x season(day of year) x holiday factor

The profile shrinks each of the 168 windows towards its hour of day on that kind of day. The season
(two annual harmonics) is fitted from a year and a half of data on. The level is an exponentially
weighted mean of the recent weeks, corrected for the season, and returns slowly to the last year's
level at long horizons. Half-lives and dispersion are chosen by forecasting past 28-day periods, so
that the dispersion includes the error of the level.

The error of a slot's rate has three parts, which sums over slots must separate: its own (`slot`),
that of its whole day (`day`), and that of everything after the cutoff (`level`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from models.counts.fit import (
    SHRINK_INCIDENTS,
    SLOW_HALF_LIFE_WEEKS,
    HalfLives,
    Rates,
    Slots,
    clipped,
    delivered_hours,
    dispersion_of,
    fit_rates,
    following,
    season_terms,
    spans,
    usable_history,
)
from models.counts.lead import FOLD_LEAD_WEEKS, MAX_LEAD_WEEKS, level_growth
from models.counts.negative_binomial import (
    LEVEL,
    cumulative,
    nearest_interval,
    nominal_level,
)
from models.counts.past_forecasts import MIN_FOLD_WEEKS, past_forecasts
from models.units import DAY_S, HOUR_S, HOURS_PER_DAY, N_WINDOWS, WEEK_S, FloatArray, IntArray

CLIP_ROUNDS = 2
RETURN_HALF_LIFE_WEEKS = 26.0
DAY_PARTS = 8
MAX_CORRECTION = 0.02


@dataclass(frozen=True)
class CountModel:
    """Fitted parameters of the count model; `state` gives them as JSON.

    `profile` (168,) has mean one; `season` holds cos/sin coefficients of the log rate; `level` and
    `slow_level` are incidents per hour at the cutoff and over the last year, season removed.
    `dispersion` is that of a single slot, the sum of `by_slot`, `by_day` and `by_level`.
    `nominal_level` is the level to request from the discrete distribution so that its intervals are
    expected to hold 90 % of the slots of the 28 days after the cutoff.
    """

    profile: tuple[float, ...]
    season: tuple[float, ...]
    level: float
    slow_level: float
    holiday_factor: float
    cutoff_s: int = 0
    by_slot: float = 0.0
    by_day: float = 0.0
    by_level: float = 0.0
    nominal_level: float = LEVEL
    level_half_life_weeks: float = 8.0
    profile_half_life_weeks: float = 52.0
    n_folds: int = 0
    past_coverage: float | None = None
    """Share of past slots inside their forecast intervals."""
    category_shares: tuple[tuple[float, ...], ...] = ()
    """(C, 8): each category's share of all incidents by three-hour part of the day."""
    undelivered_s: tuple[tuple[int, int], ...] = ()
    """Spans [start, end) of the history that seem to be missing from the feed, left out of the fit."""
    level_hours: float = 0.0
    """Weighted hours that `level` is the mean of; 0: unknown, as in versions older than 0.2."""
    slow_level_hours: float = 0.0
    by_level_per_week: float = 0.0
    """Growth of `by_level` per week of lead; see `at_lead`."""

    @property
    def dispersion(self) -> float:
        """Dispersion of one slot: variance = mean + dispersion x mean^2."""
        return self.by_slot + self.by_day + self.by_level

    @classmethod
    def fit(cls, slots: Slots, count: IntArray) -> Self:
        """Fit to a history of hourly counts (n,): consecutive slots, oldest first."""
        used = usable_history(slots, count) if len(slots) else slice(0, 0)
        slots, count = slots.take(used), count[used]
        if len(slots) == 0 or count.sum() == 0:
            return cls._of(fit_rates(slots, count.astype(np.float64), HalfLives()), slots)
        delivered = delivered_hours(slots, count)
        missing_s = spans(slots.time_s[~delivered])
        slots, count = slots.take(delivered), count[delivered]
        cleaned = count.astype(np.float64)
        for _ in range(CLIP_ROUNDS):
            first = cls._of(fit_rates(slots, cleaned, HalfLives()), slots)
            cleaned = clipped(count, first.mean(slots))
        folds = past_forecasts(slots, count, cleaned, _forecast)
        if folds is None:
            model = cls._of(fit_rates(slots, cleaned, HalfLives()), slots)
            model = replace(model, by_level=dispersion_of(count, model.mean(slots)))
        else:
            by_slot, by_day, by_level = folds.dispersions()
            model = replace(
                cls._of(fit_rates(slots, cleaned, folds.half), slots),
                by_slot=by_slot,
                by_day=by_day,
                by_level=by_level,
                level_half_life_weeks=folds.half.level_weeks,
                profile_half_life_weeks=folds.half.profile_weeks,
                n_folds=len(folds.observed),
                by_level_per_week=_growth(slots, count, cleaned, folds.half, by_level),
            )
            model = replace(model, past_coverage=folds.coverage(model.dispersion))
        mean = model.mean(following(slots))
        target = _target(model.past_coverage)
        level = nominal_level(mean, model.dispersion, target)
        return replace(model, nominal_level=level, undelivered_s=missing_s)

    @classmethod
    def _of(cls, rates: Rates, slots: Slots) -> Self:
        return cls(
            tuple(rates.profile.tolist()),
            tuple(rates.season.tolist()),
            rates.level,
            rates.slow_level,
            rates.holiday_factor,
            cutoff_s=int(slots.time_s[-1]) + HOUR_S if len(slots) else 0,
            level_hours=rates.level_hours,
            slow_level_hours=rates.slow_level_hours,
        )

    def mean(self, slots: Slots) -> FloatArray:
        """Return the expected number of incidents in each slot (n,)."""
        seasonal = np.exp(season_terms(slots.time_s, len(self.season)) @ np.array(self.season))
        profile = np.array(self.profile)[slots.window.astype(np.int64)]
        holiday = np.where(slots.holiday, self.holiday_factor, 1.0)
        result: FloatArray = self.levels(slots.time_s) * profile * seasonal * holiday
        return result

    def levels(self, time_s: IntArray) -> FloatArray:
        """Return the level at each instant: half-way back to the last year's after 26 weeks."""
        if self.level <= 0 or self.slow_level <= 0:
            return np.full(len(time_s), self.level)
        ahead_weeks = np.maximum(np.asarray(time_s) - self.cutoff_s, 0) / WEEK_S
        remaining = 0.5 ** (ahead_weeks / RETURN_HALF_LIFE_WEEKS)
        result: FloatArray = self.slow_level * (self.level / self.slow_level) ** remaining
        return result

    def at_lead(self, time_s: int) -> Self:
        """Return the model as of an instant so far ahead of its data: the level is less certain there.

        `by_level` is that of the folds, the 28 days after the end of their data; it is less before the
        middle of these and more after.
        """
        weeks = float(np.clip((time_s - self.cutoff_s) / WEEK_S, 0.0, MAX_LEAD_WEEKS))
        further = self.by_level_per_week * (weeks - FOLD_LEAD_WEEKS)
        return replace(self, by_level=max(self.by_level + further, 0.0))

    def interval(self, mean: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return inclusive 90 % bounds of the count of a slot, or of a share of it (a cell).

        For cells, [0, 0] or [0, 1] usually covers far more than 90 %.

        Args:
            mean: expected incidents within a single slot, of any shape.
        """
        return nearest_interval(mean, self.dispersion, self.nominal_level)

    def interval_of_sum(self, mean: FloatArray, time_s: IntArray) -> tuple[float, float]:
        """Return inclusive 90 % bounds of the total of several slots (n,)."""
        low, high = nearest_interval(mean.sum(), self.sum_dispersion(mean, time_s), LEVEL)
        return float(low), float(high)

    def sum_dispersion(self, mean: FloatArray, time_s: IntArray) -> float:
        """Return the dispersion of a total: errors of slots and days average out, the level's does not."""
        total = float(mean.sum())
        if total <= 0:
            return 0.0
        _, day = np.unique(np.asarray(time_s) // DAY_S, return_inverse=True)
        by_day = np.bincount(day, weights=mean)
        variance = self.by_slot * (mean**2).sum() + self.by_day * (by_day**2).sum()
        return float(variance / total**2 + self.by_level)

    def cumulative(self, count: IntArray, mean: FloatArray) -> FloatArray:
        """Return the probability that the count of a slot is at most `count` (n,)."""
        return cumulative(count, mean, self.dispersion)

    def category_share(self, category: int, window: int) -> float:
        """Return the share of a category in the incidents of a window."""
        if not 0 <= category < len(self.category_shares):
            return 1.0
        return self.category_shares[category][window % HOURS_PER_DAY * DAY_PARTS // HOURS_PER_DAY]

    def with_categories(
        self,
        window: NDArray[Any],
        category: NDArray[Any],
        n: int,
        time_s: IntArray | None = None,
    ) -> Self:
        """Return a copy with the shares of n categories among past incidents.

        With `time_s`, incidents are weighted with a half-life of a year. Each part of the day is
        shrunk towards the whole day by 25 incidents.
        """
        part = window.astype(np.int64) % HOURS_PER_DAY * DAY_PARTS // HOURS_PER_DAY
        weight = np.ones(len(part))
        if time_s is not None and len(time_s):
            age_weeks = (time_s.max() - time_s) / WEEK_S
            weight = 0.5 ** (age_weeks / SLOW_HALF_LIFE_WEEKS)
        table = np.zeros((n, DAY_PARTS))
        np.add.at(table, (category.astype(np.int64), part), weight)
        overall = (table.sum(axis=1) + 0.5) / (table.sum() + 0.5 * n)
        smoothed = table + SHRINK_INCIDENTS * overall[:, None]
        shares = smoothed / smoothed.sum(axis=0)
        return replace(self, category_shares=tuple(map(tuple, shares.tolist())))

    def state(self) -> dict[str, Any]:
        """Return the parameters as JSON-ready values."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Create a model from `state`; sequences may be lists or tuples."""
        tables = {
            name: tuple(map(tuple, state.get(name, ())))
            for name in ("category_shares", "undelivered_s")
        }
        vectors = {name: tuple(state[name]) for name in ("profile", "season")}
        return cls(**{**state, **vectors, **tables})


def _forecast(history: Slots, cleaned: FloatArray, half: HalfLives, later: Slots) -> FloatArray:
    """Return the means of later slots (n,), fitted to a history alone."""
    return CountModel._of(fit_rates(history, cleaned, half), history).mean(later)


def _growth(
    slots: Slots, count: IntArray, cleaned: FloatArray, half: HalfLives, by_level: float
) -> float:
    def forecast(start: int, later: Slots) -> FloatArray:
        return _forecast(slots.take(slice(0, start)), cleaned[:start], half, later)

    return level_growth(slots, count, by_level, MIN_FOLD_WEEKS * N_WINDOWS, forecast)


def _target(past_coverage: float | None) -> float:
    """Return the expected coverage to aim at, corrected by the coverage of past intervals."""
    if past_coverage is None:
        return LEVEL
    return LEVEL - float(np.clip(past_coverage - LEVEL, -MAX_CORRECTION, MAX_CORRECTION))
