"""Score forecasts on streets as cells are scored: what the best streets of equal length catch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from models.densities.prior_counts import PRIOR_DAYS
from models.densities.state import mean_over_hours
from models.streets.ranking import caught_parts
from models.streets.shares import Ground, Snapped, choose_bandwidth, street_shares
from models.times.intervals import HourShares
from models.units import DAY_S, FloatArray, IntArray

PERCENTS = (1, 5, 10, 20)
"""Of the streets' length."""
ALL_HOURS, BY_HOUR, CELLS, COUNTS = "all_hours", "by_hour", "cells", "counts"


@dataclass(frozen=True)
class StreetTest:
    """Streets and test incidents of one origin, on which all models are scored.

    Args:
        length_m: (S,) of the segments.
        by_length: (S, N) shares of cells by length alone.
        shares: (S, N) shares of cells by the kernel.
        counts: (S,) incidents of the year before.
        segment: (n,) segment of each test incident, -1 far from every street.
        bandwidth_m: of the kernel.
    """

    length_m: FloatArray
    by_length: csr_array
    shares: csr_array
    counts: FloatArray
    segment: IntArray
    bandwidth_m: float

    @classmethod
    def of(
        cls,
        ground: Ground,
        by_length: csr_array,
        past: Snapped,
        cutoff_s: int,
        lixel: IntArray,
        minimum: int = 0,
    ) -> StreetTest:
        """Learn shares and counts from the past alone.

        Args:
            ground: the streets over the cells.
            by_length: `length_shares` of the ground.
            past: what was known at the origin.
            cutoff_s: the end of the data, UTC seconds.
            lixel: (n,) lixel of each test incident, -1 on none.
            minimum: see `street_shares`.
        """
        bandwidth_m = choose_bandwidth(ground, past, cutoff_s)
        year = past.between(cutoff_s - PRIOR_DAYS * DAY_S, np.inf)
        segment = ground.lixels.segment
        counts = np.bincount(segment[year.lixel], minlength=len(ground.network))
        return cls(
            ground.network.length_m,
            by_length,
            street_shares(ground, past, bandwidth_m, minimum).astype(np.float32),
            counts.astype(np.float64),
            np.where(lixel < 0, -1, segment[lixel]),
            bandwidth_m,
        )

    def caught(
        self, tables: FloatArray, rates: FloatArray, hours: HourShares
    ) -> dict[str, FloatArray]:
        """Return which part (n, K) of each test incident each ranking catches at `PERCENTS` of the length.

        `all_hours`: one list for all hours; `by_hour`: an incident is judged by its hour's own list;
        `cells`: one list of the same cells, shared among their streets by length alone; `counts`: segments
        by their incidents of the year before.

        Args:
            tables: (W, N) probabilities of cells, W = 1 or 168.
            rates: (168,) by which hours weigh in the lists for all hours.
            hours: of the test incidents (n).
        """
        together = mean_over_hours(tables, rates)
        expected = {
            ALL_HOURS: self.shares @ together,
            CELLS: self.by_length @ together,
            COUNTS: self.counts,
        }
        found = {name: self._parts(one, self.segment) for name, one in expected.items()}
        if len(tables) == 1:
            return {**found, BY_HOUR: found[ALL_HOURS]}
        each = np.zeros((len(hours.incident), len(PERCENTS)))
        for window in np.unique(hours.window).tolist():
            mine = hours.window == window
            each[mine] = self._parts(
                self.shares @ tables[window], self.segment[hours.incident[mine]]
            )
        return {**found, BY_HOUR: np.stack([hours.mean(column) for column in each.T], axis=1)}

    def _parts(self, expected: FloatArray, segment: IntArray) -> FloatArray:
        return caught_parts(expected, self.length_m, segment, PERCENTS)
