"""`stack`: a mixture of several densities, weighted by their forecasts of past periods.

The components are linear-stacked (Smyth & Wolpert 1999, "Linearly combining density estimators via
stacking"): each is fitted as of 28 and 56 days ago, and EM finds the weights with which their mixture
best forecasts the incidents that followed. A Dirichlet prior favours the flow and the Cox process, so
that small samples do not select a component by chance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np

from models.bands import PartCounts, by_part_of_week, calibrated, expected_by_part
from models.base import HORIZON_DAYS, Cells, DensityModel, FitContext, normalised
from models.densities.categories import Categories, Moment
from models.densities.cox import HourTilt
from models.densities.drift import CountTables, DriftedBackbone
from models.densities.folds import Fold, inner_folds, mixture_weights
from models.densities.history import History
from models.densities.ingredients import DRIFT, NEAR_REPEATS, RECENT, Ingredients
from models.densities.maf import HourFlow, posterior_band
from models.densities.near_repeat import Sepp
from models.densities.recent import RecentKde
from models.densities.refresh import learnt_strength, strength_gains
from models.densities.smoothing import inside
from models.densities.state import mean_over_hours
from models.incidents import Incidents
from models.units import N_WINDOWS, Float32Array, FloatArray, IntArray

PRIOR = {
    "maf": 10.0,
    "cox": 10.0,
    "maf without drift": 2.0,
    "maf without hours": 2.0,
    "recent": 2.0,
    "history": 2.0,
    "sepp": 2.0,
}
"""{component: pseudo-counts of its weight}."""
COMPONENTS = tuple(PRIOR)
PSEUDO_COUNTS = np.array(list(PRIOR.values()))


class Stack(DensityModel):
    """Flow, Cox process, drift, recency, history and near repeats, stacked on past periods.

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
        steps = len(folds) + 1
        past = []
        for place, fold in enumerate(reversed(folds)):
            part = context.part(0.9 * place / steps, 0.9 * (place + 1) / steps, f"{place + 1}: ")
            then = replace(part, cutoff_s=fold.origin_s)
            past.append(_past_period(known, cell, cells, fold, then))
        held_out = [period.densities for period in past] or [np.ones((0, len(COMPONENTS)))]
        self.weights_ = mixture_weights(np.concatenate(held_out), PSEUDO_COUNTS)
        looked_at = [period.state_gains for period in past]
        self.state_strength_ = learnt_strength(np.sum(looked_at, axis=0)) if past else None
        part = context.part(0.9 * len(folds) / steps, 0.9)
        components = _Components(known, cells, part)
        self.component_reports_ = components.reports
        mixed = np.einsum("k,kwn->wn", self.weights_, components.tables)
        self.probability_ = normalised(mixed, self.area_km2_, 0.0)
        self.ingredients_ = components.places.ingredients(self.weights_)
        if components.band is not None:
            parts = [period.parts_of_week(self.weights_) for period in past]
            self.band_ = calibrated(components.band, parts)
        now = Moment(context.cutoff_s, self.probability_)
        self.categories_ = Categories().fit(
            known,
            cells,
            now,
            past[0].usual if past else now,
            context.part(0.9, 1.0, "categories: "),
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
            **({} if self.band_ is None else {"band": self.band_.report()}),
            "state_strength": self.state_strength_,
        }


@dataclass(frozen=True)
class _Places:
    """What the components say of the places, all hours of the week together.

    Args:
        backbone, drifted: (N,) the city's density, without and with its drift.
        others: (N,) those of the components that have one of their own.
        flow, cox: (N,) mean over the hours of each one's hour ratios.
    """

    backbone: FloatArray
    drifted: FloatArray
    others: Mapping[str, FloatArray]
    flow: FloatArray
    cox: FloatArray
    area_km2: FloatArray

    def ingredients(self, weights: FloatArray) -> Ingredients:
        """Return the mixture with the backbone in place of what is left out."""
        needs = {"recent": RECENT, "history": RECENT, "sepp": NEAR_REPEATS}

        def mixture(has: frozenset[str]) -> FloatArray:
            now = self.drifted if DRIFT in has else self.backbone
            places = [self.flow * now, self.cox * now, self.flow * self.backbone, now]
            for name, density in self.others.items():
                places.append(self.flow * (density if needs[name] in has else self.backbone))
            return np.asarray(weights @ normalised(np.stack(places), self.area_km2), np.float64)

        return Ingredients.made([DRIFT, RECENT, NEAR_REPEATS], mixture)


