"""`stack`: a mixture of several densities, weighted by their forecasts of past periods.

The components are linear-stacked (Smyth & Wolpert 1999, "Linearly combining density estimators via
stacking"): each is fitted as of 28 and 56 days ago, and EM finds the weights with which their mixture
best forecasts the incidents that followed. A Dirichlet prior favours the flow and the Cox process, so
that small samples do not select a component by chance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np

from models.bands import N_PARTS, PartCounts, calibrated, expected_by_part, observed_by_part
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
from models.hour_table import blocks
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
COX, WITHOUT_HOURS = COMPONENTS.index("cox"), COMPONENTS.index("maf without hours")
BY_FLOW = tuple(k for k in range(len(COMPONENTS)) if k not in (COX, WITHOUT_HOURS))
"""Places of the components that are multiplied by the hour ratios of the flow."""
MAX_REMEMBERED = 2
"""Components of as many moments: with a quarter of a million cells each take 150 MB."""
UNIFORM_SHARE = 1e-3
"""Of each component, so that every density is positive."""
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
        past: list[_PastPeriod] = []
        usual: Moment | None = None
        for place, fold in enumerate(reversed(folds)):
            part = context.part(0.9 * place / steps, 0.9 * (place + 1) / steps, f"{place + 1}: ")
            then = replace(part, cutoff_s=fold.origin_s)
            period, start = _past_period(known, cell, cells, fold, then)
            usual = usual or start
            past.append(period)
        held_out = [period.densities for period in past] or [np.ones((0, len(COMPONENTS)))]
        self.weights_ = mixture_weights(np.concatenate(held_out), PSEUDO_COUNTS)
        looked_at = [period.state_gains for period in past]
        self.state_strength_ = learnt_strength(np.sum(looked_at, axis=0)) if past else None
        part = context.part(0.9 * len(folds) / steps, 0.9)
        components = _components(known, cells, part)
        self.component_reports_ = components.reports
        self.probability_ = components.mixed(self.weights_)
        self.ingredients_ = components.places.ingredients(self.weights_)
        if components.band is not None:
            parts = [period.parts_of_week(self.weights_) for period in past]
            self.band_ = calibrated(components.band, parts)
        now = Moment(context.cutoff_s, self.probability_)
        self.categories_ = Categories().fit(
            known,
            cells,
            now,
            usual or now,
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
    """The components as of a cutoff, in the order of `COMPONENTS`.

    Their tables (168, N) are made a block of cells at a time: with a quarter of a million cells, all of them
    take two gigabytes.

    Attributes:
        band: posterior variances of the flow and of the drift, not yet calibrated.
        places: their densities of all hours.
        reports: report of each.
    """

    def __init__(self, known: Incidents, cells: Cells, context: FitContext) -> None:
        drifted = DriftedBackbone().fit(known, cells, context.part(0, 0.15))
        base, backbone = drifted.probability_, drifted.backbone_.probability_[0]
        cox = HourTilt().fit(drifted.tables_, base, context.part(0.15, 0.25, "cox: ")).table_
        maf = HourFlow().fit(drifted.tables_, base, context.part(0.25, 0.35, "maf: "))
        self.band = posterior_band(drifted, maf, context.part(0.35, 0.5, "posterior: "))
        others = {
            "recent": RecentKde().fit(known, cells, context.part(0.5, 0.6, "recent: ")),
            "history": History().fit(known, cells, context.part(0.6, 0.8, "history: ")),
            "sepp": Sepp().fit(known, cells, context.part(0.8, 1.0, "near repeats: ")),
        }
        own = {name: other.probability_[0] for name, other in others.items()}
        flow, rates = maf.table, drifted.hour_rates()
        self.places = _Places(
            backbone, base, own, flow.mean(rates) / base, cox.mean(rates) / base, cells.area_km2
        )
        self._cox, self._hours = cox, flow.over(base)
        self._flat = base / base.sum()
        self._by_flow = np.stack([base, backbone, *own.values()])
        self._sums = sum(
            self._hours.block(part) @ self._by_flow[:, part].T for part in blocks(len(base))
        )
        self._uniform = UNIFORM_SHARE * cells.area_km2 / cells.area_km2.sum()
        self.reports = {"drift": drifted.report(), **{n: o.report() for n, o in others.items()}}

    def block(self, part: slice) -> FloatArray:
        """Return the probabilities (K, 168, B) of some cells."""
        hours, places = self._hours.block(part), self._by_flow[:, part]
        made = np.empty((len(COMPONENTS), *hours.shape))
        for component, own, sums in zip(BY_FLOW, places, self._sums.T, strict=True):
            np.multiply(hours, own, out=made[component])
            made[component] /= sums[:, None]
        made[COX], made[WITHOUT_HOURS] = self._cox.block(part), self._flat[part]
        made *= 1.0 - UNIFORM_SHARE
        made += self._uniform[part]
        return made

    def mixed(self, weights: FloatArray) -> FloatArray:
        """Return the mixture (168, N) with weights (K,); rows sum to one."""
        table = np.empty((N_WINDOWS, len(self._flat)))
        for part in blocks(len(self._flat)):
            table[:, part] = np.tensordot(weights, self.block(part), 1)
        table /= table.sum(axis=1, keepdims=True)
        return table


def _components(known: Incidents, cells: Cells, context: FitContext) -> _Components:
    """Fit the components, unless an earlier fit of the same caller has: a validation's are a fold's later."""
    if context.memo is None:
        return _Components(known, cells, context)
    key = "components", context.cutoff_s, known.digest(), cells.cell_id.tobytes()
    found = context.memo.get(key)
    if found is None:
        while len(context.memo) >= MAX_REMEMBERED:
            context.memo.pop(next(iter(context.memo)))
        found = context.memo[key] = _Components(known, cells, context)
    return found


@dataclass(frozen=True)
class _PastPeriod:
    """What a past period says about the components that were fitted before it.

    Args:
        densities: (n, K) probabilities of its incidents.
        expected: (K, 8, N) counts that each component expected, by part of the week.
        parts: its counts by part of the week, with the variances of the band.
        state_gains: what states of any strength were worth in it; see `strength_gains`.
    """

    densities: FloatArray
    expected: Float32Array
    parts: PartCounts
    state_gains: FloatArray

    def parts_of_week(self, weights: FloatArray) -> PartCounts:
        """Return its counts, and those that the mixture expected."""
        return replace(self.parts, expected=np.tensordot(weights, self.expected, 1))


def _past_period(
    known: Incidents, cell: IntArray, cells: Cells, fold: Fold, context: FitContext
) -> tuple[_PastPeriod, Moment]:
    """Fit the components to the incidents before a period, and compare them with the period's own.

    Returns:
        The comparison, and a mixture with the weights of the prior at the start of the period: the weights
        are not known yet, and with these it is nearer to the mixture than the flow is.
    """
    components = _components(known.take(fold.train), cells, context)
    test, rows = known.take(fold.test), cell[fold.test]
    window = test.window.astype(np.int64)
    counts = CountTables(test, cells, context.cutoff_s).by_window(np.inf)
    n_incidents = np.asarray(counts.sum(axis=1), np.float64)
    weights = PSEUDO_COUNTS / PSEUDO_COUNTS.sum()
    n_cells = len(cells.area_km2)
    densities = np.empty((len(test), len(COMPONENTS)))
    expected = np.empty((len(COMPONENTS), N_PARTS, n_cells), np.float32)
    variance = np.zeros((N_PARTS, n_cells))
    usual = np.empty((N_WINDOWS, n_cells), np.float32)
    for part in blocks(n_cells):
        tables = components.block(part)
        here = np.flatnonzero((rows >= part.start) & (rows < part.stop))
        densities[here] = tables[:, window[here], rows[here] - part.start].T
        usual[:, part] = np.tensordot(weights, tables, 1)
        due = np.stack([expected_by_part(n_incidents, table) for table in tables])
        expected[:, :, part] = due
        if components.band is not None:
            variance[:, part] = components.band.variance_by_part(
                n_incidents, tables[0], due[0], part
            )
    gains = strength_gains(usual, cells, rows, window, test.time_s, fold.origin_s, HORIZON_DAYS)
    parts = PartCounts(observed_by_part(counts), expected[0].astype(np.float64), variance)
    return _PastPeriod(densities, expected, parts, gains), Moment(fold.origin_s, usual)
