"""Kernel density estimates: pooled over hours, with several bandwidths, or per window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from models.base import Cells, DensityModel, FitContext, normalised
from models.densities.folds import Fold, best_of_grid, inner_folds, pooled_weights
from models.densities.small_sample import shrink_to_uniform
from models.densities.smoothing import Sites, Smoother, inside, snap
from models.incidents import Incidents
from models.times.intervals import HourShares
from models.units import N_WINDOWS, FloatArray

BANDWIDTHS_M = (
    5.0,
    10,
    20,
    30,
    45,
    60,
    80,
    100,
    130,
    170,
    220,
    300,
    420,
    600,
    850,
    1200,
    2000,
    3500,
)
"""The smallest stay within a cell, which is best with much data on a street grid."""
MULTI_BANDWIDTHS_M = (1.0, 25, 60, 120, 250, 500, 1000, 2500)
"""The first stays within a cell, as cities whose incidents are snapped to corners need."""
START_BANDWIDTH_M = 80.0


def rule_of_thumb_m(incidents: Incidents) -> float:
    """Return Scott's bandwidth in metres, for samples too small to validate one.

    Scott (1992), "Multivariate Density Estimation", h = sd n^(-1/6) in two dimensions, but at least
    100 m, because a handful of incidents says little about single addresses.
    """
    n = len(incidents)
    if n < 2:
        return 1000.0
    spread_m = float(np.sqrt(0.5 * (np.var(incidents.x_m) + np.var(incidents.y_m))))
    return float(np.clip(spread_m * n ** (-1 / 6), 100.0, 3000.0))


def nearest_to_rule(bandwidths_m: Sequence[float], incidents: Incidents) -> int:
    """Return the position of the bandwidth nearest to that of the rule of thumb, by ratio."""
    ratio = np.array(bandwidths_m) / rule_of_thumb_m(incidents)
    return int(np.abs(np.log(ratio)).argmin())


def fitted_weights(fitted: FloatArray, sites: Sites, folds: Sequence[Fold]) -> FloatArray:
    """Return the weights (K,) with which components (K, folds, N) best forecast the folds' incidents."""
    tests = [sites.cell_of(fold.test) for fold in folds]
    return pooled_weights([fitted[:, i] for i in range(len(folds))], tests)


class PooledKde(DensityModel):
    """One kernel density for all hours, with a bandwidth chosen on past periods.

    Args:
        bandwidth_m: standard deviation of the kernel; None chooses it on `n_folds` periods of 28
            days before the cutoff.
        n_folds: number of these periods.
    """

    name: ClassVar[str] = "pooled-kde"

    def __init__(self, bandwidth_m: float | None = None, n_folds: int = 3) -> None:
        self.bandwidth_m = bandwidth_m
        self.n_folds = n_folds

    def fit(self, incidents: Incidents, cells: Cells, context: FitContext) -> Self:
        """Choose the bandwidth, then smooth all incidents."""
        known, cell = inside(incidents, cells, context.cutoff_s)
        sites = snap(known, cells, cell)
        smoother = Smoother(sites, cells)
        folds = inner_folds(known, context.cutoff_s, self.n_folds)
        self.n_folds_used_ = len(folds)
        self.bandwidth_m_ = self.bandwidth_m or self._choose(known, smoother, folds)
        context.report(0.8, f"bandwidth {self.bandwidth_m_:.0f} m")
        count = sites.count()
        self.leaked_share_ = smoother.leaked_share(count, self.bandwidth_m_)
        self.area_km2_ = cells.area_km2
        smoothed = normalised(smoother.smooth(count, self.bandwidth_m_), self.area_km2_)
        if not folds and self.bandwidth_m is None:
            smoothed = shrink_to_uniform(smoothed, len(known), self.area_km2_)
        self.probability_ = smoothed[None, :]
        self.category_density_ = {}
        return self

    def _choose(self, known: Incidents, smoother: Smoother, folds: Sequence[Fold]) -> float:
        if not folds:
            return rule_of_thumb_m(known)
        sites, area_km2 = smoother.sites, smoother.cells.area_km2
        trains = np.stack([sites.count(rows=fold.train) for fold in folds])
        tests = [sites.cell_of(fold.test) for fold in folds]

        def score(bandwidth_m: float) -> float:
            fitted = normalised(smoother.smooth(trains, bandwidth_m), area_km2)
            pairs = zip(fitted, tests, strict=True)
            return sum(float(np.mean(np.log(row[test]))) for row, test in pairs)

        return best_of_grid(score, BANDWIDTHS_M, START_BANDWIDTH_M)

    def report(self) -> Mapping[str, Any]:
        """Return the bandwidth, the number of validation periods and the leaked mass."""
        return {
            "bandwidth_m": self.bandwidth_m_,
            "validation_periods": self.n_folds_used_,
            "leaked_share": self.leaked_share_,
        }


