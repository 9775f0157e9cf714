"""`stack`: a mixture of several densities, weighted by their forecasts of past periods.

The components are linear-stacked (Smyth & Wolpert 1999, "Linearly combining density estimators via
stacking"): each is fitted as of 28 and 56 days ago, and EM finds the weights with which their mixture
best forecasts the incidents that followed. A Dirichlet prior favours the flow, so that small samples do
not select a component by chance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np

from models.base import (
    N_WINDOWS,
    Cells,
    DensityModel,
    FitContext,
    Float32Array,
    FloatArray,
    Incidents,
    normalised,
)
from models.densities.categories import Categories, Moment
from models.densities.folds import inner_folds, mixture_weights
from models.densities.history import History
from models.densities.maf import Maf
from models.densities.near_repeat import Sepp
from models.densities.recent import RecentKde
from models.densities.smoothing import inside

FLOW_PRIOR = 20.0
COMPONENT_PRIOR = 2.0


class Stack(DensityModel):
    """Backbone, drift, recency, history, near repeats and flow, stacked on past periods.

    Components that do not vary by hour are multiplied by the hour ratios of the flow.

    Args:
        n_folds: number of 28-day periods before the cutoff that the weights are fitted to.
    """

    name: ClassVar[str] = "stack"

    def __init__(self, n_folds: int = 2) -> None:
        self.n_folds = n_folds

    def fit(self, incidents: Incidents, cells: Cells, context: FitContext) -> Self:
        """Fit the weights to past periods, mix the components as of the cutoff, fit the categories."""
        known, cell = inside(incidents, cells, context.cutoff_s)
        folds = inner_folds(known, context.cutoff_s, self.n_folds)
        self.n_folds_used_ = len(folds)
        self.area_km2_ = cells.area_km2
        held_out: list[FloatArray] = [np.ones((0, len(COMPONENTS)))]
        steps = len(folds) + 1
        past: Moment | None = None
        for place, fold in enumerate(reversed(folds)):
            part = context.part(0.9 * place / steps, 0.9 * (place + 1) / steps, f"{place + 1}: ")
            then = replace(part, cutoff_s=fold.origin_s)
            tables, _ = _components(known.take(fold.train), cells, then)
            window = known.window[fold.test].astype(np.int64)
            held_out.append(tables[:, window, cell[fold.test]].T.astype(np.float64))
            past = past or Moment(fold.origin_s, tables[0].astype(np.float64))
            del tables
        self.weights_ = mixture_weights(np.concatenate(held_out), _prior())
        tables, self.component_reports_ = _components(
            known, cells, context.part(0.9 * len(folds) / steps, 0.9)
        )
        mixed = np.einsum("k,kwn->wn", self.weights_, tables)
        self.probability_ = normalised(mixed, self.area_km2_, 0.0)
        now = Moment(context.cutoff_s, self.probability_)
        self.categories_ = Categories().fit(
            known, cells, now, past or now, context.part(0.9, 1.0, "categories: ")
        )
        self.category_density_ = self.categories_.density_
        return self

    def report(self) -> Mapping[str, Any]:
        """Return the weights and the report of each component."""
        return {
            "weights": dict(zip(COMPONENTS, map(float, self.weights_.round(4)), strict=True)),
            "validation_periods": self.n_folds_used_,
            "category_weights": {str(c): w for c, w in self.categories_.weights_.items()},
            "components": self.component_reports_,
        }


COMPONENTS = ("flow", "flow without drift", "flow without hours", "recent", "history", "sepp")


def _prior() -> FloatArray:
    prior = np.full(len(COMPONENTS), COMPONENT_PRIOR)
    prior[0] = FLOW_PRIOR
    return prior


def _components(
    known: Incidents, cells: Cells, context: FitContext
) -> tuple[Float32Array, dict[str, Any]]:
    """Fit float32 probabilities (K, 168, N) as of the cutoff, in the order of `COMPONENTS`."""
    flow = Maf().fit(known, cells, context.part(0, 0.5, "flow: "))
    others = {
        "recent": RecentKde().fit(known, cells, context.part(0.5, 0.6, "recent: ")),
        "history": History().fit(known, cells, context.part(0.6, 0.8, "history: ")),
        "sepp": Sepp().fit(known, cells, context.part(0.8, 1.0, "near repeats: ")),
    }
    hours = flow.hour_ratio_
    backbone = flow.backbone_.probability_[0]
    drifted = flow.drift_ratio_ * backbone
    builders: list[Callable[[], FloatArray]] = [
        lambda: flow.probability_,
        lambda: hours * backbone,
        lambda: np.repeat(drifted[None, :], N_WINDOWS, axis=0),
        *(partial(np.multiply, hours, other.probability_[0]) for other in others.values()),
    ]
    # One by one, because with a hundred thousand cells each takes 134 MB.
    tables = np.empty((len(COMPONENTS), N_WINDOWS, len(cells.area_km2)), np.float32)
    for place, build in enumerate(builders):
        tables[place] = normalised(build(), cells.area_km2)
    reports = {"flow": flow.report(), **{n: o.report() for n, o in others.items()}}
    return tables, reports
