"""`stack`: the best of several densities, weighted by how they forecast past periods.

The backbone is a linear mixture (Smyth & Wolpert 1999) of kernel densities that differ in bandwidth
and in how fast they forget: long memory and fine kernels carry the streets, short memory the places
that are active now. Weights come from periods of 28 days before the cutoff by EM. A flow correction
on that backbone then says what each hour of the week changes about it.

A category's density mixes the city's backbone with the category's own densities, weighted on its own
past incidents with a prior that favours the city, so that a rare category borrows and a common one
stands by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from models.base import (
    DAY_S,
    N_WINDOWS,
    Cells,
    DensityModel,
    FitContext,
    FloatArray,
    Incidents,
    normalised,
)
from models.flows.correction import FlowCorrection
from models.folds import Fold, inner_folds, mixture_weights
from models.kde import rule_of_thumb_m
from models.smoothing import Sites, Smoother, inside, snap

BANDWIDTHS_M = (8.0, 30.0, 60.0, 100.0, 300.0, 900.0)
HALF_LIVES_DAYS = (None, 1500.0, 600.0, 250.0, 100.0, 40.0)
CATEGORY_BANDWIDTHS_M = (60.0, 150.0, 400.0)
CITY_PRIOR = 20.0
PRIOR_INCIDENTS = 5.0
MAX_CATEGORIES = 30
MIN_FLOW_INCIDENTS = 2_000
MIN_CATEGORY_INCIDENTS = 20


class Stack(DensityModel):
    """Stacked backbone and its hour-of-week correction.

    Args:
        n_folds: periods of 28 days before the cutoff that weigh the components.
        hours: learn what each window changes (off: one density for all windows).
    """

    name: ClassVar[str] = "stack"

    def __init__(self, n_folds: int = 3, hours: bool = True) -> None:
        self.n_folds = n_folds
        self.hours = hours

    def fit(self, incidents: Incidents, cells: Cells, context: FitContext) -> Self:
        """Weigh and mix the components, correct by hour, then the categories."""
        known, _ = inside(incidents, cells, context.cutoff_s)
        sites = snap(known, cells)
        smoother = Smoother(sites, cells)
        folds = inner_folds(known, context.cutoff_s, self.n_folds)
        self.n_folds_used_ = len(folds)
        self.area_km2_ = cells.area_km2
        backbone = self._backbone(known, sites, smoother, folds, context)
        self.probability_ = backbone[None, :]
        self.flow_: Mapping[str, Any] = {}
        if self.hours and len(known) >= MIN_FLOW_INCIDENTS:
            share = self._flow_share(known, cells, sites, folds, context.part(0.3, 0.6))
            flow = FlowCorrection().fit(known, cells, backbone, context.part(0.6, 0.95))
            self.flow_ = {**flow.report(), "share": round(share, 3)}
            ratio = 1.0 + share * (flow.ratio_ - 1.0)
            self.probability_ = normalised(ratio * backbone, self.area_km2_, 0.0)
        if len(self.probability_) not in (1, N_WINDOWS):
            raise ValueError("a correction must cover all windows")
        self.category_weights_: dict[int, list[float]] = {}
        self.category_probability_ = self._categories(known, sites, smoother, folds, backbone)
        return self

    def _backbone(
        self,
        known: Incidents,
        sites: Sites,
        smoother: Smoother,
        folds: Sequence[Fold],
        context: FitContext,
    ) -> FloatArray:
        """(N,) the weighted mixture."""
        spans = [(len(known), context.cutoff_s), *((f.split, f.origin_s) for f in folds)]
        counts = np.stack(
            [
                sites.count(_memory(known.time_s[:n], at_s, half_life), slice(0, n))
                for half_life in HALF_LIVES_DAYS
                for n, at_s in spans
            ]
        )
        parts = []
        for place, bandwidth_m in enumerate(BANDWIDTHS_M):
            context.report(0.25 * place / len(BANDWIDTHS_M), f"kernels of {bandwidth_m:.0f} m")
            smoothed = normalised(smoother.smooth(counts, bandwidth_m), self.area_km2_)
            parts.append(smoothed.reshape(len(HALF_LIVES_DAYS), len(spans), -1))
        fitted = np.concatenate(parts)
        self._past_ = fitted[:, 1] if folds else None
        self.weights_ = self._weigh(fitted[:, 1:], sites, folds)
        if not folds:
            near = np.abs(np.log(np.array(BANDWIDTHS_M) / rule_of_thumb_m(known))).argmin()
            self.weights_ = np.zeros(len(fitted))
            self.weights_[int(near) * len(HALF_LIVES_DAYS)] = 1.0
        return normalised(self.weights_ @ fitted[:, 0], self.area_km2_)

    @staticmethod
    def _weigh(fitted: FloatArray, sites: Sites, folds: Sequence[Fold]) -> FloatArray:
        tests = [sites.cell[sites.of_incident[fold.test]] for fold in folds]
        held_out = [fitted[:, i, test].T for i, test in enumerate(tests)]
        return mixture_weights(np.concatenate([np.zeros((0, len(fitted))), *held_out]))

    def _flow_share(
        self,
        known: Incidents,
        cells: Cells,
        sites: Sites,
        folds: Sequence[Fold],
        context: FitContext,
    ) -> float:
        """How much of the correction to believe: what the latest past period would have liked best.

        A flow can learn noise; mixing it with no correction at all, by a weight from weeks it has not
        seen, bounds the harm.
        """
        if self._past_ is None:
            return 0.5
        fold = folds[0]
        then = FitContext(
            fold.origin_s,
            context.seed,
            context.device,
            context.n_threads,
            context.progress,
            context.cancelled,
        )
        backbone = normalised(self.weights_ @ self._past_, self.area_km2_)
        flow = FlowCorrection().fit(known.take(fold.train), cells, backbone, then)
        test = known.take(fold.test)
        cell = sites.cell[sites.of_incident[fold.test]]
        change = flow.ratio_[test.window.astype(np.int64), cell]
        prior = np.array([PRIOR_INCIDENTS, PRIOR_INCIDENTS])
        return float(mixture_weights(np.stack([np.ones_like(change), change], axis=1), prior)[1])

    def _categories(
        self,
        known: Incidents,
        sites: Sites,
        smoother: Smoother,
        folds: Sequence[Fold],
        backbone: FloatArray,
    ) -> dict[int, FloatArray]:
        """Category code -> (1, N), for the most frequent ones."""
        codes, sizes = np.unique(known.category, return_counts=True)
        chosen = codes[np.argsort(-sizes, kind="stable")][:MAX_CATEGORIES]
        if len(codes) < 2:
            return {}
        tables = {}
        for code in chosen.tolist():
            mine = known.category == code
            if mine.sum() >= MIN_CATEGORY_INCIDENTS:
                tables[int(code)] = self._category(
                    int(code), mine, sites, smoother, folds, backbone
                )
        return tables

    def _category(
        self,
        code: int,
        mine: np.ndarray[Any, np.dtype[np.bool_]],
        sites: Sites,
        smoother: Smoother,
        folds: Sequence[Fold],
        backbone: FloatArray,
    ) -> FloatArray:
        spans = [len(mine), *(f.split for f in folds)]
        counts = np.stack([sites.count(mine[:n].astype(float), slice(0, n)) for n in spans])
        city = sites.count()
        own = np.stack(
            [normalised(smoother.smooth(counts, h), self.area_km2_) for h in CATEGORY_BANDWIDTHS_M]
        )
        # The city's part is what was known at each fold, so that no weight comes from hindsight.
        past = np.stack([sites.count(rows=f.train) for f in folds]) if folds else city[None, :]
        shared = normalised(smoother.smooth(past, 100.0), self.area_km2_)
        held_out = [np.zeros((0, 1 + len(own)))]
        for place, fold in enumerate(folds):
            rows = np.arange(fold.split, fold.end)[mine[fold.test]]
            cell = sites.cell[sites.of_incident[rows]]
            held_out.append(np.vstack([shared[place, cell], own[:, 1 + place, cell]]).T)
        prior = np.array([CITY_PRIOR, *([1.0] * len(own))])
        weights = mixture_weights(np.concatenate(held_out), prior)
        self.category_weights_[code] = [round(float(w), 4) for w in weights]
        mixed = weights @ np.vstack([backbone, own[:, 0]])
        return normalised(mixed, self.area_km2_)[None, :]

    def report(self) -> Mapping[str, Any]:
        """Weights of the components and categories, facts about the flow."""
        names = [
            f"{bandwidth_m:g} m, " + (f"{h:g} days" if h else "all time")
            for bandwidth_m in BANDWIDTHS_M
            for h in HALF_LIVES_DAYS
        ]
        pairs = zip(names, self.weights_, strict=True)
        return {
            "weights": {n: round(float(w), 4) for n, w in pairs if w > 0.001},
            "category_weights": {str(c): w for c, w in self.category_weights_.items()},
            "validation_periods": self.n_folds_used_,
            "flow": dict(self.flow_),
        }


def _memory(time_s: Any, at_s: int, half_life_days: float | None) -> FloatArray:
    """(n,) weight of each incident as remembered at an instant."""
    if half_life_days is None:
        return np.ones(len(time_s))
    age_days = (at_s - time_s) / DAY_S
    weight: FloatArray = 0.5 ** (age_days / half_life_days)
    return weight
