"""Default geocodes: places where a feed puts incidents whose true place it does not know.

A place that holds implausibly many incidents is one of two things. At a default (the centre of a city or
precinct, the police station) incidents of all hours and kinds meet, in the city's own mix, or their times are
unknown too. A real place (a mall, a hospital, a station) has hours and kinds of its own. The two are compared
by a Bayes factor, which says nothing of a few incidents and needs no least number of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrc, gammaln

from app.geo.time_heaping import clock_times, excess_share

MIN_SHARE = 0.005
TIMES_NEXT = 5.0
CERTAIN_SHARE = 0.03
TIMES_TYPICAL = 5.0
CHANCE = 0.01
LIKE_CITY, LIKE_PLACE = 200.0, 20.0
"""Concentrations of the Dirichlet mixes of a default and of a real place around the city's."""
MIN_EVIDENCE = 3.0
"""Log Bayes factor: the city's mix is twenty times as likely."""
HEAPED_SHARE = 0.5
MAX_KINDS = 50
SAME_PLACE_M = 5.0

Reason = Literal["city_mix", "heaped_times", "own_mix", "unclear", "policy"]
Point = tuple[float, float]


@dataclass(frozen=True)
class FullPlace:
    """A place that holds implausibly many incidents, or that the region's policy names.

    Args:
        x_m, y_m: in the region's CRS, rounded to a metre.
        is_default: whether its incidents are left out of fits.
        reason: `city_mix` or `heaped_times` of a default, `own_mix` of a real place, `unclear` of one with
            too few incidents to say (it stays), `policy` if the region's policy decides.
        evidence: log Bayes factor of the city's mix of hours and kinds against a mix of its own.
    """

    x_m: int
    y_m: int
    n_incidents: int
    is_default: bool
    reason: Reason
    evidence: float = 0.0


@dataclass(frozen=True)
class Mix:
    """Incidents by minute of the local day (1440,) and by kind (k,)."""

    by_minute: NDArray[np.int64]
    by_kind: NDArray[np.int64]

    @property
    def n(self) -> int:
        """Number of incidents."""
        return int(self.by_minute.sum())

    def without(self, others: Sequence[Mix]) -> Mix:
        """Return this mix less parts of it."""
        return Mix(
            self.by_minute - sum(one.by_minute for one in others),
            self.by_kind - sum(one.by_kind for one in others),
        )


def implausibly_full(counts: NDArray[np.int64], histogram: Mapping[int, int]) -> NDArray[np.bool_]:
    """Return (n,) which places hold implausibly many incidents.

    A place is one with 3 % of all incidents, or with 0.5 % of them and five times as many as the next place
    that is none; in both cases more than chance explains (1 %), and five times what the place of a typical
    other incident holds: where there is one point per precinct, all points are full.

    Args:
        counts: (n,) incidents of the fullest places, most first; those with under 0.5 % of all may be
            omitted but for the first of them.
        histogram: {incidents of a place: number of such places}, of all places.
    """
    total = sum(n * places for n, places in histogram.items())
    marked = np.zeros(len(counts), bool)
    # From the least full candidate up: each is judged against what is left below it.
    for rank in range(_n_outstanding(counts, histogram, MIN_SHARE * total) - 1, -1, -1):
        n = int(counts[rank])
        ordinary = counts[rank + 1 :][~marked[rank + 1 :]]
        following = float(ordinary[0]) if len(ordinary) else 0.0
        stands_out = n >= TIMES_NEXT * following and _exceeds(n, total, MIN_SHARE)
        marked[rank] = stands_out or _exceeds(n, total, CERTAIN_SHARE)
    return marked


def _n_outstanding(counts: NDArray[np.int64], histogram: Mapping[int, int], at_least: float) -> int:
    """Return how many of the fullest places hold five times what a typical incident's place does."""
    places = dict(histogram)
    for rank, n in enumerate(counts.tolist()):
        places[n] -= 1
        if n < at_least or n < TIMES_TYPICAL * _typical(places):
            return rank
    return len(counts)


def _exceeds(n: int, total: int, share: float) -> bool:
    """Return whether n of `total` are more than a share, beyond chance."""
    return bool(bdtrc(n - 1, total, share) < CHANCE)


def _typical(histogram: Mapping[int, int]) -> int:
    """Return how many incidents the place of the median incident has."""
    sizes = np.array(sorted(n for n, places in histogram.items() if places > 0), np.int64)
    if len(sizes) == 0:
        return 0
    below = np.cumsum([n * histogram[n] for n in sizes.tolist()])
    return int(sizes[np.searchsorted(below, below[-1] / 2)])


