"""Aoristic analysis: how likely each hour is of an incident whose time is known as an interval.

Ratcliffe (2000), "Aoristic analysis: the spatial interpretation of unspecific temporal events", spreads
an incident evenly over its interval. Here the hours of an interval share it out by the week's profile of its
kind, which the kind's exact times anchor. Whether a time is known exactly, and as which interval, may
depend on the time itself (whoever comes home at six notices at six), so that EM on the intervals alone
(Dempster, Laird & Rubin 1977) piles up on few hours. The shares are therefore raked towards the anchor
(an unbalanced entropic transport, Chizat et al. 2018, "Scaling algorithms for unbalanced optimal
transport problems"), and the anchor itself gives way to the even spread as far as the intervals
contradict it: at least as many incidents happened between 8 and 18 o'clock as have intervals that lie
within these hours (the belief function of Dempster 1967).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from models.estimator import Estimator
from models.incidents import Incidents
from models.times.intervals import Intervals
from models.times.placeholders import placeholder_chances, with_unknown_times
from models.units import HOURS_PER_DAY, N_WINDOWS, SATURDAY, FloatArray, IntArray

MIN_OWN = 100
"""Incidents from which on a kind has a profile of its own."""
_DAY = np.arange(N_WINDOWS) // HOURS_PER_DAY
_HOUR = np.arange(N_WINDOWS) % HOURS_PER_DAY
_LIKE = np.where(_DAY < SATURDAY, 0, _DAY - SATURDAY + 1) * HOURS_PER_DAY + _HOUR
_N_LIKE = np.bincount(_LIKE)
_SPANS = np.array(
    [(_HOUR - start) % HOURS_PER_DAY < n for start in range(HOURS_PER_DAY) for n in range(4, 21, 2)]
)
"""(S, 168) hours of the day between two hours, in which intervals may lie as a whole."""
_SHRINK_INCIDENTS = 300.0
_PRIOR_INCIDENTS = 20.0
_TOLERANCE_SD = 1.5
_DISTRUST_POWER = 4
"""Power of the share of the anchor that the intervals allow; 1, 2 and none at all forecast worse."""
_RAKE_STEPS = 30
_RAKE_POWER = 0.75
"""1 would make the shares add up to the anchor wherever possible, 0 leave them as they are."""


@dataclass(frozen=True)
class _Patterns:
    """Intervals of a kind, grouped by the hour of the week they start in and their number of hours.

    Args:
        n: (P,) number of incidents of each pattern.
        pattern, window, overlap: (k,) for each touched hour of a pattern, its mean overlap.
    """

    n: FloatArray
    pattern: IntArray
    window: IntArray
    overlap: FloatArray

    @classmethod
    def of(cls, intervals: Intervals) -> _Patterns:
        """Group intervals; clock changes within one are ignored here."""
        mine = np.flatnonzero(intervals.is_interval)
        length = np.diff(intervals.first)[mine]
        start = intervals.window[intervals.first[mine]].astype(np.int64)
        keys, group = np.unique(length * N_WINDOWS + start, return_inverse=True)
        n_hours = keys // N_WINDOWS
        first = np.concatenate([[0], np.cumsum(n_hours)])
        position = np.arange(len(intervals.window)) - np.repeat(intervals.first[mine], length)
        place = first[group][np.repeat(np.arange(len(mine)), length)] + position
        n = np.bincount(group, minlength=len(keys)).astype(np.float64)
        pattern = np.repeat(np.arange(len(keys)), n_hours)
        window = (keys[pattern] % N_WINDOWS + np.arange(first[-1]) - first[pattern]) % N_WINDOWS
        total = np.bincount(place, intervals.overlap, minlength=int(first[-1]))
        return cls(n, pattern, window, total / n[pattern])

    def shared(self, weight: FloatArray) -> FloatArray:
        """Return the incidents (168,) of each hour when hours (168,) share by their weights."""
        each = self.overlap * weight[self.window]
        each *= (self.n / np.bincount(self.pattern, each, len(self.n)))[self.pattern]
        return np.bincount(self.window, each, N_WINDOWS).astype(np.float64)

    def within(self) -> FloatArray:
        """Return the share (S,) of the intervals that lie within each of `_SPANS`."""
        first = np.flatnonzero(np.diff(self.pattern, prepend=-1))
        inside = np.logical_and.reduceat(_SPANS[:, self.window], first, axis=1)
        return np.asarray(inside @ self.n / self.n.sum(), np.float64)


def smoothed(count: FloatArray, prior: FloatArray | None = None) -> FloatArray:
    """Return a profile (168,), sum one, of counts (168,): hours shrunk towards those of like days.

    Args:
        prior: (168,) a profile that counts as a few incidents; None: an even one.
    """
    even = np.full(N_WINDOWS, 1.0 / N_WINDOWS)
    count = count + _PRIOR_INCIDENTS * (even if prior is None else prior)
    like = (np.bincount(_LIKE, count) / _N_LIKE).reshape(-1, HOURS_PER_DAY)
    like = gaussian_filter1d(like, 1.0, axis=1, mode="wrap").ravel()[_LIKE]
    profile = count + _SHRINK_INCIDENTS * N_WINDOWS * like / like.sum()
    return np.asarray(profile / profile.sum(), np.float64)


class Aoristic(Estimator):
    """Profiles of the week by kind, which share out incidents whose times are not exact.

    Attributes:
        weight_: {category code: (168,)} weights of the hours of intervals; -1 for all other kinds.
        placeholder_: {category code: (2,)} chances that records of midnight and noon have no known time
            of day (`models.times.placeholders`); -1 for all other kinds.
        report_: by category code, numbers of exact times, of intervals and of placeholders among the exact
            ones, and how far, 0..1, the exact times serve as an anchor (`trust`).
    """

    weight_: dict[int, FloatArray]
    placeholder_: dict[int, FloatArray]
    report_: dict[int, dict[str, float]]

    def fit(self, incidents: Incidents) -> Self:
        """Fit to exact times and intervals; all of them must be known at the time of use."""
        codes, sizes = np.unique(incidents.category, return_counts=True)
        own = codes[sizes >= MIN_OWN]
        groups = {int(code): incidents.category == code for code in own}
        groups[-1] = ~np.isin(incidents.category, own)
        self.placeholder_ = {code: _chances(incidents, mine) for code, mine in groups.items()}
        known = self._with_unknown(incidents, 0)
        self.weight_, self.report_ = {}, {}
        if known.intervals is None:
            return self
        is_interval = known.intervals.is_interval
        is_given = np.zeros(len(known), bool)
        if incidents.intervals is not None:
            is_given = incidents.intervals.is_interval
        city = smoothed(_counts(known.window[~is_interval]))
        for code, mine in groups.items():
            if mine.any():
                exact = _counts(known.window[mine & ~is_interval])
                self.weight_[code], trust = _fit(exact, known.intervals.take(mine), city)
                self.report_[code] = {
                    "exact": int(exact.sum()),
                    "intervals": int(is_given[mine].sum()),
                    "placeholders": int((is_interval & ~is_given)[mine].sum()),
                    "trust": round(trust, 3),
                }
        return self

    def share(self, incidents: Incidents, seed: int = 0) -> Incidents:
        """Return incidents whose intervals are shared out by the profiles, with windows drawn by share."""
        known = self._with_unknown(incidents, seed)
        if known.intervals is None:
            return known
        table, row = self._rows(self.weight_, np.ones(N_WINDOWS), known.category)
        return known.shared_by(table, row, seed)

    def _with_unknown(self, incidents: Incidents, seed: int) -> Incidents:
        table, row = self._rows(self.placeholder_, np.zeros(2), incidents.category)
        return with_unknown_times(incidents, table[row], seed) if table.any() else incidents

    @staticmethod
    def _rows(
        found: Mapping[int, FloatArray], usual: FloatArray, category: NDArray[Any]
    ) -> tuple[FloatArray, IntArray]:
        """Return a table (R, ...) of what was found by kind, and the row of each category (n,)."""
        codes = sorted(code for code in found if code >= 0)
        table = np.stack([*(found[code] for code in codes), found.get(-1, usual)])
        place = np.searchsorted(codes, category).clip(max=max(len(codes) - 1, 0))
        return table, np.where(np.isin(category, codes), place, len(codes))


def _chances(incidents: Incidents, mine: NDArray[np.bool_]) -> FloatArray:
    """Return the chances (2,) of a kind's placeholders."""
    if incidents.minute is None:
        return np.zeros(2)
    exact = mine.copy()
    if incidents.intervals is not None:
        exact &= incidents.intervals.end_s == incidents.time_s
    hour = incidents.window[exact].astype(np.int64) % HOURS_PER_DAY
    return placeholder_chances(hour, incidents.minute[exact])


