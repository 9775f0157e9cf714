"""The learned selection: which cells to choose for the next weeks, by rates and a tiling learned on the past.

1. Each place where incidents were reported has six rates, of memories from a month to six years.
2. A mixture of them is fitted to what the best cells held in the last periods (Poisson likelihood, by EM):
   choosing the top of a list favours places that were lucky, and the likelihood among them counts that in.
3. The tiling is chosen whose best cells hold the greatest rates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.base import HORIZON_DAYS, FitContext, TooFewIncidents
from models.contest.rules import SIDE_M, n_cells
from models.contest.tilings import Tiling, best_tiling, cell_sums, plain_squares
from models.incidents import Incidents
from models.units import DAY_S, FloatArray, IntArray

MEMORY_DAYS = (30, 90, 180, 365, 730, 2000)
"""Half-lives."""
PRIOR_WEIGHTS = np.array([0.07, 0.06, 0.12, 0.20, 0.27, 0.28])
"""What St. Louis, Toronto and Chicago had on average before their evaluated periods."""
PRIOR_INCIDENTS = 20.0
N_PERIODS = 13
TOP = 4
"""The mixture is fitted to this many times the cells of the largest area."""
NOT_LISTED = 1 << 40
_ROUNDS = 300
_OLDEST_DAYS = 3_700.0


@dataclass(frozen=True)
class Selection:
    """Cells, best first.

    Args:
        tiling: what they are cells of.
        ids: (k,) ids of the cells, as many as the largest area holds, or fewer where less is known.
        expected: (k,) incidents expected in each in 28 days.
        weights: (6,) of the rates of `MEMORY_DAYS`.
    """

    tiling: Tiling
    ids: IntArray
    expected: FloatArray
    weights: FloatArray

    def rank_of(self, x_m: NDArray[Any], y_m: NDArray[Any]) -> IntArray:
        """Return the place (n,) in the list of each point's cell, 0 is best; `NOT_LISTED` without one."""
        cell = self.tiling.cell_of(x_m, y_m)
        order = np.argsort(self.ids)
        place = np.minimum(np.searchsorted(self.ids[order], cell), len(order) - 1)
        return np.where(self.ids[order][place] == cell, order[place], NOT_LISTED)


@dataclass(frozen=True)
class Places:
    """Points at which incidents were reported, and which incident was at which.

    Args:
        x_m, y_m: (P,) points.
        place: (n,) point of each incident.
        time_s: (n,) when, ascending.
    """

    x_m: FloatArray
    y_m: FloatArray
    place: IntArray
    time_s: IntArray

    @classmethod
    def of(cls, incidents: Incidents) -> Places:
        """Find the points of incidents."""
        xy = np.column_stack([incidents.x_m, incidents.y_m])
        points, place = np.unique(xy, axis=0, return_inverse=True)
        x_m, y_m = points.astype(np.float64).T
        return cls(x_m, y_m, place.ravel(), incidents.time_s)

    def rates(self, cutoff_s: int) -> FloatArray:
        """Return incidents in 28 days by memory and place (6, P), as seen at an instant."""
        n = int(np.searchsorted(self.time_s, cutoff_s, side="left"))
        age_days = (cutoff_s - self.time_s[:n]) / DAY_S
        place = self.place[:n]
        # Stray early times must not lengthen the period that was observed.
        span_days = min(float(np.quantile(age_days, 0.995, method="higher")), _OLDEST_DAYS)
        known = age_days <= span_days
        age_days, place = age_days[known], place[known]
        rates = np.empty((len(MEMORY_DAYS), len(self.x_m)))
        for row, days in enumerate(MEMORY_DAYS):
            weight = np.exp2(-age_days / days)
            observed_days = days / np.log(2) * (1 - 2 ** (-max(span_days, 1.0) / days))
            total = np.bincount(place, weight, minlength=len(self.x_m))
            rates[row] = total * (HORIZON_DAYS / observed_days)
        return rates

    def counts(self, start_s: int, end_s: int) -> FloatArray:
        """Return the incidents (P,) of a period."""
        first, last = np.searchsorted(self.time_s, [start_s, end_s], side="left")
        found = np.bincount(self.place[first:last], minlength=len(self.x_m))
        return found.astype(np.float64)


