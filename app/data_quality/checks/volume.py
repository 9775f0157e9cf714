"""Monthly volume: where the series proper begins, and where its level breaks."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

DAYS_OF_MONTH = 365.25 / 12
BEGINS_AT_SHARE = 0.1
MIN_DAYS = 10
MIN_SEGMENT_MONTHS = 3
MIN_CHANGE = 0.15
MIN_STANDARD_ERRORS = 3.0
SEASON_FROM_MONTHS = 36
_NORMAL_MAD = 0.6745


@dataclass(frozen=True)
class Break:
    """A lasting change of level: incidents a day before and after the first day of a month."""

    place: int
    before_per_day: float
    after_per_day: float


def first_proper_month(counts: NDArray[np.int64]) -> int:
    """Return the position of the first month with a tenth of the median month's incidents.

    >>> first_proper_month(np.array([1, 0, 0, 2, 0, 95, 100, 110]))
    5
    """
    filled = np.sort(counts[counts > 0])
    if len(filled) == 0:
        return 0
    # The month of the median incident, so that many stray months do not lower the bar.
    typical = filled[np.searchsorted(np.cumsum(filled), filled.sum() / 2)]
    return int(np.flatnonzero(counts >= BEGINS_AT_SHARE * typical)[0])


def level_breaks(counts: NDArray[np.int64], days: NDArray[np.float64]) -> list[Break]:
    """Find the months at which the number of incidents a day changes permanently.

    Daily counts are deseasonalised by the calendar months' typical ratio to the year around them (from
    three years on) and variance-stabilised by a square root. The mean-shift segmentation is exact:
    optimal partitioning (Jackson et al. 2005) by squared error with a penalty of
    3 ln(n) variances a break. The variance is that of neighbouring months' differences, robustly,
    and at least a Poisson count's. Segments have at least three months. Changes below 15 %, and those
    whose log ratio lies within three standard errors of zero (Poisson counts, times the months' dispersion),
    are omitted: a dozen incidents have no level that could break.

    Args:
        counts: (n,) incidents of consecutive months.
        days: (n,) days of each month that the series covers; months of under ten are left out.
    """
    usable = np.flatnonzero(days >= MIN_DAYS)
    if len(usable) < 2 * MIN_SEGMENT_MONTHS:
        return []
    per_day = counts[usable] / days[usable]
    # Anscombe: twice the root of a Poisson count has variance one.
    level = 2 * np.sqrt(_without_season(per_day, usable % 12) * DAYS_OF_MONTH)
    steps = np.abs(np.diff(level))
    sd = max(float(np.median(steps)) / _NORMAL_MAD / np.sqrt(2), 1.0)
    bounds = [0, *_partition(level / sd, 3.0 * np.log(len(level))), len(level)]
    return _breaks(counts[usable], days[usable], usable, bounds)


def _without_season(per_day: NDArray[np.float64], month: NDArray[np.int64]) -> NDArray[np.float64]:
    """Divide by each calendar month's median ratio to the year around it."""
    if len(per_day) < SEASON_FROM_MONTHS:
        return per_day
    weights = np.concatenate([[0.5], np.ones(11), [0.5]]) / 12
    around = np.convolve(per_day, weights, "valid")
    inner = slice(6, len(per_day) - 6)
    ratio = np.divide(per_day[inner], around, out=np.ones_like(around), where=around > 0)
    season = np.array([float(np.median(ratio[month[inner] == m])) for m in range(12)])
    level: NDArray[np.float64] = per_day / np.where(season > 0, season, 1.0)[month]
    return level


def _partition(level: NDArray[np.float64], penalty: float) -> list[int]:
    """Return the starts of all segments but the first, minimising squared error plus penalties."""
    n = len(level)
    total = np.concatenate([[0.0], np.cumsum(level)])
    squares = np.concatenate([[0.0], np.cumsum(level**2)])
    cost = np.full(n + 1, np.inf)
    cost[0] = -penalty
    previous = np.zeros(n + 1, np.int64)
    for end in range(MIN_SEGMENT_MONTHS, n + 1):
        starts = np.arange(0, end - MIN_SEGMENT_MONTHS + 1)
        length = end - starts
        error = squares[end] - squares[starts] - (total[end] - total[starts]) ** 2 / length
        whole = cost[starts] + error + penalty
        best = int(np.argmin(whole))
        cost[end], previous[end] = whole[best], starts[best]
    found = []
    place = n
    while place > 0:
        place = int(previous[place])
        found.append(place)
    return sorted(found)[1:]


def _breaks(
    counts: NDArray[np.int64],
    days: NDArray[np.float64],
    usable: NDArray[np.int64],
    bounds: list[int],
) -> list[Break]:
    segments = [(counts[a:b], days[a:b]) for a, b in pairwise(bounds)]
    found = []
    for at, before, after in zip(bounds[1:], segments, segments[1:], strict=False):
        means = [float((n / d).mean()) for n, d in (before, after)]
        change = abs(means[1] - means[0])
        if change >= MIN_CHANGE * max(means) and _differ(before, after):
            found.append(Break(int(usable[at]), *means))
    return found


def _differ(*segments: tuple[NDArray[np.int64], NDArray[np.float64]]) -> bool:
    """Return whether two segments' rates differ by three standard errors of their log ratio."""
    # Half an incident more: the logarithm of a rate of zero is undefined.
    totals = [float(n.sum()) + 0.5 for n, _ in segments]
    rates = [total / float(d.sum()) for total, (_, d) in zip(totals, segments, strict=True)]
    excess = [
        ((n - rate * d) ** 2 / (rate * d)).sum()
        for (n, d), rate in zip(segments, rates, strict=True)
    ]
    n_free = sum(len(n) - 1 for n, _ in segments)
    dispersion = max(float(sum(excess)) / max(n_free, 1), 1.0)
    error = np.sqrt(dispersion * sum(1 / total for total in totals))
    return bool(abs(np.log(rates[1] / rates[0])) > MIN_STANDARD_ERRORS * error)