def shared_out(incidents: Incidents, past: Incidents) -> Incidents:
    """Return incidents shared out by profiles that know only the `past` ones."""
    return Aoristic().fit(past).share(incidents)


def _counts(window: NDArray[Any]) -> FloatArray:
    return np.bincount(window.astype(np.int64), minlength=N_WINDOWS).astype(np.float64)


def _fit(
    exact: FloatArray, intervals: Intervals | None, city: FloatArray
) -> tuple[FloatArray, float]:
    """Return the weights of the hours of a kind, and how far its exact times anchor them."""
    if intervals is None:
        return smoothed(exact, city), 1.0
    patterns = _Patterns.of(intervals)
    n_exact = exact.sum()
    even = patterns.shared(np.ones(N_WINDOWS)) / patterns.n.sum()
    trust = _trust(smoothed(exact, city), even, patterns, n_exact)
    profile = smoothed(trust * exact + (1.0 - trust) * n_exact / N_WINDOWS, city)
    return _raked(profile, patterns, _RAKE_POWER * trust), trust


def _trust(anchor: FloatArray, even: FloatArray, patterns: _Patterns, n_exact: float) -> float:
    """Return how far, 0..1, the intervals allow their hours to be those of the exact times."""
    sd = np.sqrt(0.25 / max(n_exact, 1.0) + 0.25 / patterns.n.sum())
    expected = _SPANS @ anchor
    missing = patterns.within() - _TOLERANCE_SD * sd - expected
    room = _SPANS @ even - expected
    contradicts = (missing > 0) & (room > 0)
    allowed = 1.0 - np.minimum(missing[contradicts] / room[contradicts], 1.0)
    return float(allowed.min(initial=1.0)) ** _DISTRUST_POWER


def _raked(profile: FloatArray, patterns: _Patterns, power: float) -> FloatArray:
    """Return weights of the hours (168,) whose shares come near the profile, where the intervals allow it."""
    wanted = patterns.n.sum() * profile
    factor = np.ones(N_WINDOWS)
    for _ in range(_RAKE_STEPS if power else 0):
        found = patterns.shared(profile * factor)
        factor = (factor * wanted / np.maximum(found, 1e-9 * wanted)) ** power
    return np.asarray(profile * factor, np.float64)