class MultiKde(DensityModel):
    """A mixture of kernel densities of several bandwidths, weighted by EM on past periods.

    Args:
        bandwidths_m: standard deviations of the components' kernels.
        n_folds: number of 28-day periods before the cutoff that the weights are fitted to.
    """

    name: ClassVar[str] = "multi-kde"

    def __init__(
        self, bandwidths_m: Sequence[float] = MULTI_BANDWIDTHS_M, n_folds: int = 3
    ) -> None:
        self.bandwidths_m = bandwidths_m
        self.n_folds = n_folds

    def fit(self, incidents: Incidents, cells: Cells, context: FitContext) -> Self:
        """Fit the weights, then mix the densities of all incidents."""
        known, cell = inside(incidents, cells, context.cutoff_s)
        sites = snap(known, cells, cell)
        smoother = Smoother(sites, cells)
        folds = inner_folds(known, context.cutoff_s, self.n_folds)
        self.n_folds_used_ = len(folds)
        counts = np.stack([sites.count(), *(sites.count(rows=fold.train) for fold in folds)])
        fitted = self._components(counts, smoother, context)
        if folds:
            self.weights_ = fitted_weights(fitted[:, 1:], sites, folds)
        else:
            nearest = nearest_to_rule(self.bandwidths_m, known)
            self.weights_ = np.eye(len(self.bandwidths_m))[nearest]
        self.leaked_share_ = float(
            sum(
                weight * smoother.leaked_share(counts[0], bandwidth_m)
                for weight, bandwidth_m in zip(self.weights_, self.bandwidths_m, strict=True)
            )
        )
        self.area_km2_ = cells.area_km2
        mixed = normalised(self.weights_ @ fitted[:, 0], self.area_km2_)
        if not folds:
            mixed = shrink_to_uniform(mixed, len(known), self.area_km2_)
        self.probability_ = mixed[None, :]
        self.category_density_ = {}
        return self

    def _components(
        self, counts: FloatArray, smoother: Smoother, context: FitContext
    ) -> FloatArray:
        """Fit densities (K, 1 + folds, N) to all incidents and to those before each fold."""
        parts = []
        for i, bandwidth_m in enumerate(self.bandwidths_m):
            context.report(i / len(self.bandwidths_m), f"bandwidth {bandwidth_m:.0f} m")
            smoothed = smoother.smooth(counts, bandwidth_m)
            parts.append(normalised(smoothed, smoother.cells.area_km2))
        return np.stack(parts)

    def report(self) -> Mapping[str, Any]:
        """Return the weight of each bandwidth and the leaked mass."""
        weights = zip(self.bandwidths_m, self.weights_, strict=True)
        return {
            "weights": {f"{bandwidth_m:g} m": float(weight) for bandwidth_m, weight in weights},
            "validation_periods": self.n_folds_used_,
            "leaked_share": self.leaked_share_,
        }


