"""`maf`: a masked autoregressive flow for each hour of the week, on the city's backbone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal, Self

import numpy as np

from models.bands import Band, by_part_of_week, calibrated
from models.base import Cells, DensityModel, FitContext, normalised
from models.densities.drift import DRIFT, CountTables, DriftedBackbone, DriftSettings
from models.densities.folds import inner_folds
from models.densities.small_sample import correction_strength
from models.densities.smoothing import inside
from models.estimator import Estimator
from models.fields.priors import FLOW_HOURS, HourSettings
from models.flows.cell_flow import CellFlow, HourFirstFlow, HourLastFlow
from models.flows.rosenblatt import RosenblattMap
from models.hour_table import HourTable
from models.incidents import Incidents
from models.units import N_WINDOWS, FloatArray, IntArray

Order = Literal["hour last", "hour first"]


class HourFlow(Estimator):
    """The flow over places and hours on one base.

    Args:
        order: "hour last", or "hour first": then the mean of both orders of the coordinates (the
            order-agnostic ensemble of MADE, Germain et al. 2015).
        hours: prior of the conditioners' weights.

    Attributes:
        flows_: the fitted flows.
    """

    flows_: tuple[CellFlow, ...]

    def __init__(self, order: Order = "hour last", hours: HourSettings = FLOW_HOURS) -> None:
        self.order = order
        self.hours = hours

    def fit(self, tables: CountTables, base: FloatArray, context: FitContext) -> Self:
        """Fit to counts.

        Args:
            base: (N,) positive probabilities, sum to one.

        Raises:
            FitCancelled: the caller asked to stop.
        """
        counts = [tables.by_window(days) for days in self.hours.half_lives_days]
        strength = correction_strength(tables.n_incidents)
        flows: list[CellFlow] = [HourLastFlow(self.hours, strength)]
        if self.order == "hour first":
            flows = [HourFirstFlow(first, self.hours, strength) for first in ("x", "y")]
        for i, flow in enumerate(flows):
            part = context.part(i / len(flows), (i + 1) / len(flows))
            flow.fit(counts, base, tables.cells, part)
        self.flows_ = tuple(flows)
        return self

    @property
    def table(self) -> HourTable:
        """The probabilities with the hour last, as factors."""
        (last, *_) = self.flows_
        if not isinstance(last, HourLastFlow):
            raise TypeError("a flow with the hour first has no factors")
        return last.table_

    @property
    def probability_(self) -> FloatArray:
        """Probabilities (168, N), rows sum to one."""
        own = [flow.probability_ for flow in self.flows_]
        return own[0] if len(own) == 1 else np.asarray(np.mean(own, axis=0), np.float64)


def posterior_band(drifted: DriftedBackbone, flow: HourFlow, context: FitContext) -> Band | None:
    """Return the posterior variances of the log probabilities, of flow and drift; see `calibrated`.

    None with the hour first.
    """
    (last, *_) = flow.flows_
    if not isinstance(last, HourLastFlow):
        return None
    tables = drifted.tables_
    counts = tables.by_window(max(flow.hours.half_lives_days))
    own = last.posterior(counts, tables.cells, context.part(0, 0.7))
    common = drifted.posterior(context.part(0.7, 1))[None, :]
    loading = np.concatenate([own.loading, np.ones((N_WINDOWS, 1))], axis=1)
    return Band(loading, np.concatenate([own.variance, common]))


class Maf(DensityModel):
    """The backbone and its drift, and a flow over places and hours (`models.flows.cell_flow`).

    Args:
        order: order of the flow's coordinates, see `HourFlow`.
        drift: prior of the drift; None: no drift.
        hours: prior of the flow.
    """

    name: ClassVar[str] = "maf"

    def __init__(
        self,
        order: Order = "hour last",
        drift: DriftSettings | None = DRIFT,
        hours: HourSettings = FLOW_HOURS,
    ) -> None:
        self.order = order
        self.drift = drift
        self.hours = hours

    def fit(self, incidents: Incidents, cells: Cells, context: FitContext) -> Self:
        """Fit the backbone and its drift, then the flow, and as of a period ago to calibrate the band."""
        known, _ = inside(incidents, cells, context.cutoff_s)
        past = []
        for fold in inner_folds(known, context.cutoff_s, 1):
            then = replace(context.part(0, 0.5, "a period ago: "), cutoff_s=fold.origin_s)
            _, flow, band = self._fit_at(known.take(fold.train), cells, then)
            counts = CountTables(known.take(fold.test), cells, context.cutoff_s).by_window(np.inf)
            past.append(by_part_of_week(counts, flow.probability_, band))
        now = context.part(0.5, 1)
        self.drifted_, self.hour_flow_, band = self._fit_at(incidents, cells, now)
        self.band_ = None if band is None else calibrated(band, past)
        self.cells_ = cells
        self.area_km2_ = cells.area_km2
        self.probability_ = normalised(self.hour_flow_.probability_, self.area_km2_, 0.0)
        self.ingredients_ = self.drifted_.ingredients_of(self.probability_, self.area_km2_)
        self.category_density_ = {}
        return self

    def sample(
        self, n: int, window: int, category: int | None = None, seed: int | None = None
    ) -> IntArray:
        """Draw the rows of n cells through the inverse of the window's flow."""
        flow = RosenblattMap(self.cells_, self.cell_probability(window, category))
        rows, _ = flow.inverse(np.random.default_rng(seed).random((n, 2)))
        return rows

    def _fit_at(
        self, incidents: Incidents, cells: Cells, context: FitContext
    ) -> tuple[DriftedBackbone, HourFlow, Band | None]:
        drifted = DriftedBackbone(self.drift).fit(incidents, cells, context.part(0, 0.4))
        flow = HourFlow(self.order, self.hours)
        flow.fit(drifted.tables_, drifted.probability_, context.part(0.4, 0.8, "flow: "))
        return drifted, flow, posterior_band(drifted, flow, context.part(0.8, 1, "posterior: "))

    def report(self) -> Mapping[str, Any]:
        """Return the backbone's report, and mean absolute log ratios of the drift and of the hours."""
        band = {} if self.band_ is None else {"band": self.band_.report()}
        return {**self.drifted_.report_of(self.probability_), **band}
