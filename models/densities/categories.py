"""What each category of incident changes about the city's density.

Every category mixes three views of itself: a tilt (`log_gaussian_cox`) of the city's density, whose
prior draws it back to the city, following the city's hours or the same at all hours, and kernel
densities of its own incidents. The weights come from the periods before the cutoff, per category, with
a prior that favours the tilt: a rare category borrows from the city, a common one with places or hours
of its own stands by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch

from models.base import (
    DAY_S,
    CategoryDensity,
    Cells,
    FitContext,
    FloatArray,
    Incidents,
    IntArray,
    normalised,
)
from models.densities.folds import mixture_weights
from models.densities.lattice import Lattice
from models.densities.log_gaussian_cox import fit_tilt
from models.densities.smoothing import Smoother, inside, snap
from models.estimator import Estimator

MAX_CATEGORIES = 30
MIN_INCIDENTS = 20
HALF_LIFE_DAYS = 700.0
PRIOR_SD = 2.0
SPREAD: Mapping[float, float] = {8000.0: 0.2, 4000.0: 0.2, 1000.0: 0.2, 500.0: 0.2, 250.0: 0.25}
OWN_BANDWIDTHS_M = (60.0, 150.0, 400.0)
TILT_PRIOR = 20.0


@dataclass(frozen=True)
class Moment:
    """A city's density as it was known at an instant.

    Args:
        at_s: UTC seconds; only earlier incidents count.
        windows: (168, N) probabilities of all categories; rows sum to one.
    """

    at_s: int
    windows: FloatArray

    @property
    def city(self) -> FloatArray:
        """(N,) probability of each cell over all hours."""
        mean = self.windows.mean(axis=0, dtype=np.float64)
        return np.asarray(mean / mean.sum(), np.float64)


class Categories(Estimator):
    """Densities of the categories.

    Attributes:
        density_: {category code: density}. Categories with fewer than `MIN_INCIDENTS`, and past the
            `MAX_CATEGORIES` most frequent, have none.
        weights_: {category code: weights of the tilt that follows the hours, of the same at all
            hours, and of kernels of each of `OWN_BANDWIDTHS_M`}.
    """

    density_: dict[int, CategoryDensity]
    weights_: dict[int, list[float]]

    def fit(
        self, incidents: Incidents, cells: Cells, now: Moment, past: Moment, context: FitContext
    ) -> Self:
        """Weigh the views on what followed `past`, then mix them as of `now`.

        Raises:
            FitCancelled: the caller asked to stop.
        """
        known, cell = inside(incidents, cells, now.at_s)
        self.density_, self.weights_ = {}, {}
        codes = _chosen(known)
        if len(codes) == 0:
            return self
        then = _views(known, cell, codes, cells, past, context.part(0.0, 0.5))
        views = _views(known, cell, codes, cells, now, context.part(0.5, 1.0))
        prior = np.array([TILT_PRIOR, TILT_PRIOR, *([1.0] * len(OWN_BANDWIDTHS_M))])
        for place, code in enumerate(codes.tolist()):
            mine = (known.time_s >= past.at_s) & (known.category == code)
            window = known.window[mine].astype(np.int64)
            following = CategoryDensity(then[0, place] / past.city, np.zeros(len(past.city)))
            held_out = np.stack(
                [
                    following.at(past.windows, window, cell[mine]),
                    *then[:, place, cell[mine]],
                ],
                axis=1,
            )
            weights = mixture_weights(held_out, prior)
            self.weights_[code] = [round(float(w), 4) for w in weights]
            self.density_[code] = CategoryDensity(
                views[0, place] / now.city, weights[1:] @ views[:, place]
            )
        return self


def _chosen(known: Incidents) -> IntArray:
    """Codes of the categories that get a ratio, ascending; none where there is but one category."""
    codes, sizes = np.unique(known.category, return_counts=True)
    frequent = codes[np.argsort(-sizes, kind="stable")][:MAX_CATEGORIES]
    kept = frequent[np.isin(frequent, codes[sizes >= MIN_INCIDENTS])]
    return np.sort(kept).astype(np.int64) if len(codes) > 1 else np.zeros(0, np.int64)


def _views(
    known: Incidents,
    cell: IntArray,
    codes: IntArray,
    cells: Cells,
    moment: Moment,
    context: FitContext,
) -> FloatArray:
    """(1 + bandwidths, C, N) probabilities: the tilt's, then the kernels' of own incidents."""
    n = int(np.searchsorted(known.time_s, moment.at_s))
    rows = np.flatnonzero(np.isin(known.category[:n], codes))
    place = np.searchsorted(codes, known.category[rows])
    weight = 0.5 ** ((moment.at_s - known.time_s[rows]) / DAY_S / HALF_LIFE_DAYS)
    tilted = moment.city * _tilt(place, cell[rows], weight, len(codes), cells, moment, context)
    sites = snap(known, cells)
    smoother = Smoother(sites, cells)
    counts = np.stack([sites.count(rows=rows[place == c]) for c in range(len(codes))])
    own = [smoother.smooth(counts, bandwidth_m) for bandwidth_m in OWN_BANDWIDTHS_M]
    return np.stack([normalised(view, cells.area_km2) for view in (tilted, *own)])


def _tilt(
    place: IntArray,
    cell: IntArray,
    weight: FloatArray,
    n_categories: int,
    cells: Cells,
    moment: Moment,
    context: FitContext,
) -> FloatArray:
    """(C, N) unnormalised ratios of categories to the city."""
    n_cells = len(moment.city)
    counts = np.bincount(place * n_cells + cell, weight, n_categories * n_cells)

    def tensor(values: FloatArray) -> torch.Tensor:
        return torch.as_tensor(values.astype(np.float32), device=context.device)

    fields = fit_tilt(
        tensor(counts.reshape(n_categories, n_cells).astype(np.float64)),
        tensor(np.log(moment.city)),
        PRIOR_SD * torch.eye(n_categories, device=context.device),
        Lattice(cells, SPREAD, context.device),
        replace(context, cutoff_s=moment.at_s),
    )
    ratio: FloatArray = np.exp(PRIOR_SD * fields.double().cpu().numpy().T)
    return ratio
