"""Times that are known as intervals: the hours each touches, and how much it counts in each.

Incidents whose interval lies within one hour are exact for every purpose here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.units import HOUR_S, FloatArray, IntArray


@dataclass(frozen=True)
class HourShares:
    """Rows of incidents by hour of the week: an interval has one row per hour that it touches.

    Args:
        incident: (m,) index of the incident, ascending.
        window: (m,) int64, hour of the local week.
        weight: (m,) positive; the weights of an incident sum to one.
    """

    incident: IntArray
    window: IntArray
    weight: FloatArray

    def of(self, chosen: NDArray[np.bool_]) -> HourShares:
        """Return those of some incidents (n,), which are numbered anew."""
        number = np.cumsum(chosen) - 1
        rows = chosen[self.incident]
        return HourShares(number[self.incident[rows]], self.window[rows], self.weight[rows])

    @property
    def is_exact(self) -> bool:
        """Whether every incident has one hour."""
        return len(self.incident) == int(self.incident.max(initial=-1)) + 1

    def mean(self, values: FloatArray) -> FloatArray:
        """Return the means (n,) over each incident's hours of values (m,); exact ones stay bit for bit."""
        if self.is_exact:
            return values
        return np.bincount(self.incident, self.weight * values).astype(np.float64)

    def log_mean_exp(self, values: FloatArray) -> FloatArray:
        """Return the logarithms (n,) of the means over hours of the exponentials of values (m,)."""
        return values if self.is_exact else np.log(self.mean(np.exp(values)))


@dataclass(frozen=True)
class Intervals:
    """The intervals among n incidents; touched hours are stored for each in order of time.

    Args:
        start_s, end_s: (n,) int64, start and exclusive end, UTC seconds; both equal an exact time.
        at_s: (n,) int64, exact times, and an instant of each interval in an hour drawn by its shares, UTC
            seconds.
        first: (n + 1,) int64, the touched hours of incident i are rows first[i] to first[i + 1], none
            where its time is exact to the hour.
        window: (k,) int16, hour of the local week of each touched hour.
        overlap: (k,) float32, share of the hour, 0..1, that the interval covers.
        share: (k,) float32, probability that the incident happened in this hour; sums to one per
            interval. Before `models.times.aoristic` refines it, it is proportional to `overlap`.
    """

    start_s: IntArray
    end_s: IntArray
    at_s: IntArray
    first: IntArray
    window: NDArray[np.int16]
    overlap: NDArray[np.float32]
    share: NDArray[np.float32]

    @classmethod
    def evenly(
        cls,
        start_s: IntArray,
        end_s: IntArray,
        n_hours: IntArray,
        window: NDArray[np.int16],
        overlap: NDArray[np.float32],
    ) -> Intervals:
        """Return intervals with shares proportional to the overlap.

        Args:
            start_s, end_s: (n,) UTC seconds.
            n_hours: (n,) number of hours that each touches, 0 where the time is exact to the hour.
            window, overlap: (k,) as the attributes.
        """
        first = np.concatenate([[0], np.cumsum(n_hours)]).astype(np.int64)
        plain = cls(start_s, end_s, start_s, first, window, overlap, overlap)
        return plain.with_weights(overlap.astype(np.float64))

    @classmethod
    def exact(cls, time_s: IntArray) -> Intervals:
        """Return intervals of which none is longer than an hour."""
        no_hours = np.zeros(0, np.float32)
        first = np.zeros(len(time_s) + 1, np.int64)
        return cls(time_s, time_s, time_s, first, np.zeros(0, np.int16), no_hours, no_hours)

    @property
    def is_interval(self) -> NDArray[np.bool_]:
        """Whether each time (n,) is not exact to the hour."""
        return np.diff(self.first) > 0

    @property
    def incident(self) -> IntArray:
        """Index (k,) of the incident of each touched hour."""
        return np.repeat(np.arange(len(self.end_s)), np.diff(self.first))

    def with_weights(self, weight: NDArray[np.float64]) -> Intervals:
        """Return the intervals with shares proportional to weights (k,), positive somewhere in each."""
        incident = self.incident
        total = np.bincount(incident, weight, minlength=len(self.end_s))
        return replace(self, share=(weight / total[incident]).astype(np.float32))

    def drawn(self, seed: int) -> tuple[Intervals, IntArray]:
        """Return the intervals with new instants `at_s`, and the touched hour (i,) of each interval drawn."""
        mine = np.flatnonzero(self.is_interval)
        upto = np.concatenate([[0.0], np.cumsum(self.share, dtype=np.float64)])
        low, high = upto[self.first[mine]], upto[self.first[mine + 1]]
        target = low + (high - low) * np.random.default_rng(seed).random(len(mine))
        hour: IntArray = np.searchsorted(upto, target, side="right") - 1
        hour = np.clip(hour, self.first[mine], self.first[mine + 1] - 1)
        at_s = self.start_s.copy()
        at_s[mine] += (hour - self.first[mine]) * HOUR_S
        at_s[mine] = np.minimum(at_s[mine], self.end_s[mine] - 1)
        return replace(self, at_s=at_s), hour

    def take(self, rows: NDArray[Any] | slice) -> Intervals | None:
        """Return the intervals of the incidents at these rows; None when all their times are exact."""
        chosen = np.arange(len(self.end_s))[rows]
        n_hours = np.diff(self.first)[chosen]
        if not n_hours.any():
            return None
        first = np.concatenate([[0], np.cumsum(n_hours)]).astype(np.int64)
        hours = np.arange(first[-1]) + np.repeat(self.first[chosen] - first[:-1], n_hours)
        return Intervals(
            self.start_s[chosen],
            self.end_s[chosen],
            self.at_s[chosen],
            first,
            self.window[hours],
            self.overlap[hours],
            self.share[hours],
        )
