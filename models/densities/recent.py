"""Kernel densities weighted towards recent incidents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from models.base import Cells, DensityModel, FitContext, normalised
from models.densities.folds import Fold, held_out_weights, inner_folds
from models.densities.kde import nearest_to_rule
from models.densities.small_sample import shrink_to_uniform
from models.densities.smoothing import Sites, Smoother, inside, snap
from models.incidents import Incidents
from models.units import DAY_S, FloatArray, IntArray

BANDWIDTHS_M = (1.0, 30.0, 60.0, 100.0, 300.0, 900.0)
HALF_LIVES_DAYS = (10_000.0, 1500.0, 600.0, 250.0, 100.0, 40.0)


class RecentKde(DensityModel):
    """A mixture of kernel densities that differ in bandwidth and half-life.

    Weights are fitted to past periods by EM (Smyth & Wolpert 1999): long half-lives and fine kernels
    represent streets, short ones and wide kernels the districts that are active now.

    Args:
        bandwidths_m: standard deviations of the kernels.
        half_lives_days: ages at which an incident counts half.
        n_folds: number of 28-day periods before the cutoff that the weights are fitted to.
    """

    name: ClassVar[str] = "recent-kde"

    def __init__(
        self,
        bandwidths_m: Sequence[float] = BANDWIDTHS_M,
        half_lives_days: Sequence[float] = HALF_LIVES_DAYS,
        n_folds: int = 3,
    ) -> None:
        self.bandwidths_m = bandwidths_m
        self.half_lives_days = half_lives_days
        self.n_folds = n_folds

    def fit(self, incidents: Incidents, cells: Cells, context: FitContext) -> Self:
        """Fit the weights to past periods, then mix the components as of the cutoff."""
        known, cell = inside(incidents, cells, context.cutoff_s)
        sites = snap(known, cells, cell)
        folds = inner_folds(known, context.cutoff_s, self.n_folds)
        self.n_folds_used_ = len(folds)
        self.area_km2_ = cells.area_km2
        now, held_out = self._components(known, sites, Smoother(sites, cells), folds, context)
        if folds:
            self.weights_ = held_out_weights(held_out, [sites.cell_of(f.test) for f in folds])
        else:
            nearest = nearest_to_rule(self.bandwidths_m, known)
            self.weights_ = np.eye(len(now))[nearest * len(self.half_lives_days)]
        mixed = normalised(self.weights_ @ now, self.area_km2_)
        if not folds:
            mixed = shrink_to_uniform(mixed, len(known), self.area_km2_)
        self.probability_ = mixed[None, :]
        self.category_density_ = {}
        return self

    def _components(
        self,
        known: Incidents,
        sites: Sites,
        smoother: Smoother,
        folds: Sequence[Fold],
        context: FitContext,
    ) -> tuple[FloatArray, list[FloatArray]]:
        """Fit densities, bandwidths outer, half-lives inner.

        Returns:
            Those of now (K, N); and by fold those before its origin, at the cells of its test (K, cells).
        """
        spans = [(len(known), context.cutoff_s), *((f.split, f.origin_s) for f in folds)]
        counts = np.stack(
            [
                sites.count(_decay(known.time_s[:n], at_s, half_life), slice(0, n))
                for half_life in self.half_lives_days
                for n, at_s in spans
            ]
        )
        tested = [np.unique(sites.cell_of(fold.test)) for fold in folds]
        now: list[FloatArray] = []
        held_out: list[list[FloatArray]] = [[] for _ in folds]
        for place, bandwidth_m in enumerate(self.bandwidths_m):
            context.report(place / len(self.bandwidths_m), f"bandwidth {bandwidth_m:.0f} m")
            smoothed = normalised(smoother.smooth(counts, bandwidth_m), self.area_km2_)
            fitted = smoothed.reshape(len(self.half_lives_days), len(spans), -1)
            now.append(fitted[:, 0].copy())
            for fold, cell in enumerate(tested):
                held_out[fold].append(fitted[:, 1 + fold, cell])
        return np.concatenate(now), [np.concatenate(parts) for parts in held_out]

    def report(self) -> Mapping[str, Any]:
        """Return the weight of each bandwidth and half-life."""
        names = [
            f"{bandwidth_m:g} m, {half_life:g} days"
            for bandwidth_m in self.bandwidths_m
            for half_life in self.half_lives_days
        ]
        pairs = zip(names, self.weights_, strict=True)
        return {
            "weights": {n: round(float(w), 4) for n, w in pairs if w > 0.001},
            "validation_periods": self.n_folds_used_,
        }


def _decay(time_s: IntArray, at_s: int, half_life_days: float) -> FloatArray:
    """Return the weight of each incident (n,) at an instant."""
    weight: FloatArray = 0.5 ** ((at_s - time_s) / DAY_S / half_life_days)
    return weight
