"""Times of day that stand for unknown ones, at which records accumulate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MINUTES_OF_DAY = 1440
HOURS_AROUND = 3
SPIKE_TIMES = 3.0
SPIKE_SHARE = 0.004
WHOLE_HOURS_SHARE = 0.99
MIN_INCIDENTS = 100
NAMED_MINUTES = (0, 1, 720, 721)
"""Midnight, 12:01 a.m., noon, 12:01 p.m.: what forms and systems write for "unknown"."""


@dataclass(frozen=True)
class ClockTime:
    """A minute of the local day.

    Args:
        share: of all incidents.
        times_expected: ratio to the same minute of the hours around it.
        spike: whether that is far more than the course of the day explains.
    """

    minute: int
    n_incidents: int
    share: float
    times_expected: float | None
    spike: bool

    @property
    def label(self) -> str:
        """The time as `00:01`."""
        return f"{self.minute // 60:02d}:{self.minute % 60:02d}"


def clock_times(by_minute: NDArray[np.int64]) -> list[ClockTime]:
    """Return the four named minutes and every other spike, by minute.

    The expected number of a minute is the median of the same minute of the three hours before and
    after, since reports favour full and half hours in all hours alike. A spike has three times that and
    0.4 % of all incidents.

    Args:
        by_minute: (1440,) incidents at each local minute of the day.
    """
    total = int(by_minute.sum())
    around = np.stack(
        [np.roll(by_minute, 60 * h) for h in range(-HOURS_AROUND, HOURS_AROUND + 1) if h]
    )
    expected = np.median(around, axis=0)
    enough = by_minute >= max(MIN_INCIDENTS, SPIKE_SHARE * total)
    spikes = enough & (by_minute >= SPIKE_TIMES * expected)
    minutes = sorted({*NAMED_MINUTES, *np.flatnonzero(spikes).tolist()})
    return [
        ClockTime(
            minute,
            int(by_minute[minute]),
            float(by_minute[minute]) / max(total, 1),
            float(by_minute[minute] / expected[minute]) if expected[minute] else None,
            bool(spikes[minute]),
        )
        for minute in minutes
    ]


def resolution(by_minute: NDArray[np.int64]) -> str | None:
    """Return `hour` if 99 % of the times are full hours, otherwise `minute`; None without any."""
    total = by_minute.sum()
    if total == 0:
        return None
    whole = by_minute[::60].sum()
    return "hour" if whole >= WHOLE_HOURS_SHARE * total else "minute"