class WindowKde(DensityModel):
    """One kernel density per hour of the week, fitted to its own incidents only.

    The bandwidth of a window with n incidents is `c n^(-1/6)`, the rate of Scott's rule. The common
    factor c is chosen on past periods, since single windows have too few incidents for validation.
    Windows with fewer than `MIN_WINDOW` incidents get the density of all hours.

    Args:
        n_folds: number of 28-day periods before the cutoff used for the choice.
    """

    name: ClassVar[str] = "window-kde"
    FACTORS_M: ClassVar[tuple[float, ...]] = (400, 600, 850, 1200, 1700, 2400, 3400, 4800, 6800)
    N_BANDWIDTHS: ClassVar[int] = 12
    MIN_WINDOW: ClassVar[int] = 10

    def __init__(self, n_folds: int = 1) -> None:
        self.n_folds = n_folds

    def fit(self, incidents: Incidents, cells: Cells, context: FitContext) -> Self:
        """Choose the common factor, then smooth each window."""
        known, cell = inside(incidents, cells, context.cutoff_s)
        smoother = Smoother(snap(known, cells, cell), cells)
        folds = inner_folds(known, context.cutoff_s, self.n_folds)
        self.factor_m_ = self._choose(known, smoother, folds, context)
        self.area_km2_ = cells.area_km2
        tables = self._tables(known, smoother, slice(None), self.factor_m_)
        if not folds:
            tables = shrink_to_uniform(tables, len(known), self.area_km2_)
        self.probability_ = tables
        self.leaked_share_ = self._leaked_share(known, smoother)
        self.category_density_ = {}
        return self

    def _choose(
        self,
        known: Incidents,
        smoother: Smoother,
        folds: Sequence[Fold],
        context: FitContext,
    ) -> float:
        if not folds:
            return rule_of_thumb_m(known) * float(max(1, len(known)) ** (1 / 6))
        cell = smoother.sites.cell_of(slice(None))

        def score(factor_m: float) -> float:
            context.report(0.5, f"factor {factor_m:.0f} m")
            total = 0.0
            for fold in folds:
                table = self._tables(known, smoother, fold.train, factor_m)
                total += float(np.log(table[known.window[fold.test], cell[fold.test]]).mean())
            return total

        return best_of_grid(score, self.FACTORS_M, 1700)

    def _tables(
        self, known: Incidents, smoother: Smoother, rows: slice, factor_m: float
    ) -> FloatArray:
        """Fit densities (168, N) to the incidents at these rows."""
        cells, sites = smoother.cells, smoother.sites
        hours = known.take(rows).by_hour()
        bandwidth_m, is_small = self._bandwidths_m(hours, factor_m)
        cell = sites.cell_of(rows)[hours.incident]
        n_cells = len(cells.area_km2)
        counts = np.bincount(hours.window * n_cells + cell, hours.weight, N_WINDOWS * n_cells)
        tables = counts.reshape(N_WINDOWS, n_cells).astype(np.float64)
        tables[is_small] = tables.sum(axis=0)
        result = np.empty_like(tables)
        for level_m in np.unique(bandwidth_m):
            mine = bandwidth_m == level_m
            result[mine] = smoother.smooth_cells(tables[mine], float(level_m))
        return normalised(result, cells.area_km2)

    def _bandwidths_m(self, hours: HourShares, factor_m: float) -> tuple[FloatArray, NDArray[Any]]:
        """Return the bandwidth of each window (168,) and whether it uses all hours (168,)."""
        per_window = np.bincount(hours.window, hours.weight, N_WINDOWS)
        is_small = per_window < self.MIN_WINDOW
        n = np.where(is_small, per_window.sum(), per_window)
        wanted_m = factor_m * np.maximum(n, 1) ** (-1 / 6)
        # A few shared bandwidths suffice: steps of 4 % are far finer than the grid of the choice.
        low, high = np.log(wanted_m.min()), np.log(wanted_m.max())
        levels = np.linspace(low, max(high, low + 1e-9), self.N_BANDWIDTHS)
        nearest = np.abs(np.log(wanted_m)[:, None] - levels).argmin(axis=1)
        return np.asarray(np.exp(levels[nearest]), np.float64), is_small

    def _leaked_share(self, known: Incidents, smoother: Smoother) -> float:
        """Return the share of all windows' kernels that lay outside the study area."""
        hours = known.by_hour()
        bandwidth_m, _ = self._bandwidths_m(hours, self.factor_m_)
        leaked = 0.0
        for level_m in np.unique(bandwidth_m):
            mine = np.isin(hours.window, np.flatnonzero(bandwidth_m == level_m))
            weights = smoother.sites.count(hours.weight[mine], hours.incident[mine])
            leaked += float(weights.sum()) * smoother.leaked_share(weights, float(level_m))
        return leaked / max(1, len(known))

    def report(self) -> Mapping[str, Any]:
        """Return the common factor of the bandwidths and the leaked mass."""
        return {"bandwidth_factor_m": self.factor_m_, "leaked_share": self.leaked_share_}
