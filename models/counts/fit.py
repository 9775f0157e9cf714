"""Steps of fitting the count model: history, season, profile, level, holidays, dispersion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.base import HORIZON_DAYS
from models.counts.missing_days import missing_days
from models.counts.negative_binomial import log_mass, nearest_quantile
from models.units import DAY_S, HOUR_S, HOURS_PER_DAY, N_WINDOWS, WEEK_S, FloatArray, IntArray

YEAR_S = 365.2425 * DAY_S
HISTORY_WEEKS = 6 * 52
SPARSE_SHARE = 0.25
SEASON_MIN_WEEKS = 78
SEASON_RIDGE = 20.0
SHRINK_INCIDENTS = 25.0
SLOW_HALF_LIFE_WEEKS = 52.0
MAX_DISPERSION = 2.0
CLIP_SHARE = 0.9995
_DISPERSIONS = np.concatenate([[0.0], np.geomspace(1e-4, MAX_DISPERSION, 60)])


@dataclass(frozen=True)
class Slots:
    """Hourly slots of a region, past or future, as arrays of equal length n.

    Args:
        time_s: (n,) start of each slot, UTC seconds since 1970.
        window: (n,) hour of the local week, 0..167.
        holiday: (n,) whether the local day is a public holiday.
    """

    time_s: IntArray
    window: NDArray[np.integer]
    holiday: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.time_s)

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_] | slice) -> Slots:
        """Return the slots at these rows."""
        return Slots(self.time_s[rows], self.window[rows], self.holiday[rows])


@dataclass(frozen=True)
class Rates:
    """Parameters of the mean of the count model; see `models.counts.model.CountModel`."""

    profile: FloatArray
    season: FloatArray
    level: float
    slow_level: float
    holiday_factor: float
    level_hours: float = 0.0
    slow_level_hours: float = 0.0


@dataclass(frozen=True)
class HalfLives:
    """Half-lives, in weeks, of the weights of past slots: for the level and for the profile."""

    level_weeks: float = 8.0
    profile_weeks: float = 52.0


def usable_history(slots: Slots, count: IntArray) -> slice:
    """Return the last six years, starting with the first week of regular delivery.

    Offences reported years later put a few incidents long before a feed starts. Weeks at the
    beginning with under a quarter of the last year's median count are therefore left out.
    """
    n = len(slots)
    first = max(0, n - HISTORY_WEEKS * N_WINDOWS)
    week = (np.arange(n - first)) // N_WINDOWS
    totals = np.bincount(week, weights=count[first:])
    typical = np.median(totals[-52:])
    full = np.flatnonzero(totals >= SPARSE_SHARE * typical)
    return slice(first + (int(full[0]) * N_WINDOWS if len(full) else 0), n)


def delivered_hours(slots: Slots, count: IntArray) -> NDArray[np.bool_]:
    """Return which hours (n,) belong to delivered days, in whole days back from the last hour."""
    odd = len(slots) % HOURS_PER_DAY
    missing = missing_days(count[odd:].reshape(-1, HOURS_PER_DAY).sum(axis=1).astype(np.float64))
    return np.concatenate([np.ones(odd, np.bool_), np.repeat(~missing, HOURS_PER_DAY)])


def season_terms(time_s: IntArray, n_terms: int) -> FloatArray:
    """Return cosines and sines (n, n_terms) of one and two cycles a year."""
    phase = 2 * np.pi * np.asarray(time_s) / YEAR_S
    terms = [f(k * phase) for k in range(1, n_terms // 2 + 1) for f in (np.cos, np.sin)]
    return np.stack(terms, axis=1) if terms else np.zeros((len(phase), 0))


def fit_season(slots: Slots, count: FloatArray) -> FloatArray:
    """Fit harmonics (4,) of the log of weekly totals beside a smooth trend; (0,) if too short.

    Separating a season from a trend needs at least a year and a half; a ridge penalty limits it.
    """
    week = (slots.time_s - slots.time_s[0]) // WEEK_S
    n_weeks = int(week[-1])
    # Leave out the last, partial week, and weeks that were not delivered in full.
    whole = np.flatnonzero(np.bincount(week)[:n_weeks] == N_WINDOWS)
    if len(whole) < SEASON_MIN_WEEKS:
        return np.zeros(0)
    totals = np.bincount(week, weights=count)[whole]
    middle_s = slots.time_s[0] + (whole + 0.5) * WEEK_S
    harmonics = season_terms(middle_s.astype(np.int64), 4)
    n_knots = max(2, n_weeks // 52 + 1)
    knots = np.linspace(0, n_weeks - 1, n_knots)
    unit = np.eye(n_knots)
    trend = np.stack([np.interp(whole, knots, unit[k]) for k in range(n_knots)], 1)
    design = np.concatenate([trend, harmonics], axis=1)
    weight = np.maximum(totals, 1.0)
    penalty = np.diag([1e-3] * n_knots + [SEASON_RIDGE] * 4)
    normal = design.T @ (weight[:, None] * design) + penalty
    solution = np.linalg.solve(normal, design.T @ (weight * np.log(np.maximum(totals, 0.5))))
    return np.asarray(solution[n_knots:])


def fit_profile(window: NDArray[np.integer], count: FloatArray, weight: FloatArray) -> FloatArray:
    """Fit rates relative to their mean (168,), shrunk towards the hour of day by kind of day.

    Kinds of day are Monday to Thursday, Friday, Saturday and Sunday; the prior weighs 25 incidents.
    """
    seen = np.bincount(window, weights=weight * count, minlength=N_WINDOWS)
    exposure = np.bincount(window, weights=weight, minlength=N_WINDOWS)
    kind = np.array([0, 0, 0, 0, 1, 2, 3])[np.arange(N_WINDOWS) // 24] * 24
    group = kind + np.arange(N_WINDOWS) % 24
    overall = max(float(seen.sum() / exposure.sum()), 1e-12)
    prior_hours = SHRINK_INCIDENTS / overall
    group_seen = np.bincount(group, weights=seen, minlength=96) + 0.1 * SHRINK_INCIDENTS
    group_exposure = np.bincount(group, weights=exposure, minlength=96) + 0.1 * prior_hours
    prior = (group_seen / group_exposure)[group]
    rate = (seen + prior_hours * prior) / (exposure + prior_hours)
    result: FloatArray = rate / rate.mean()
    return result


def fit_rates(slots: Slots, count: FloatArray, half: HalfLives) -> Rates:
    """Fit the mean to a history of hourly counts (n,), oldest first."""
    if len(slots) == 0 or count.sum() == 0:
        return Rates(np.ones(N_WINDOWS), np.zeros(0), 0.0, 0.0, 1.0)
    age_weeks = (slots.time_s[-1] - slots.time_s) / WEEK_S
    season = fit_season(slots, count)
    seasonal = np.exp(season_terms(slots.time_s, len(season)) @ season)
    profile = fit_profile(slots.window, count / seasonal, 0.5 ** (age_weeks / half.profile_weeks))
    shape = profile[slots.window] * seasonal
    factor = _fit_holiday(slots.holiday, count, shape)
    shape = shape * np.where(slots.holiday, factor, 1.0)
    fast, slow = (0.5 ** (age_weeks / weeks) for weeks in (half.level_weeks, SLOW_HALF_LIFE_WEEKS))
    hours = [float((weight * shape).sum()) for weight in (fast, slow)]
    levels = [float((w * count).sum()) / h for w, h in zip((fast, slow), hours, strict=True)]
    return Rates(profile, season, levels[0], levels[1], factor, hours[0], hours[1])


def _fit_holiday(holiday: NDArray[np.bool_], count: FloatArray, shape: FloatArray) -> float:
    """Fit the factor of public holidays, shrunk towards one."""
    if not holiday.any():
        return 1.0
    expected = count.sum() / shape.sum() * shape[holiday].sum()
    prior = 2 * SHRINK_INCIDENTS
    return float((count[holiday].sum() + prior) / (expected + prior))


def clipped(count: IntArray, mean: FloatArray) -> FloatArray:
    """Clip counts at the quantile that one slot in 2,000 exceeds.

    Feeds date incidents of unknown time to midnight of the first of the month or year; such spikes
    would raise the profile, the level and the holiday factor.
    """
    cap = nearest_quantile(CLIP_SHARE, mean, dispersion_of(count, mean))
    return np.minimum(count, np.maximum(cap, 1.0)).astype(np.float64)


def dispersion_of(count: IntArray, mean: FloatArray) -> float:
    """Estimate the dispersion of counts around given means by maximum likelihood on a grid.

    Unlike the moments, the likelihood is not dominated by a few extreme slots.
    """
    if len(mean) == 0 or mean.sum() <= 0:
        return 0.0
    scores = [float(log_mass(count, mean, a).sum()) for a in _DISPERSIONS]
    return float(_DISPERSIONS[int(np.argmax(scores))])


def moment_dispersion(count: FloatArray, mean: FloatArray) -> float:
    """Estimate the dispersion by moments (Cameron & Trivedi 1998, 3.3), for daily or weekly sums."""
    if len(mean) == 0 or mean.sum() <= 0:
        return 0.0
    excess = ((count - mean) ** 2 - mean).sum() / (mean**2).sum()
    return float(np.clip(excess, 0.0, MAX_DISPERSION))


def following(slots: Slots) -> Slots:
    """Return the slots of the 28 days after a history, without holidays."""
    n = HORIZON_DAYS * 24
    time_s = slots.time_s[-1] + HOUR_S * (1 + np.arange(n, dtype=np.int64))
    window = (int(slots.window[-1]) + 1 + np.arange(n)) % N_WINDOWS
    return Slots(time_s, window, np.zeros(n, bool))


def spans(time_s: IntArray) -> tuple[tuple[int, int], ...]:
    """Return [start, end) of each run of consecutive hours."""
    if len(time_s) == 0:
        return ()
    edges = np.flatnonzero(np.diff(time_s) > HOUR_S) + 1
    return tuple((int(run[0]), int(run[-1]) + HOUR_S) for run in np.split(time_s, edges))
