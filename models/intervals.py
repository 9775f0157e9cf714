"""Times that are known as intervals: the hours each touches, and how much it counts in each.

Incidents whose interval lies within one hour are exact for every purpose here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]


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
    weight: NDArray[np.float64]


@dataclass(frozen=True)
class Intervals:
    """The intervals among n incidents; touched hours are stored for each in order of time.

    Args:
        end_s: (n,) int64, exclusive end, UTC seconds; where a time is exact, the time itself.
        first: (n + 1,) int64, the touched hours of incident i are rows first[i] to first[i + 1], none
            where its time is exact to the hour.
        window: (k,) int16, hour of the local week of each touched hour.
        overlap: (k,) float32, share of the hour, 0..1, that the interval covers.
        share: (k,) float32, probability that the incident happened in this hour; sums to one per
            interval. Before `models.aoristic` refines it, it is proportional to `overlap`.
    """

    end_s: IntArray
    first: IntArray
    window: NDArray[np.int16]
    overlap: NDArray[np.float32]
    share: NDArray[np.float32]

    @classmethod
    def of(
        cls,
        end_s: IntArray,
        n_hours: IntArray,
        window: NDArray[np.int16],
        overlap: NDArray[np.float32],
    ) -> Intervals:
        """Return intervals with shares proportional to the overlap; `n_hours` (n,) are touched by each."""
        first = np.concatenate([[0], np.cumsum(n_hours)]).astype(np.int64)
        plain = cls(end_s, first, window, overlap, overlap)
        return plain.with_weights(overlap.astype(np.float64))

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

    def take(self, rows: NDArray[Any] | slice) -> Intervals | None:
        """Return the intervals of the incidents at these rows; None when all their times are exact."""
        chosen = np.arange(len(self.end_s))[rows]
        n_hours = np.diff(self.first)[chosen]
        if not n_hours.any():
            return None
        first = np.concatenate([[0], np.cumsum(n_hours)]).astype(np.int64)
        hours = np.arange(first[-1]) + np.repeat(self.first[chosen] - first[:-1], n_hours)
        return Intervals(
            self.end_s[chosen], first, self.window[hours], self.overlap[hours], self.share[hours]
        )

    def drawn(self, seed: int) -> IntArray:
        """Draw one touched hour (k index) for each interval by its shares, in order of the incidents."""
        mine = np.flatnonzero(self.is_interval)
        upto = np.cumsum(self.share, dtype=np.float64)
        low = np.concatenate([[0.0], upto])[self.first[mine]]
        high = upto[self.first[mine + 1] - 1]
        target = low + (high - low) * np.random.default_rng(seed).random(len(mine))
        hour: IntArray = np.searchsorted(upto, target, side="right")
        return np.clip(hour, self.first[mine], self.first[mine + 1] - 1)
