"""Incidents as columns."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.times.intervals import HourShares, Intervals
from models.units import Float32Array, FloatArray, IntArray


@dataclass(frozen=True)
class Incidents:
    """Columns of equal length n, sorted by time.

    Args:
        x_m, y_m: (n,) float32, metres in the projected CRS (0.5 m is lost at UTM northings).
        time_s: (n,) int64, UTC seconds since 1970; of an interval its start.
        window: (n,) int16, hour of the local week, 0..167; of an interval one drawn by its shares.
        category: (n,) int32, code of the category.
        arrived_s: (n,) int64, when each was first known, UTC seconds; None: not read.
        intervals: what is known of times that are not exact; None: all are exact to the hour.
        minute: (n,) int16, minute of the local hour, to find placeholders; None: not read.
    """

    x_m: Float32Array
    y_m: Float32Array
    time_s: IntArray
    window: NDArray[np.int16]
    category: NDArray[np.int32]
    arrived_s: IntArray | None = None
    intervals: Intervals | None = None
    minute: NDArray[np.int16] | None = None

    def __len__(self) -> int:
        return len(self.time_s)

    def take(self, rows: NDArray[Any] | slice) -> Incidents:
        """Return the incidents at these rows (a mask, indices or a slice)."""
        return Incidents(
            self.x_m[rows],
            self.y_m[rows],
            self.time_s[rows],
            self.window[rows],
            self.category[rows],
            None if self.arrived_s is None else self.arrived_s[rows],
            None if self.intervals is None else self.intervals.take(rows),
            None if self.minute is None else self.minute[rows],
        )

    def digest(self) -> bytes:
        """Return a digest of all columns, equal for equal incidents."""
        whole = hashlib.blake2b()
        for part in (self, self.intervals):
            for name, values in [] if part is None else vars(part).items():
                if isinstance(values, np.ndarray):
                    whole.update(f"{name}:{values.dtype}:{len(values)}:".encode())
                    whole.update(values.tobytes())
        return whole.digest()

    @property
    def at_s(self) -> IntArray:
        """Instants (n,) to count incidents at, UTC seconds: of an interval one in an hour drawn by share."""
        return self.time_s if self.intervals is None else self.intervals.at_s

    def by_hour(self) -> HourShares:
        """Return the incidents by hour of the week, those known as an interval once per hour it touches."""
        window = self.window.astype(np.int64)
        if self.intervals is None:
            return HourShares(np.arange(len(self)), window, np.ones(len(self)))
        found = self.intervals
        exact = np.flatnonzero(~found.is_interval)
        incident = np.concatenate([exact, found.incident])
        order = np.argsort(incident, kind="stable")
        return HourShares(
            incident[order],
            np.concatenate([window[exact], found.window.astype(np.int64)])[order],
            np.concatenate([np.ones(len(exact)), found.share.astype(np.float64)])[order],
        )

    def between(self, start_s: int, end_s: int) -> Incidents:
        """Return the incidents at or after the start and before the end; of an interval its start counts."""
        first, last = np.searchsorted(self.time_s, [start_s, end_s], side="left")
        return self.take(slice(int(first), int(last)))

    def shared_by(
        self, profiles: FloatArray, row: IntArray | None = None, seed: int = 0
    ) -> Incidents:
        """Return the incidents with intervals shared out by profiles of the week, and windows drawn by that.

        Args:
            profiles: (R, 168) positive rates of the hours of the week.
            row: (n,) profile of each incident; None: the first of all.
            seed: seeds the draws.
        """
        if self.intervals is None:
            return self
        found = self.intervals
        rate = profiles[0 if row is None else row[found.incident], found.window]
        shared, hour = found.with_weights(found.overlap * rate).drawn(seed)
        window = self.window.copy()
        window[shared.is_interval] = shared.window[hour]
        return replace(self, window=window, intervals=shared)

    def known_at(self, time_s: int) -> Incidents:
        """Return the incidents that had arrived by this instant; all, where arrivals were not read."""
        return self if self.arrived_s is None else self.take(self.arrived_s <= time_s)

    def before(self, time_s: int) -> Incidents:
        """Return the incidents strictly before this instant, those whose interval has ended by then."""
        early = self.take(slice(0, int(np.searchsorted(self.time_s, time_s, side="left"))))
        if early.intervals is None or early.intervals.end_s.max() <= time_s:
            return early
        return early.take(early.intervals.end_s <= time_s)

    def since(self, time_s: int) -> Incidents:
        """Return the incidents at or after this instant."""
        return self.take(slice(int(np.searchsorted(self.time_s, time_s, side="left")), None))