def fit_selection(past: Incidents, context: FitContext, *, shifted_rows: bool = True) -> Selection:
    """Choose the cells for the time after the cutoff.

    Args:
        past: the incidents before the cutoff.
        context: its cutoff counts, and its progress is reported.
        shifted_rows: whether rows of cells may be shifted against each other.

    Raises:
        TooFewIncidents: there are none.
        FitCancelled: the caller asked to stop.
    """
    past = past.before(context.cutoff_s)
    if not len(past):
        raise TooFewIncidents("a selection cannot be learned from no incidents")
    places = Places.of(past)
    context.report(0.0, "learning what the past says of the next weeks")
    weights = learned_weights(places, context.cutoff_s)
    worth = weights @ places.rates(context.cutoff_s)
    context.report(0.3, "searching a tiling")
    near = near_the_best(places, worth)
    x_m, y_m, near_worth = places.x_m[near], places.y_m[near], worth[near]
    tiling = best_tiling(x_m, y_m, near_worth, shifted_rows=shifted_rows)
    return chosen(places, worth, tiling, weights)


def chosen(places: Places, worth: FloatArray, tiling: Tiling, weights: FloatArray) -> Selection:
    """Return the best cells of a tiling, given what each place is worth (P,)."""
    ids, expected = cell_sums(tiling.cell_of(places.x_m, places.y_m), worth)
    n = min(int(n_cells(tiling.cell_km2)[-1]), int((expected > 0).sum()))
    return Selection(tiling, ids[:n], expected[:n], weights)


def learned_weights(places: Places, cutoff_s: int) -> FloatArray:
    """Return the weights (6,) of the rates, as likely as possible in the best squares of the last periods."""
    cells = plain_squares().cell_of(places.x_m, places.y_m)
    _, cell = np.unique(cells, return_inverse=True)
    first_s = int(places.time_s[len(places.time_s) // 200])
    n_top = TOP * int(n_cells()[-1])
    rates, counts = [], []
    for k in range(1, N_PERIODS + 1):
        start_s = cutoff_s - k * HORIZON_DAYS * DAY_S
        if start_s - first_s < HORIZON_DAYS * DAY_S:
            break
        seen = np.stack([np.bincount(cell, rate) for rate in places.rates(start_s)])
        found = np.bincount(cell, places.counts(start_s, start_s + HORIZON_DAYS * DAY_S))
        top = np.argsort(-seen[MEMORY_DAYS.index(365)], kind="stable")[:n_top]
        rates.append(seen[:, top])
        counts.append(found[top])
    if not rates:
        return PRIOR_WEIGHTS
    return _most_likely(np.concatenate(rates, axis=1), np.concatenate(counts))


def _most_likely(rates: FloatArray, counts: FloatArray) -> FloatArray:
    """Return the weights (6,) of a Poisson mixture of rates (6, C), with a gamma prior, by EM."""
    exposure = rates.sum(axis=1) + PRIOR_INCIDENTS
    held = counts > 0
    rates, counts = rates[:, held] + 1e-12, counts[held]
    weights = PRIOR_WEIGHTS
    for _ in range(_ROUNDS):
        due = weights * (rates @ (counts / (weights @ rates)))
        weights = (due + PRIOR_INCIDENTS * PRIOR_WEIGHTS) / exposure
    return np.asarray(weights, np.float64)


def near_the_best(places: Places, worth: FloatArray) -> IntArray:
    """Return the places (k,) near which a cell could be among the best ones.

    A cell reaches little beyond three by three squares; where these together hold less than the last chosen
    square does, no cell comes near it.
    """
    ix = np.floor(places.x_m / SIDE_M).astype(np.int64)
    iy = np.floor(places.y_m / SIDE_M).astype(np.int64)
    ix, iy = ix - ix.min() + 1, iy - iy.min() + 1
    n_columns = int(ix.max()) + 2
    square, place = np.unique(iy * n_columns + ix, return_inverse=True)
    held = np.bincount(place, worth)
    around = np.zeros(len(square))
    for step in (dy * n_columns + dx for dy in (-1, 0, 1) for dx in (-1, 0, 1)):
        at = np.minimum(np.searchsorted(square, square + step), len(square) - 1)
        around += np.where(square[at] == square + step, held[at], 0.0)
    best = np.sort(held)[::-1]
    threshold = best[min(int(n_cells()[-1]), len(best)) - 1]
    return np.flatnonzero(around[place] >= threshold)
