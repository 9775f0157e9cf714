"""Densities of the categories of incidents, relative to the density of all incidents.

Each category is a mixture of a tilt of the city's density (`models.fields.tilt`) that varies by hour like
the city, the same tilt at all hours, and kernel densities of its own incidents. The weights are fitted
per category to the periods before the cutoff, with a prior that favours the tilt: rare categories
borrow from the city, common ones with their own places or hours do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from models.base import CategoryDensity, Cells, FitContext, normalised
from models.densities.folds import mixture_weights
from models.densities.smoothing import Smoother, inside, snap
from models.estimator import Estimator
from models.fields.lattice import Lattice
from models.fields.tilt import fit_tilt, tensor
from models.incidents import Incidents
from models.units import DAY_S, FloatArray, IntArray

MAX_CATEGORIES = 30
MIN_INCIDENTS = 20
HALF_LIFE_DAYS = 700.0
PRIOR_SD = 2.0
SPREAD: Mapping[float, float] = {8000.0: 0.2, 4000.0: 0.2, 1000.0: 0.2, 500.0: 0.2, 250.0: 0.25}
OWN_BANDWIDTHS_M = (60.0, 150.0, 400.0)
TILT_PRIOR = 20.0


@dataclass(frozen=True)
class Moment:
    """A city's density as known at an instant.

    Args:
        at_s: UTC seconds; only earlier incidents are used.
        windows: (168, N) probabilities of all categories; rows sum to one.
    """

    at_s: int
    windows: NDArray[np.floating[Any]]

    @property
    def city(self) -> FloatArray:
        """Probability of each cell over all hours (N,)."""
        mean = self.windows.mean(axis=0, dtype=np.float64)
        return np.asarray(mean / mean.sum(), np.float64)


class Categories(Estimator):
    """Estimator of the densities of categories.

    Attributes:
        density_: {category code: density}, of the `MAX_CATEGORIES` most frequent categories with at
            least `MIN_INCIDENTS`.
        weights_: {category code: weights of the tilt that varies by hour, of the same tilt at all
            hours, and of the kernels with each of `OWN_BANDWIDTHS_M`}.
    """

    density_: dict[int, CategoryDensity]
    weights_: dict[int, list[float]]

    def fit(
        self, incidents: Incidents, cells: Cells, now: Moment, past: Moment, context: FitContext
    ) -> Self:
        """Fit the weights to the incidents after `past`, then mix the components as of `now`.

        Raises:
            FitCancelled: the caller asked to stop.
        """
        known, cell = inside(incidents, cells, now.at_s)
        self.density_, self.weights_ = {}, {}
        codes = _fitted_codes(known)
        if len(codes) == 0:
            return self
        before = _components(known, cell, codes, cells, past, context.part(0.0, 0.5))
        components = _components(known, cell, codes, cells, now, context.part(0.5, 1.0))
        prior = np.array([TILT_PRIOR, TILT_PRIOR, *([1.0] * len(OWN_BANDWIDTHS_M))])
        city_then, city_now = past.city, now.city
        for place, code in enumerate(codes.tolist()):
            mine = (known.time_s >= past.at_s) & (known.category == code)
            window = known.window[mine].astype(np.int64)
            following = CategoryDensity(before[0, place] / city_then, np.zeros(len(city_then)))
            held_out = np.stack(
                [
                    following.at(past.windows, window, cell[mine]),
                    *before[:, place, cell[mine]],
                ],
                axis=1,
            )
            weights = mixture_weights(held_out, prior)
            self.weights_[code] = [round(float(w), 4) for w in weights]
            self.density_[code] = CategoryDensity(
                components[0, place] / city_now, weights[1:] @ components[:, place]
            )
        return self


def _fitted_codes(known: Incidents) -> IntArray:
    """Return codes of the categories to fit, ascending; none when there is only one category."""
    codes, sizes = np.unique(known.category, return_counts=True)
    frequent = codes[np.argsort(-sizes, kind="stable")][:MAX_CATEGORIES]
    large = frequent[np.isin(frequent, codes[sizes >= MIN_INCIDENTS])]
    return np.sort(large).astype(np.int64) if len(codes) > 1 else np.zeros(0, np.int64)


def _components(
    known: Incidents,
    cell: IntArray,
    codes: IntArray,
    cells: Cells,
    moment: Moment,
    context: FitContext,
) -> FloatArray:
    """Return probabilities (1 + bandwidths, C, N) of the tilt, then of each kernel density."""
    n = int(np.searchsorted(known.time_s, moment.at_s))
    rows = np.flatnonzero(np.isin(known.category[:n], codes))
    place = np.searchsorted(codes, known.category[rows])
    weight = 0.5 ** ((moment.at_s - known.time_s[rows]) / DAY_S / HALF_LIFE_DAYS)
    city, then = moment.city, replace(context, cutoff_s=moment.at_s)
    tilted = city * _tilt(place, cell[rows], weight, len(codes), cells, city, then)
    sites = snap(known, cells)
    smoother = Smoother(sites, cells)
    counts = np.stack([sites.count(rows=rows[place == c]) for c in range(len(codes))])
    own = [smoother.smooth(counts, bandwidth_m) for bandwidth_m in OWN_BANDWIDTHS_M]
    return np.stack([normalised(part, cells.area_km2) for part in (tilted, *own)])


def _tilt(
    place: IntArray,
    cell: IntArray,
    weight: FloatArray,
    n_categories: int,
    cells: Cells,
    city: FloatArray,
    context: FitContext,
) -> FloatArray:
    """Return unnormalised ratios of the categories to the city (C, N)."""
    n_cells = len(city)
    counts = np.bincount(place * n_cells + cell, weight, n_categories * n_cells).astype(np.float64)

    fields = fit_tilt(
        counts.reshape(n_categories, n_cells),
        tensor(np.log(city), context.device),
        PRIOR_SD * torch.eye(n_categories, device=context.device),
        Lattice.of_cells(cells, SPREAD, context.device),
        context,
    )
    ratio: FloatArray = np.exp(PRIOR_SD * fields.double().cpu().numpy().T)
    return ratio
