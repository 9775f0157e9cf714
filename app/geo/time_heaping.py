"""Times of day that stand for unknown ones, at which records accumulate.

Nothing here depends on a fixed number of incidents: a heap must hold a share of all incidents and be more
than chance makes of the hours around it, so the same rules serve a village and a capital.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrc, betainc, chdtrc

MINUTES_OF_DAY = 1440
HOURS_AROUND = 3
SPIKE_TIMES = 3.0
SPIKE_SHARE = 0.004
WHOLE_HOURS_SHARE = 0.99
NAMED_MINUTES = (0, 1, 720, 721)
"""Midnight, 12:01 a.m., noon, 12:01 p.m.: what forms and systems write for "unknown"."""
ONE_TIME_SHARE = 0.9
BUSIEST_HOUR = 0.25
"""No hour of the day holds a larger share of a city's incidents whose times are known."""
CHANCE = 1e-6
ALIKE_P = 0.01


@dataclass(frozen=True)
class ClockTime:
    """A minute of the local day.

    Args:
        share: of all incidents.
        times_expected: ratio to the same minute of the hours around it; None if these have none.
        spike: whether that is far more than the course of the day explains.
        n_expected: what the hours around suggest.
    """

    minute: int
    n_incidents: int
    share: float
    times_expected: float | None
    spike: bool
    n_expected: float = 0.0

    @property
    def label(self) -> str:
        """The time as `00:01`."""
        return clock_label(self.minute)


@dataclass(frozen=True)
class OneTime:
    """The time of day that nearly all incidents have.

    Args:
        at: as the local clock shows it; two if it is one time of another zone.
        date_only: whether it is midnight, local or of UTC: dates without a time.
    """

    at: list[str]
    n_incidents: int
    share: float
    date_only: bool


def clock_label(minute: int) -> str:
    """Return a minute of the day as `00:01`."""
    return f"{minute // 60:02d}:{minute % 60:02d}"


def clock_times(by_minute: NDArray[np.int64]) -> list[ClockTime]:
    """Return the four named minutes and every other spike, by minute.

    The expected number of a minute is the mean of the same minute of the three hours before and after,
    the largest left out (it may be a heap too), since reports favour full and half hours in all hours
    alike. A spike has three times that and 0.4 % of all incidents, and so many have a predictive
    probability of less than one in a million, given the hours around (Poisson counts of an unknown rate).

    Args:
        by_minute: (1440,) incidents at each local minute of the day.
    """
    total = int(by_minute.sum())
    around = np.stack(
        [np.roll(by_minute, 60 * h) for h in range(-HOURS_AROUND, HOURS_AROUND + 1) if h]
    )
    ordinary = around.sum(axis=0) - around.max(axis=0)
    n_hours = len(around) - 1
    expected = ordinary / n_hours
    # A gamma posterior of the rate gives a negative binomial count.
    at_least_one = betainc(np.maximum(by_minute, 1), ordinary + 1, 1 / (n_hours + 1))
    chance = np.where(by_minute > 0, at_least_one, 1.0)
    enough = (by_minute >= SPIKE_SHARE * total) & (by_minute >= SPIKE_TIMES * expected)
    spikes = enough & (chance < CHANCE)
    minutes = sorted({*NAMED_MINUTES, *np.flatnonzero(spikes).tolist()})
    return [
        ClockTime(
            minute,
            int(by_minute[minute]),
            float(by_minute[minute]) / max(total, 1),
            float(by_minute[minute] / expected[minute]) if expected[minute] else None,
            bool(spikes[minute]),
            float(expected[minute]),
        )
        for minute in minutes
    ]


def excess_share(times: list[ClockTime], n_incidents: int) -> float:
    """Return the share of incidents at spikes beyond what the hours around suggest."""
    excess = sum(time.n_incidents - time.n_expected for time in times if time.spike)
    return float(excess / max(n_incidents, 1))


def one_time_of_day(
    by_minute: NDArray[np.int64], by_utc_minute: NDArray[np.int64]
) -> OneTime | None:
    """Return the one time of day that 90 % of the incidents share, or None.

    Known times would not agree so by chance: no hour of the day has more than a quarter of them.

    Args:
        by_minute: (1440,) incidents at each local minute of the day.
        by_utc_minute: (1440,) incidents at each minute of the UTC day: one time of another zone is two
            local ones, if the clock changes.
    """
    total = int(by_minute.sum())
    for counts, is_local in ((by_minute, True), (by_utc_minute, False)):
        n = int(counts.max(initial=0))
        if n == 0 or n < ONE_TIME_SHARE * total or bdtrc(n - 1, total, BUSIEST_HOUR) >= CHANCE:
            continue
        minute = int(counts.argmax())
        common = np.flatnonzero(by_minute >= (1 - ONE_TIME_SHARE) * total)
        at = [minute] if is_local else common.tolist()
        midnight = minute == 0 or (is_local and int(by_utc_minute[0]) >= ONE_TIME_SHARE * total)
        return OneTime([clock_label(m) for m in at], n, n / total, bool(midnight))
    return None


def hours_alike(by_minute: NDArray[np.int64], spikes: list[ClockTime]) -> bool:
    """Return whether the hours of the day differ no more than by chance, heaped times aside."""
    counts = by_minute.astype(np.float64)
    for time in spikes:
        if time.spike:
            counts[time.minute] = time.n_expected
    by_hour = counts.reshape(24, 60).sum(axis=1)
    if by_hour.sum() == 0:
        return True
    mean = by_hour.mean()
    # Pearson's chi-square test; scipy.stats, which has it, would slow the start.
    return bool(chdtrc(len(by_hour) - 1, ((by_hour - mean) ** 2 / mean).sum()) >= ALIKE_P)


def resolution(by_minute: NDArray[np.int64]) -> str | None:
    """Return `hour` if 99 % of the times are full hours, otherwise `minute`; None without any."""
    total = by_minute.sum()
    if total == 0:
        return None
    whole = by_minute[::60].sum()
    return "hour" if whole >= WHOLE_HOURS_SHARE * total else "minute"
