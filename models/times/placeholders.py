"""Times that stand for unknown ones: records at midnight and noon beyond what the hours around suggest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.incidents import Incidents
from models.times.intervals import Intervals
from models.units import HOUR_S, HOURS_PER_DAY, FloatArray

HOURS = (0, 12)
LAST_MINUTE = 1
"""Midnight, 12:01 a.m., noon and 12:01 p.m. are what forms and systems write for "unknown"."""
_MIN_EXCESS_SD = 4.0
_MIN_RATIO = 1.25


def placeholder_chances(hour: NDArray[Any], minute: NDArray[Any]) -> FloatArray:
    """Return how likely a record of the first minutes of each of `HOURS` (2,) has no known time of day.

    Both minutes are taken together: some systems write 00:01 for 00:00.

    Args:
        hour, minute: (n,) local time of exact incidents of one kind.
    """
    return chances_of_counts(np.bincount(hour[minute <= LAST_MINUTE], minlength=HOURS_PER_DAY))


def chances_of_counts(counts: ArrayLike) -> FloatArray:
    """Return the chances (2,) of `placeholder_chances` of counts.

    The number expected is the mean of the same minutes of the hours before and after, since people round
    to full hours at all hours alike. Less than a quarter above that, or less than four standard
    deviations, counts as chance.

    Args:
        counts: (24,) exact incidents of one kind in the first minutes of each hour of the local day.

    >>> chances_of_counts([400, *([100] * 23)]).tolist()
    [0.75, 0.0]
    """
    counts = np.asarray(counts, np.float64)
    expected = (np.roll(counts, 1) + np.roll(counts, -1))[list(HOURS)] / 2
    found = counts[list(HOURS)]
    # The expected number is a mean of two counts, each as uncertain as the one it is compared with.
    limit = expected + _MIN_EXCESS_SD * np.sqrt(1.5 * expected + 1.0)
    is_heap = (found > limit) & (found > _MIN_RATIO * expected)
    return np.where(is_heap, 1.0 - expected / np.maximum(found, 1.0), 0.0)


def with_unknown_times(incidents: Incidents, chances: FloatArray, seed: int = 0) -> Incidents:
    """Return incidents of which placeholders are known as intervals of their whole day.

    Which of the records at a placeholder are unknown cannot be seen: as many as are likely to be are
    drawn.

    Args:
        chances: (n, 2) of each incident's kind, as `placeholder_chances`.
        seed: seeds the draws.
    """
    if incidents.minute is None or not chances.any():
        return incidents
    hour = incidents.window.astype(np.int64) % HOURS_PER_DAY
    chance = np.zeros(len(incidents))
    for place, one in enumerate(HOURS):
        mine = (hour == one) & (incidents.minute <= LAST_MINUTE)
        chance[mine] = chances[mine, place]
    if incidents.intervals is not None:
        chance[incidents.intervals.end_s > incidents.time_s] = 0.0
    is_unknown = np.random.default_rng(seed).random(len(incidents)) < chance
    return _as_days(incidents, is_unknown, hour) if is_unknown.any() else incidents


def _as_days(incidents: Incidents, chosen: NDArray[np.bool_], hour: NDArray[np.int64]) -> Incidents:
    """Return incidents of which some are known as whole days; clock changes within them are ignored."""
    known = incidents.intervals or Intervals.exact(incidents.time_s)
    n_hours = np.where(chosen, HOURS_PER_DAY, np.diff(known.first))
    first = np.concatenate([[0], np.cumsum(n_hours)]).astype(np.int64)
    is_day = np.repeat(chosen, n_hours)
    day = (incidents.window[chosen].astype(np.int64) - hour[chosen])[:, None]
    window = np.empty(first[-1], np.int16)
    window[is_day] = (day + np.arange(HOURS_PER_DAY)).ravel()
    window[~is_day] = known.window
    overlap = np.ones(first[-1], np.float32)
    overlap[~is_day] = known.overlap
    midnight_s = incidents.time_s - hour * HOUR_S - (incidents.time_s % 60)
    if incidents.minute is not None:
        midnight_s = midnight_s - incidents.minute.astype(np.int64) * 60
    start_s = np.where(chosen, midnight_s, known.start_s)
    end_s = np.where(chosen, midnight_s + HOURS_PER_DAY * HOUR_S, known.end_s)
    return replace(incidents, intervals=Intervals.evenly(start_s, end_s, n_hours, window, overlap))
