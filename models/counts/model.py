"""How many incidents to expect in any hour: a negative-binomial model of slot counts.

mean(slot) = level(date) x profile(hour of week) x season(day of year) x holiday factor

The profile shrinks each of the 168 windows towards its hour of day on that kind of day; the season
(two annual harmonics) is fitted when a year and a half of data tells it from the trend; the level
is an exponentially weighted mean of the recent weeks, corrected for the season, and returns slowly
to the last year's at long horizons. How fast the past fades is chosen by forecasting past 28-day
periods, and so is the dispersion: it holds the error of the level too.

A slot's rate errs for three reasons, and sums over slots must tell them apart: by itself (`slot`),
with its whole day (`day`), and with everything after the cutoff (`level`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from models.base import DAY_S, HORIZON_DAYS, N_WINDOWS, FloatArray, IntArray
from models.counts.fit import (
    HOUR_S,
    SHRINK_INCIDENTS,
    SLOW_HALF_LIFE_WEEKS,
    WEEK_S,
    HalfLives,
    Rates,
    Slots,
    clipped,
    delivered,
    dispersion_of,
    fit_rates,
    fold_starts,
    following,
    moment_dispersion,
    season_terms,
    spans,
    usable_history,
)
from models.counts.negative_binomial import (
    cumulative,
    log_mass,
    nearest_interval,
    nominal_level,
)

__all__ = ["CountModel", "Slots"]

LEVEL = 0.9
CLIP_ROUNDS = 2
N_FOLDS = 8
MIN_FOLD_WEEKS = 12
RETURN_HALF_LIFE_WEEKS = 26.0
LEVEL_HALF_LIVES_WEEKS = (2.0, 4.0, 8.0, 16.0)
PROFILE_HALF_LIVES_WEEKS = (26.0, 52.0, 104.0)
DAY_PARTS = 8
MAX_CORRECTION = 0.02
USUAL_DISPERSION = 0.05


@dataclass(frozen=True)
class CountModel:
    """Fitted parameters; JSON-ready by `state`.

    `profile` (168,) has mean one; `season` holds cos/sin coefficients of the log rate; `level` and
    `slow_level` are incidents per hour at the cutoff and over the last year, season removed.
    `dispersion` is a single slot's, the sum of its parts `by_slot`, `by_day`, `by_level`.
    `nominal_level` is the level to ask of the discrete distribution so that 90 % of the slots of
    the 28 days after the cutoff are expected inside.
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
    """Share of past slots inside the intervals forecast for them."""
    category_shares: tuple[tuple[float, ...], ...] = ()
    """(C, 8): each category's share of all incidents by three-hour part of the day."""
    undelivered_s: tuple[tuple[int, int], ...] = ()
    """Spans [start, end) of the history that the feed seems not to have delivered, left out of the fit."""

    @property
    def dispersion(self) -> float:
        """Of one slot: variance = mean + dispersion x mean^2."""
        return self.by_slot + self.by_day + self.by_level

    @classmethod
    def fit(cls, slots: Slots, count: IntArray) -> Self:
        """Fit to a history of hourly counts (n,): consecutive slots, oldest first."""
        used = usable_history(slots, count) if len(slots) else slice(0, 0)
        slots, count = slots.take(used), count[used]
        if len(slots) == 0 or count.sum() == 0:
            return cls._of(fit_rates(slots, count.astype(np.float64), HalfLives()), slots)
        came = delivered(slots, count)
        missed_s = spans(slots.time_s[~came])
        slots, count = slots.take(came), count[came]
        cleaned = count.astype(np.float64)
        for _ in range(CLIP_ROUNDS):
            first = cls._of(fit_rates(slots, cleaned, HalfLives()), slots)
            cleaned = clipped(count, first.mean(slots))
        folds = _past_forecasts(slots, count, cleaned)
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
            )
            model = replace(model, past_coverage=folds.coverage(model.dispersion))
        mean = model.mean(following(slots))
        target = _target(model.past_coverage)
        level = nominal_level(mean, model.dispersion, target)
        return replace(model, nominal_level=level, undelivered_s=missed_s)

    @classmethod
    def _of(cls, rates: Rates, slots: Slots) -> Self:
        return cls(
            tuple(rates.profile.tolist()),
            tuple(rates.season.tolist()),
            rates.level,
            rates.slow_level,
            rates.holiday_factor,
            cutoff_s=int(slots.time_s[-1]) + HOUR_S if len(slots) else 0,
        )

    def mean(self, slots: Slots) -> FloatArray:
        """(n,) expected incidents of each slot."""
        seasonal = np.exp(season_terms(slots.time_s, len(self.season)) @ np.array(self.season))
        profile = np.array(self.profile)[slots.window.astype(np.int64)]
        holiday = np.where(slots.holiday, self.holiday_factor, 1.0)
        result: FloatArray = self._level_at(slots.time_s) * profile * seasonal * holiday
        return result

    def _level_at(self, time_s: IntArray) -> FloatArray:
        """The recent level, half-way back to the last year's after 26 weeks."""
        if self.level <= 0 or self.slow_level <= 0:
            return np.full(len(time_s), self.level)
        ahead_weeks = np.maximum(np.asarray(time_s) - self.cutoff_s, 0) / WEEK_S
        kept = 0.5 ** (ahead_weeks / RETURN_HALF_LIFE_WEEKS)
        result: FloatArray = self.slow_level * (self.level / self.slow_level) ** kept
        return result

    def interval(self, mean: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Inclusive bounds that hold the count of a slot, or of a share of it (a cell), 90 %.

        Cells expect so little that [0, 0] or [0, 1] usually holds far more than 90 %.

        Args:
            mean: any shape, expected incidents within a single slot.
        """
        return nearest_interval(mean, self.dispersion, self.nominal_level)

    def interval_of_sum(self, mean: FloatArray, time_s: IntArray) -> tuple[float, float]:
        """Inclusive bounds that hold the total of several slots (n,) with 90 % probability."""
        low, high = nearest_interval(mean.sum(), self.sum_dispersion(mean, time_s), LEVEL)
        return float(low), float(high)

    def sum_dispersion(self, mean: FloatArray, time_s: IntArray) -> float:
        """Dispersion of a total: slots' and days' errors average out, the level's does not."""
        total = float(mean.sum())
        if total <= 0:
            return 0.0
        _, day = np.unique(np.asarray(time_s) // DAY_S, return_inverse=True)
        by_day = np.bincount(day, weights=mean)
        variance = self.by_slot * (mean**2).sum() + self.by_day * (by_day**2).sum()
        return float(variance / total**2 + self.by_level)

    def cumulative(self, count: IntArray, mean: FloatArray) -> FloatArray:
        """P(a slot's count <= count), (n,)."""
        return cumulative(count, mean, self.dispersion)

    def category_share(self, category: int, window: int) -> float:
        """Share of a category in the incidents of a window."""
        if not 0 <= category < len(self.category_shares):
            return 1.0
        return self.category_shares[category][window % 24 * DAY_PARTS // 24]

    def with_categories(
        self,
        window: NDArray[Any],
        category: NDArray[Any],
        n: int,
        time_s: IntArray | None = None,
    ) -> Self:
        """The same model knowing the shares of n categories, from past incidents' columns.

        With `time_s` old incidents fade with a half-life of a year. Each part of the day is shrunk
        by 25 incidents towards the whole day.
        """
        part = window.astype(np.int64) % 24 * DAY_PARTS // 24
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
        """JSON-ready parameters."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """The inverse of `state`, lists or tuples alike."""
        tables = {
            name: tuple(map(tuple, state.get(name, ())))
            for name in ("category_shares", "undelivered_s")
        }
        vectors = {name: tuple(state[name]) for name in ("profile", "season")}
        return cls(**{**state, **vectors, **tables})


@dataclass(frozen=True)
class _Folds:
    """Counts of past 28-day periods (latest first) and their forecasts from what came before."""

    half: HalfLives
    observed: list[IntArray]
    means: list[FloatArray]

    def score(self) -> float:
        """Mean log probability of the counts at a usual dispersion."""
        count, mean = np.concatenate(self.observed), np.concatenate(self.means)
        return float(log_mass(count, mean, USUAL_DISPERSION).mean())

    def dispersions(self) -> tuple[float, float, float]:
        """A slot's dispersion in its parts by slot, day and level, by how sums vary."""
        count, mean = np.concatenate(self.observed), np.concatenate(self.means)
        total = dispersion_of(count, mean)
        day_count, day_mean = count.reshape(-1, 24).sum(1), mean.reshape(-1, 24).sum(1)
        week_count = count.reshape(-1, N_WINDOWS).sum(1)
        week_mean = mean.reshape(-1, N_WINDOWS).sum(1)
        by_level = min(moment_dispersion(week_count, week_mean), total)
        by_day = min(max(moment_dispersion(day_count, day_mean) - by_level, 0.0), total - by_level)
        return total - by_level - by_day, by_day, by_level

    def coverage(self, dispersion: float) -> float:
        """Share of the past counts inside the intervals that their means would have been given."""
        inside = []
        for count, mean in zip(self.observed, self.means, strict=True):
            level = nominal_level(mean, dispersion, LEVEL)
            low, high = nearest_interval(mean, dispersion, level)
            inside.append(float(((count >= low) & (count <= high)).mean()))
        return float(np.mean(inside))


def _past_forecasts(slots: Slots, count: IntArray, cleaned: FloatArray) -> _Folds | None:
    """Forecasts of the last periods with the half-lives that forecast them best."""
    starts = fold_starts(slots, N_FOLDS, MIN_FOLD_WEEKS)
    if not starts:
        return None
    observed = [count[s : s + HORIZON_DAYS * 24] for s in starts]

    def forecast(half: HalfLives) -> _Folds:
        means = []
        for start in starts:
            past, future = slots.take(slice(0, start)), slice(start, start + HORIZON_DAYS * 24)
            model = CountModel._of(fit_rates(past, cleaned[:start], half), past)
            means.append(model.mean(slots.take(future)))
        return _Folds(half, observed, means)

    usual = HalfLives()
    by_level = [forecast(replace(usual, level_weeks=w)) for w in LEVEL_HALF_LIVES_WEEKS]
    best = max(by_level, key=_Folds.score)
    others = [w for w in PROFILE_HALF_LIVES_WEEKS if w != usual.profile_weeks]
    by_profile = [forecast(replace(best.half, profile_weeks=w)) for w in others]
    return max([best, *by_profile], key=_Folds.score)


def _target(past_coverage: float | None) -> float:
    """The expected coverage to aim at, so that what past intervals missed is made good."""
    if past_coverage is None:
        return LEVEL
    return LEVEL - float(np.clip(past_coverage - LEVEL, -MAX_CORRECTION, MAX_CORRECTION))
