"""How many incidents to expect in any hour: a negative-binomial model of slot counts.

mean(slot) = level(date) x profile(hour of week) x season(day of year) x holiday factor

The profile shrinks each of the 168 windows towards its hour of day on that kind of day; the season
(two annual harmonics) is fitted when a year and a half of data tells it from the trend; the level is
an exponentially weighted mean of the recent weeks, corrected for the season. Given its mean, a count
is negative-binomial with variance mean + dispersion x mean^2 (a gamma-mixed Poisson). The dispersion
comes from forecasts of past 28-day periods, so that it holds the error of the level too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from models.base import DAY_S, HORIZON_DAYS, N_WINDOWS, FloatArray, IntArray

WEEK_S = 7 * DAY_S
YEAR_S = 365.2425 * DAY_S
LEVEL_HALF_LIFE_WEEKS = 8.0
PROFILE_HALF_LIFE_WEEKS = 52.0
SHRINK_INCIDENTS = 25.0
SEASON_MIN_WEEKS = 78
SEASON_RIDGE = 20.0
N_FOLDS = 6
MIN_FOLD_WEEKS = 12
MAX_DISPERSION = 2.0
LEVEL = 0.9
_MAX_COUNT_STEPS = 4_000


@dataclass(frozen=True)
class Slots:
    """Hourly slots of a region's history or future; arrays of equal length n.

    Args:
        time_s: (n,) UTC start, seconds since 1970.
        window: (n,) 0..167.
        holiday: (n,) whether the local day is a public holiday.
    """

    time_s: IntArray
    window: NDArray[Any]
    holiday: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.time_s)

    def take(self, rows: NDArray[Any] | slice) -> Slots:
        """The slots at these rows."""
        return Slots(self.time_s[rows], self.window[rows], self.holiday[rows])


@dataclass(frozen=True)
class CountModel:
    """Fitted parameters; JSON-ready by `state`.

    `profile` (168,) sums to 168 over the week; `season` holds cos/sin coefficients of the log rate;
    `level` is incidents per hour at the cutoff, season removed; `nominal_level` is the coverage to
    ask of the model's own quantiles so that 90 % of past slots were covered.
    """

    profile: tuple[float, ...]
    season: tuple[float, ...]
    level: float
    holiday_factor: float
    dispersion: float
    nominal_level: float = LEVEL
    n_folds: int = 0
    category_shares: tuple[tuple[float, ...], ...] = ()
    """(C, 8): each category's share of all incidents by three-hour part of the day."""

    @classmethod
    def fit(cls, slots: Slots, count: IntArray) -> Self:
        """Fit to a history of hourly counts (n,), oldest first."""
        model = cls._fit_mean(slots, count)
        residuals = _past_forecasts(cls, slots, count)
        if residuals is None:
            return replace(model, dispersion=_dispersion(count, model.mean(slots)))
        observed, mean, n_folds = residuals
        fitted = replace(model, dispersion=_dispersion(observed, mean), n_folds=n_folds)
        return replace(fitted, nominal_level=_calibrated_level(fitted, observed, mean))

    @classmethod
    def _fit_mean(cls, slots: Slots, count: IntArray) -> Self:
        if len(slots) == 0 or count.sum() == 0:
            return cls((1.0,) * N_WINDOWS, (), 0.0, 1.0, 0.0)
        age_weeks = (slots.time_s[-1] - slots.time_s) / WEEK_S
        season = _fit_season(slots, count)
        seasonal = np.exp(_season_terms(slots.time_s, len(season)) @ np.array(season))
        profile = _fit_profile(slots, count / seasonal, age_weeks)
        factor = _fit_holiday(slots, count, profile[slots.window] * seasonal)
        shape = profile[slots.window] * seasonal * np.where(slots.holiday, factor, 1.0)
        weight = 0.5 ** (age_weeks / LEVEL_HALF_LIFE_WEEKS)
        level = float((weight * count).sum() / (weight * shape).sum())
        return cls(tuple(profile.tolist()), tuple(season), level, factor, 0.0)

    def mean(self, slots: Slots) -> FloatArray:
        """(n,) expected incidents of each slot."""
        seasonal = np.exp(_season_terms(slots.time_s, len(self.season)) @ np.array(self.season))
        profile = np.array(self.profile)[slots.window.astype(np.int64)]
        result: FloatArray = (
            self.level * profile * seasonal * np.where(slots.holiday, self.holiday_factor, 1.0)
        )
        return result

    def interval(self, mean: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Bounds (inclusive) that hold a count of that mean with 90 % probability.

        Of a whole slot, of a cell (its thinned share has the same dispersion), or of a sum of slots.
        """
        return count_interval(mean, self.dispersion, self.nominal_level)

    def category_share(self, category: int, window: int) -> float:
        """Share of a category in the incidents of a window."""
        if not 0 <= category < len(self.category_shares):
            return 1.0
        return self.category_shares[category][window % 24 // 3]

    def with_categories(self, window: NDArray[Any], category: NDArray[Any], n: int) -> Self:
        """The same model knowing the shares of n categories, from past incidents' columns."""
        part = window.astype(np.int64) % 24 // 3
        table = np.zeros((n, 8))
        np.add.at(table, (category.astype(np.int64), part), 1.0)
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
        shares = tuple(tuple(row) for row in state["category_shares"])
        return cls(
            **{
                **state,
                "profile": tuple(state["profile"]),
                "season": tuple(state["season"]),
                "category_shares": shares,
            }
        )


def _season_terms(time_s: IntArray, n_terms: int) -> FloatArray:
    """(n, n_terms) cos, sin of one and two cycles a year."""
    phase = 2 * np.pi * np.asarray(time_s) / YEAR_S
    terms = [f(k * phase) for k in range(1, n_terms // 2 + 1) for f in (np.cos, np.sin)]
    return np.stack(terms, axis=1) if terms else np.zeros((len(phase), 0))


def _fit_season(slots: Slots, count: IntArray) -> list[float]:
    """Harmonics of the weekly totals' logarithm, beside a smooth trend; ridge keeps them modest."""
    week = (slots.time_s - slots.time_s[0]) // WEEK_S
    n_weeks = int(week[-1])  # the last, partial week is left out
    if n_weeks < SEASON_MIN_WEEKS:
        return []
    totals = np.bincount(week, weights=count)[:n_weeks]
    middle_s = slots.time_s[0] + (np.arange(n_weeks) + 0.5) * WEEK_S
    harmonics = _season_terms(middle_s.astype(np.int64), 4)
    n_knots = max(2, n_weeks // 52 + 1)
    knots = np.linspace(0, n_weeks - 1, n_knots)
    trend = np.stack(
        [np.interp(np.arange(n_weeks), knots, np.eye(n_knots)[k]) for k in range(n_knots)], axis=1
    )
    design = np.concatenate([trend, harmonics], axis=1)
    weight = np.maximum(totals, 1.0)
    target = np.log(np.maximum(totals, 0.5))
    penalty = np.diag([1e-3] * n_knots + [SEASON_RIDGE] * 4)
    normal = design.T @ (weight[:, None] * design) + penalty
    solution = np.linalg.solve(normal, design.T @ (weight * target))
    return [float(v) for v in solution[n_knots:]]


def _fit_profile(slots: Slots, count: FloatArray, age_weeks: FloatArray) -> FloatArray:
    """(168,) rates relative to their mean, shrunk towards hour of day by kind of day."""
    weight = 0.5 ** (age_weeks / PROFILE_HALF_LIFE_WEEKS)
    seen = np.bincount(slots.window, weights=weight * count, minlength=N_WINDOWS)
    exposure = np.bincount(slots.window, weights=weight, minlength=N_WINDOWS)
    kind = np.array([0, 0, 0, 0, 1, 2, 3])[np.arange(N_WINDOWS) // 24] * 24
    group = kind + np.arange(N_WINDOWS) % 24
    overall = seen.sum() / exposure.sum()
    group_seen = np.bincount(group, weights=seen, minlength=96)
    group_exposure = np.bincount(group, weights=exposure, minlength=96)
    prior_hours = SHRINK_INCIDENTS / max(overall, 1e-12)
    group_rate = (group_seen + prior_hours * overall * 0.1) / (group_exposure + prior_hours * 0.1)
    rate = (seen + prior_hours * group_rate[group]) / (exposure + prior_hours)
    result: FloatArray = rate / rate.mean()
    return result


def _fit_holiday(slots: Slots, count: IntArray, shape: FloatArray) -> float:
    """How public holidays differ, shrunk towards not at all."""
    if not slots.holiday.any():
        return 1.0
    base = count.sum() / shape.sum()
    expected = base * shape[slots.holiday].sum()
    return float((count[slots.holiday].sum() + 2 * SHRINK_INCIDENTS) / (
        expected + 2 * SHRINK_INCIDENTS
    ))


def _past_forecasts(
    cls: type[CountModel], slots: Slots, count: IntArray
) -> tuple[IntArray, FloatArray, int] | None:
    """Counts and forecast means of the last 28-day periods, each fitted on what came before it."""
    observed, means = [], []
    for fold in range(N_FOLDS):
        end_s = slots.time_s[-1] + 3600 - fold * HORIZON_DAYS * DAY_S if len(slots) else 0
        start = int(np.searchsorted(slots.time_s, end_s - HORIZON_DAYS * DAY_S)) if len(slots) else 0
        if start * 3600 < MIN_FOLD_WEEKS * WEEK_S:
            break
        end = int(np.searchsorted(slots.time_s, end_s))
        past = cls._fit_mean(slots.take(slice(0, start)), count[:start])
        observed.append(count[start:end])
        means.append(past.mean(slots.take(slice(start, end))))
    if not observed:
        return None
    return np.concatenate(observed), np.concatenate(means), len(observed)


def _dispersion(count: IntArray, mean: FloatArray) -> float:
    """Moment estimate of alpha in variance = mean + alpha x mean^2 (Cameron & Trivedi 1998, 3.3)."""
    if len(mean) == 0 or mean.sum() == 0:
        return 0.0
    excess = ((count - mean) ** 2 - mean).sum() / (mean**2).sum()
    return float(np.clip(excess, 0.0, MAX_DISPERSION))


def _calibrated_level(model: CountModel, count: IntArray, mean: FloatArray) -> float:
    """The nominal level whose intervals covered 90 % of past slots most exactly."""
    candidates = np.linspace(0.80, 0.97, 18)
    errors = []
    for level in candidates:
        low, high = count_interval(mean, model.dispersion, float(level))
        errors.append(abs(float(((count >= low) & (count <= high)).mean()) - LEVEL))
    best = np.flatnonzero(np.isclose(errors, min(errors)))
    return float(candidates[best[np.argmin(np.abs(candidates[best] - LEVEL))]])


def log_pmf_terms(mean: FloatArray, dispersion: float) -> tuple[FloatArray, FloatArray]:
    """log P(0) and the success probability q of NB(mean, dispersion), Poisson when it is zero."""
    if dispersion <= 1e-9:
        return -mean, np.zeros_like(mean)
    size = 1.0 / dispersion
    return -size * np.log1p(dispersion * mean), dispersion * mean / (1 + dispersion * mean)


def count_interval(
    mean: FloatArray, dispersion: float, level: float
) -> tuple[FloatArray, FloatArray]:
    """Equal-tailed bounds whose probability comes nearest to `level`, (n,) each, whole numbers.

    Counts are discrete, so bounds with *at least* that probability would cover far more; each tail is
    cut where its mass is nearest to (1 - level) / 2.
    """
    tail = (1.0 - level) / 2
    return (
        _nearest_quantile(mean, dispersion, tail, lower=True),
        _nearest_quantile(mean, dispersion, 1.0 - tail, lower=False),
    )


def _nearest_quantile(
    mean: FloatArray, dispersion: float, share: float, *, lower: bool
) -> FloatArray:
    """The count whose cumulative mass (below it when `lower`, up to it otherwise) is nearest."""
    mean = np.asarray(mean, np.float64)
    distinct, inverse = np.unique(mean, return_inverse=True)
    log_zero, ratio = log_pmf_terms(distinct, dispersion)
    pmf = np.exp(log_zero)
    below = np.zeros_like(pmf)
    result = np.full(len(distinct), -1.0)
    for k in range(_MAX_COUNT_STEPS):
        upto = below + pmf
        if lower:
            nearest = np.abs(upto - share) > np.abs(below - share)
        else:
            following = pmf * _step(distinct, dispersion, ratio, k)
            nearest = np.abs(upto + following - share) >= np.abs(upto - share)
            nearest &= upto >= 0.5 * share
        result = np.where((result < 0) & nearest, k, result)
        if np.all(result >= 0):
            break
        pmf = pmf * _step(distinct, dispersion, ratio, k)
        below = upto
    # Beyond the table (means of thousands) the normal approximation is exact enough.
    spread = np.sqrt(distinct + dispersion * distinct**2)
    normal = distinct + (-1.6449 if lower else 1.6449) * spread
    result = np.where(result < 0, np.maximum(np.round(normal), 0), result)
    final: FloatArray = result[inverse].reshape(mean.shape)
    return final


def _step(mean: FloatArray, dispersion: float, ratio: FloatArray, k: int) -> FloatArray:
    """P(k + 1) / P(k)."""
    if dispersion <= 1e-9:
        return mean / (k + 1)
    result: FloatArray = (k + 1.0 / dispersion) / (k + 1) * ratio
    return result
