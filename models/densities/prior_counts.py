"""Last year's incidents per cell: the list that every analyst can make in a spreadsheet.

A year's counts say nothing about places without an incident. The probability that the next one falls in a
cell that had none is taken to be the share of incidents that are alone in their cell (Good 1953, "The
population frequencies of species and the estimation of population parameters", after Turing).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np

from models.base import Cells, DensityModel, FitContext, normalised
from models.densities.smoothing import inside
from models.incidents import Incidents
from models.times.intervals import HourShares
from models.units import DAY_S, N_WINDOWS, FloatArray, IntArray

PRIOR_DAYS = 365
MIN_FLOOR, MAX_FLOOR = 1e-3, 0.999
"""Bounds of the share of probability that counts do not decide."""
HOUR_PRIOR_INCIDENTS = 3_000.0
"""Incidents spread by all hours that are added to each hour's own."""


class PriorCounts(DensityModel):
    """Incidents per cell in the last `days` before the cutoff, all hours together.

    Probabilities are shares of the counts, but for a floor spread evenly over the study area: the share of
    incidents that are alone in their cell, within `MIN_FLOOR`..`MAX_FLOOR`. So cells rank by count, equal
    counts by area, and equal areas by cell id (`models.evaluation.metrics.ranked_rows`).

    Args:
        days: length of the period that is counted.
    """

    name: ClassVar[str] = "prior-counts"

    def __init__(self, days: int = PRIOR_DAYS) -> None:
        self.days = days

    def fit(self, incidents: Incidents, cells: Cells, context: FitContext) -> Self:
        """Count the incidents of the days before the cutoff."""
        recent = incidents.since(context.cutoff_s - self.days * DAY_S)
        known, cell = inside(recent, cells, context.cutoff_s)
        context.report(0.5, f"counting {len(known)} incidents")
        count = np.bincount(cell, minlength=len(cells.area_km2)).astype(np.float64)
        self.n_counted_ = len(known)
        self.floor_ = share_of_lone(count)
        self.area_km2_ = cells.area_km2
        self.probability_ = self._table(
            normalised(count, cells.area_km2, self.floor_), known.by_hour(), cell
        )
        self.category_density_ = {}
        return self

    def _table(self, all_hours: FloatArray, hours: HourShares, cell: IntArray) -> FloatArray:
        """Return the probabilities (W, N), given those of all hours (N,)."""
        return all_hours[None, :]

    def report(self) -> Mapping[str, Any]:
        """Return the number of incidents counted, and the floor."""
        return {"incidents": self.n_counted_, "days": self.days, "floor": round(self.floor_, 4)}


class PriorCountsHourly(PriorCounts):
    """The same by hour of the week; an incident known as an interval counts in each hour by its share.

    An hour has too few incidents for a list of its own, so `HOUR_PRIOR_INCIDENTS` spread like `PriorCounts`
    are added to them: the more an hour has, the more its own counts decide.
    """

    name: ClassVar[str] = "prior-counts-hourly"

    def _table(self, all_hours: FloatArray, hours: HourShares, cell: IntArray) -> FloatArray:
        n_cells = len(all_hours)
        key = hours.window * n_cells + cell[hours.incident]
        own = np.bincount(key, hours.weight, N_WINDOWS * n_cells).astype(np.float64)
        table: FloatArray = own.reshape(N_WINDOWS, n_cells)
        table += HOUR_PRIOR_INCIDENTS * all_hours
        table /= table.sum(axis=1, keepdims=True)
        return table


def share_of_lone(count: FloatArray) -> float:
    """Return the share of incidents that are alone in their cell, within the bounds of a floor.

    >>> share_of_lone(np.array([1.0, 3.0, 0.0]))
    0.25
    """
    total = count.sum()
    share = count[count == 1.0].sum() / total if total > 0 else 1.0
    return float(np.clip(share, MIN_FLOOR, MAX_FLOOR))