class _Components:
    """The components as of a cutoff.

    Attributes:
        tables: (K, 168, N) float32 probabilities, in the order of `COMPONENTS`.
        band: posterior variances of the flow and of the drift, not yet calibrated.
        places: their densities of all hours.
        reports: report of each.
    """

    tables: Float32Array

    def __init__(self, known: Incidents, cells: Cells, context: FitContext) -> None:
        drifted = DriftedBackbone().fit(known, cells, context.part(0, 0.15))
        base, backbone = drifted.probability_, drifted.backbone_.probability_[0]
        cox = HourTilt().fit(drifted.tables_, base, context.part(0.15, 0.25, "cox: "))
        maf = HourFlow().fit(drifted.tables_, base, context.part(0.25, 0.35, "maf: "))
        self.band = posterior_band(drifted, maf, context.part(0.35, 0.5, "posterior: "))
        others = {
            "recent": RecentKde().fit(known, cells, context.part(0.5, 0.6, "recent: ")),
            "history": History().fit(known, cells, context.part(0.6, 0.8, "history: ")),
            "sepp": Sepp().fit(known, cells, context.part(0.8, 1.0, "near repeats: ")),
        }
        hours = maf.probability_ / base
        rates = drifted.hour_rates()
        self.places = _Places(
            backbone,
            base,
            {name: other.probability_[0] for name, other in others.items()},
            mean_over_hours(maf.probability_, rates) / base,
            mean_over_hours(cox.probability_, rates) / base,
            cells.area_km2,
        )
        builders: list[Callable[[], FloatArray]] = [
            lambda: maf.probability_,
            lambda: cox.probability_,
            lambda: hours * backbone,
            lambda: np.repeat(base[None, :], N_WINDOWS, axis=0),
            *(partial(np.multiply, hours, other.probability_[0]) for other in others.values()),
        ]
        # One by one, because with a hundred thousand cells each takes 134 MB.
        self.tables = np.empty((len(COMPONENTS), N_WINDOWS, len(cells.area_km2)), np.float32)
        for place, build in enumerate(builders):
            self.tables[place] = normalised(build(), cells.area_km2)
        self.reports = {"drift": drifted.report(), **{n: o.report() for n, o in others.items()}}


@dataclass(frozen=True)
class _PastPeriod:
    """What a past period says about the components that were fitted before it.

    Args:
        densities: (n, K) probabilities of its incidents.
        usual: a mixture with the weights of the prior, at its start.
        expected: (K, 8, N) counts that each component expected, by part of the week.
        parts: its counts by part of the week, with the variances of the band.
        state_gains: what states of any strength were worth in it; see `strength_gains`.
    """

    densities: FloatArray
    usual: Moment
    expected: FloatArray
    parts: PartCounts
    state_gains: FloatArray

    def parts_of_week(self, weights: FloatArray) -> PartCounts:
        """Return its counts, and those that the mixture expected."""
        return replace(self.parts, expected=np.einsum("k,kpn->pn", weights, self.expected))


def _past_period(
    known: Incidents, cell: IntArray, cells: Cells, fold: Fold, context: FitContext
) -> _PastPeriod:
    """Fit the components to the incidents before a period, and compare them with the period's own."""
    components = _Components(known.take(fold.train), cells, context)
    test = known.take(fold.test)
    window = test.window.astype(np.int64)
    counts = CountTables(test, cells, context.cutoff_s).by_window(np.inf)
    flow = components.tables[0].astype(np.float64)
    # The weights are not known yet; with those of the prior it is nearer to the mixture than the flow.
    usual = np.einsum("k,kwn->wn", PSEUDO_COUNTS / PSEUDO_COUNTS.sum(), components.tables)
    return _PastPeriod(
        components.tables[:, window, cell[fold.test]].T.astype(np.float64),
        Moment(fold.origin_s, usual),
        np.stack([expected_by_part(counts.sum(axis=1), table) for table in components.tables]),
        by_part_of_week(counts, flow, components.band),
        strength_gains(
            usual,
            cells,
            cell[fold.test],
            window,
            test.time_s,
            fold.origin_s,
            HORIZON_DAYS,
        ),
    )