def judged(mix: Mix, city: Mix) -> tuple[bool, Reason, float]:
    """Judge a full place by the hours and kinds of its incidents, against those of the rest of the city.

    Returns:
        Whether it is a default geocode, why, and the log Bayes factor.
    """
    if city.n == 0:
        return False, "unclear", 0.0
    if _unknown_share(mix) >= HEAPED_SHARE > _unknown_share(city):
        return True, "heaped_times", 0.0
    evidence = _log_bayes_factor(_by_hour(mix), _by_hour(city))
    evidence += _log_bayes_factor(*_commonest(mix.by_kind, city.by_kind))
    if evidence >= MIN_EVIDENCE:
        return True, "city_mix", evidence
    return False, "own_mix" if evidence <= -MIN_EVIDENCE else "unclear", evidence


def _unknown_share(mix: Mix) -> float:
    return excess_share(clock_times(mix.by_minute), mix.n)


def _by_hour(mix: Mix) -> NDArray[np.int64]:
    by_hour: NDArray[np.int64] = mix.by_minute.reshape(24, 60).sum(axis=1)
    return by_hour


def _commonest(*counts: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Count all but the city's commonest kinds together."""
    order = np.argsort(-counts[-1], kind="stable")
    rest = order[MAX_KINDS:]
    return [np.append(one[order[:MAX_KINDS]], one[rest].sum()) for one in counts]


def _log_bayes_factor(place: NDArray[np.int64], city: NDArray[np.int64]) -> float:
    share = (city + 0.5) / (city + 0.5).sum()
    return _log_evidence(place, LIKE_CITY * share) - _log_evidence(place, LIKE_PLACE * share)


def _log_evidence(counts: NDArray[np.int64], alpha: NDArray[np.float64]) -> float:
    """Return the log probability of counts under a Dirichlet-multinomial."""
    whole = gammaln(alpha.sum()) - gammaln(alpha.sum() + counts.sum())
    return float(whole + (gammaln(alpha + counts) - gammaln(alpha)).sum())


def find_full_places(
    x_m: NDArray[Any],
    y_m: NDArray[Any],
    minute: NDArray[Any],
    kind: NDArray[Any],
    keep: Sequence[Point] = (),
    drop: Sequence[Point] = (),
) -> tuple[list[FullPlace], NDArray[np.bool_]]:
    """Find full places, the fullest first, and which incidents (n,) lie on a default geocode.

    Args:
        x_m, y_m: (n,) metres; places are equal to one metre.
        minute: (n,) of the local day.
        kind: (n,) codes from 0.
        keep, drop: places in metres that the policy decides on, to five metres.
    """
    place = np.stack([np.rint(x_m), np.rint(y_m)]).astype(np.int64)
    unique, of_incident, counts = np.unique(place, axis=1, return_inverse=True, return_counts=True)
    of_incident = of_incident.ravel()
    sizes, places = np.unique(counts, return_counts=True)
    fullest = np.argsort(-counts, kind="stable")
    full = implausibly_full(
        counts[fullest], dict(zip(sizes.tolist(), places.tolist(), strict=True))
    )
    named = np.flatnonzero(near(unique[0], unique[1], [*keep, *drop]))
    chosen = list(dict.fromkeys([*fullest[full].tolist(), *named.tolist()]))
    n_kinds = int(kind.max(initial=-1)) + 1

    def mix_of(rows: NDArray[Any]) -> Mix:
        return Mix(
            np.bincount(minute[rows], minlength=1440), np.bincount(kind[rows], minlength=n_kinds)
        )

    mixes = [mix_of(of_incident == i) for i in chosen]
    found = judge_places(
        [(int(unique[0, i]), int(unique[1, i])) for i in chosen],
        mixes,
        mix_of(np.ones(len(minute), bool)),
        keep,
        drop,
    )
    marked = np.zeros(len(counts), bool)
    marked[chosen] = [one.is_default for one in found]
    return sorted(found, key=lambda one: -one.n_incidents), marked[of_incident]


def judge_places(
    points: Sequence[tuple[int, int]],
    mixes: Sequence[Mix],
    whole: Mix,
    keep: Sequence[Point] = (),
    drop: Sequence[Point] = (),
) -> list[FullPlace]:
    """Judge full places (metres) against the rest of the city, `whole` without them."""
    city = whole.without(mixes)
    found = []
    for (x, y), mix in zip(points, mixes, strict=True):
        at = np.array([x]), np.array([y])
        if near(*at, drop)[0] or near(*at, keep)[0]:
            found.append(FullPlace(x, y, mix.n, bool(near(*at, drop)[0]), "policy"))
        else:
            found.append(FullPlace(x, y, mix.n, *judged(mix, city)))
    return found


def near(x_m: NDArray[Any], y_m: NDArray[Any], points: Sequence[Point]) -> NDArray[np.bool_]:
    """Return (n,) which places lie within five metres of one of the points."""
    found = np.zeros(len(x_m), bool)
    for x, y in points:
        found |= np.hypot(x_m - x, y_m - y) <= SAME_PLACE_M
    return found
