"""Gradient boosting on the recent history of each cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor

from models.base import HORIZON_DAYS, Cells, DensityModel, FitContext, normalised
from models.densities.kde import MULTI_BANDWIDTHS_M, MultiKde
from models.densities.smoothing import Smoother, inside, snap
from models.incidents import Incidents
from models.units import DAY_S, FloatArray, IntArray

RECENT_DAYS = (7, 14, 28, 56, 91, 182, 365)
N_PERIODS = 8
MIN_HISTORY_DAYS = 180
MIN_WEIGHT = 0.0005
N_FEATURES = 2 * len(RECENT_DAYS) + 7
_BOOSTING: Mapping[str, Any] = {
    "loss": "poisson",
    "max_iter": 60,
    "learning_rate": 0.1,
    "max_leaf_nodes": 12,
    "min_samples_leaf": 200,
    "l2_regularization": 5.0,
    "max_bins": 48,  # weighted percentiles of 255 bins take longer than the boosting itself
    "early_stopping": False,
    "random_state": 0,
}


class History(DensityModel):
    """Poisson gradient boosting of each cell's incidents on its own recent counts.

    There is one row per cell and past period of 28 days. The target is the period's count over that
    expected by the backbone (a mixture of kernels fitted to earlier incidents), weighted by the
    expected count, which makes the backbone an offset. Features are counts of the last 7 to 365 days
    in and around the cell relative to the backbone, the same weeks a year ago, long-run counts and
    the position.

    Args:
        n_periods: number of past periods to learn from.
    """

    name: ClassVar[str] = "history"

    def __init__(self, n_periods: int = N_PERIODS) -> None:
        self.n_periods = n_periods

    def fit(self, incidents: Incidents, cells: Cells, context: FitContext) -> Self:
        """Fit to past periods, then forecast the one after the cutoff."""
        known, cell = inside(incidents, cells, context.cutoff_s)
        table = _CellHistory(known, cell, cells)
        origins_s = self._origins(known, context.cutoff_s)
        self.n_periods_used_ = len(origins_s)
        now, *past = _backbones(known, cells, [context.cutoff_s, *origins_s], context.part(0, 0.5))
        probability = now
        if origins_s:
            shape = len(origins_s), len(now)
            # Filled in place: those of a quarter of a million cells take 340 MB.
            features = np.empty((*shape, N_FEATURES))
            ratio, weight = np.empty(shape), np.empty(shape)
            for place, (at_s, then) in enumerate(zip(origins_s, past, strict=True)):
                features[place], ratio[place], weight[place] = table.training_rows(at_s, then)
            context.report(0.6, f"boosting on {len(origins_s)} periods")
            boosting = HistGradientBoostingRegressor(**_BOOSTING)
            boosting.fit(
                features.reshape(-1, N_FEATURES), ratio.ravel(), sample_weight=weight.ravel()
            )
            probability = now * boosting.predict(table.features(context.cutoff_s, now))
        self.area_km2_ = cells.area_km2
        self.probability_ = normalised(probability, self.area_km2_)[None, :]
        self.category_density_ = {}
        return self

    def _origins(self, known: Incidents, cutoff_s: int) -> list[int]:
        """Return starts of past periods that have incidents and enough history before them."""
        starts = cutoff_s - HORIZON_DAYS * DAY_S * np.arange(1, self.n_periods + 1)
        if len(known) == 0:
            return []
        long_enough = starts - known.time_s[0] >= MIN_HISTORY_DAYS * DAY_S
        edges = np.searchsorted(known.time_s, [starts, starts + HORIZON_DAYS * DAY_S])
        return [int(s) for s in starts[long_enough & (edges[1] > edges[0])]]

    def report(self) -> Mapping[str, Any]:
        """Return the number of past periods used."""
        return {"periods": self.n_periods_used_}


def _backbones(
    known: Incidents, cells: Cells, at_s: Sequence[int], context: FitContext
) -> FloatArray:
    """Fit kernel mixtures (K, N) to the incidents before each instant, with the weights of the first."""
    weights = MultiKde(n_folds=1).fit(known, cells, context).weights_
    sites = snap(known, cells)
    smoother = Smoother(sites, cells)
    ends = np.searchsorted(known.time_s, at_s)
    counts = np.stack([sites.count(rows=slice(0, int(end))) for end in ends])
    total = np.zeros((len(at_s), len(cells.area_km2)))
    for weight, bandwidth_m in zip(weights, MULTI_BANDWIDTHS_M, strict=True):
        if weight > MIN_WEIGHT:
            total += weight * normalised(smoother.smooth(counts, bandwidth_m), cells.area_km2)
    return normalised(total, cells.area_km2)


class _CellHistory:
    """Counts of incidents per cell over any span, and features derived from them."""

    def __init__(self, known: Incidents, cell: IntArray, cells: Cells) -> None:
        self.time_s, self.cell, self.cells = known.time_s, cell, cells
        self.n_cells = len(cells.area_km2)

    def counts(self, start_s: int, end_s: int) -> FloatArray:
        """Count the incidents per cell (N,) with start <= time < end."""
        low, high = np.searchsorted(self.time_s, [start_s, end_s])
        return np.bincount(self.cell[low:high], minlength=self.n_cells).astype(np.float64)

    def training_rows(
        self, origin_s: int, backbone: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return features (N, F), observed over expected counts (N,), and expected counts (N,)."""
        counts = self.counts(origin_s, origin_s + HORIZON_DAYS * DAY_S)
        expected = backbone * counts.sum()
        return self.features(origin_s, backbone), counts / expected, expected

    def features(self, at_s: int, backbone: FloatArray) -> FloatArray:
        """Return features (N, F) of each cell as known at an instant."""
        around = self._around(backbone, 1)
        columns = [np.log(backbone)]
        for days in RECENT_DAYS:
            recent = self.counts(at_s - days * DAY_S, at_s)
            columns.append(_excess(recent, backbone * recent.sum()))
            columns.append(_excess(self._around(recent, 1), around * recent.sum()))
        year_ago = self.counts(at_s - 365 * DAY_S, at_s - (365 - HORIZON_DAYS) * DAY_S)
        columns.append(_excess(self._around(year_ago, 1), around * year_ago.sum()))
        ever = self.counts(int(self.time_s[0]), at_s)
        columns += [np.log(self._around(ever, r) + 0.5) for r in (0, 1, 3)]
        columns += [self.cells.ix.astype(np.float64), self.cells.iy.astype(np.float64)]
        return np.stack(columns, axis=1)

    def _around(self, values: FloatArray, radius: int) -> FloatArray:
        """Return sums (N,) over the square of cells up to `radius` away."""
        side = 2 * radius + 1
        padded = np.zeros((self.cells.ny + 2 * radius, self.cells.nx + 2 * radius))
        padded[self.cells.iy + radius, self.cells.ix + radius] = values
        lines = np.add.reduce([padded[k : k + self.cells.ny] for k in range(side)])
        squares = np.add.reduce([lines[:, k : k + self.cells.nx] for k in range(side)])
        return np.asarray(squares[self.cells.iy, self.cells.ix], np.float64)


def _excess(observed: FloatArray, expected: FloatArray) -> FloatArray:
    """Return the log ratio, zero where nothing was observed or expected."""
    ratio: FloatArray = np.log((observed + 1.0) / (expected + 1.0))
    return ratio
