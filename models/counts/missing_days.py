"""Detect days missing from a feed by their number of incidents.

Feeds stop for a while, and late reports are missing at their end. Treating such days as quiet would
halve the forecast level.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from models.units import FloatArray

MIN_GAP_DAYS = 3
BLANK_SHARE = 0.1
"""A blank day may hold this share of the usual number, because stray incidents are dated into gaps."""
BESIDE_DAYS = 28
SURE_INCIDENTS = 20.0
"""At least so many incidents must be expected in a gap for it not to be chance."""
FADED_SHARE = 0.2
"""Crime never falls to a fifth at once, but the last days of a late feed do."""
WHOLE_SHARE = 0.8
LATEST_DAYS = 28
USUAL_DAYS = 56
MAX_FADED_DAYS = 56
_WEEK_DAYS = 7

Mask = NDArray[np.bool_]


def missing_days(daily: FloatArray) -> Mask:
    """Return which days (n,) are missing from a feed, wholly or in part.

    Args:
        daily: (n,) incidents of consecutive days, oldest first, the last one complete.

    >>> daily = np.full(200, 9.0)
    >>> daily[60:100] = 0
    >>> np.flatnonzero(missing_days(daily))[[0, -1]]
    array([60, 99])
    """
    missing = _gaps(daily)
    missing[len(daily) - _faded_days(daily, missing) :] = True
    return missing


def _gaps(daily: FloatArray) -> Mask:
    """Return runs of blank days that are too long to be chance, given the days beside them."""
    missing = np.zeros(len(daily), np.bool_)
    if len(daily) == 0 or daily.sum() == 0:
        return missing
    bar = BLANK_SHARE * np.median(daily[daily > 0])
    week = np.convolve(daily, np.full(_WEEK_DAYS, 1 / _WEEK_DAYS), "same")[: len(daily)]
    blank = (daily <= bar) | ((week <= bar) & (len(daily) > _WEEK_DAYS))
    edges = np.flatnonzero(np.diff(np.concatenate([[False], blank, [False]])))
    for start, end in pairwise(edges.tolist()):
        if not blank[start] or end - start < MIN_GAP_DAYS:
            continue
        beside = (daily[max(0, start - BESIDE_DAYS) : start], daily[end : end + BESIDE_DAYS])
        if any(len(side) < BESIDE_DAYS // 2 and side.sum() < SURE_INCIDENTS for side in beside):
            continue
        expected = min(float(side.mean()) for side in beside) * (end - start)
        if expected >= SURE_INCIDENTS and daily[start:end].sum() <= BLANK_SHARE * expected:
            missing[start:end] = True
    return missing


def _faded_days(daily: FloatArray, missing: Mask) -> int:
    """Count the last days that were only partly delivered so far."""
    n = len(daily)
    usual = np.flatnonzero(~missing[: max(0, n - LATEST_DAYS)])[-USUAL_DAYS:]
    of_weekday = [daily[usual[usual % _WEEK_DAYS == day]] for day in range(_WEEK_DAYS)]
    if len(usual) < USUAL_DAYS // 2 or any(len(of) == 0 for of in of_weekday):
        return 0
    expected = np.array([of.mean() for of in of_weekday])[np.arange(n) % _WEEK_DAYS]
    latest = slice(None, -LATEST_DAYS - 1, -1)
    due, come = np.cumsum(expected[latest]), np.cumsum(daily[latest])
    faded = (due >= SURE_INCIDENTS) & (come < FADED_SHARE * due)
    if not faded[MIN_GAP_DAYS - 1 :].any():
        return 0
    for days in range(min(MAX_FADED_DAYS, n - _WEEK_DAYS)):
        week = slice(n - days - _WEEK_DAYS, n - days)
        if daily[week].sum() >= WHOLE_SHARE * expected[week].sum():
            return days
    return min(MAX_FADED_DAYS, n - _WEEK_DAYS)
