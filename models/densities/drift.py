"""The backbone as it is expected in the middle of the forecast horizon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from scipy.sparse import csr_array

from models.base import HORIZON_DAYS, Cells, FitContext, normalised
from models.densities.ingredients import DRIFT as DRIFT_NAME
from models.densities.ingredients import Ingredients
from models.densities.kde import MultiKde
from models.densities.small_sample import correction_strength
from models.densities.state import mean_over_hours
from models.estimator import Estimator
from models.fields.lattice import Lattice
from models.fields.posterior import field_variances
from models.fields.priors import drift_covariance, leading_features
from models.fields.tilt import TiltSettings, fit_tilt, tensor
from models.incidents import Incidents
from models.units import DAY_S, N_WINDOWS, FloatArray, IntArray

_POSITIVE = 1e-9


class CountTables:
    """Counts of incidents per cell, by window or by age; sparse, since most cells of most windows have none.

    Args:
        incidents: those outside every cell are ignored.
        cells: the N cells.
        cutoff_s: the instant at which age is zero, UTC seconds.
    """

    def __init__(self, incidents: Incidents, cells: Cells, cutoff_s: int) -> None:
        row = cells.locate(incidents.x_m, incidents.y_m)
        inside = row >= 0
        self.cells = cells
        self._row = row[inside]
        self._hours = incidents.take(inside).by_hour()
        self._age_days = (cutoff_s - incidents.time_s[inside]) / DAY_S
        self.n_incidents = len(self._row)

    def by_window(self, half_life_days: float) -> csr_array:
        """Return counts (168, N), each incident weighted by half per half-life of age."""
        hours = self._hours
        weight = 0.5 ** (self._age_days[hours.incident] / half_life_days) * hours.weight
        return self._count(hours.window, self._row[hours.incident], weight, N_WINDOWS)

    def by_period(self, period_days: float, n_periods: int) -> csr_array:
        """Return counts by age (K, N), latest first, of the last K <= n_periods periods."""
        period = (self._age_days // period_days).astype(np.int64)
        n_used = min(n_periods, int(period.max(initial=0)) + 1)
        group = np.minimum(period, n_used)
        used = group < n_used
        return self._count(group[used], self._row[used], np.ones(int(used.sum())), n_used)

    def _count(
        self, group: IntArray, row: IntArray, weight: FloatArray, n_groups: int
    ) -> csr_array:
        return csr_array((weight, (group, row)), shape=(n_groups, len(self.cells.area_km2)))


@dataclass(frozen=True)
class DriftSettings:
    """Prior of the drift of the density of all hours over the years.

    Args:
        scales: (memory in days, variance) of each component.
        spread: {knot spacing in metres: standard deviation}.
        period_days: length of the periods in which incidents are counted.
        n_periods: number of periods before the cutoff.
        rank: rank of the prior's features.
    """

    scales: Sequence[tuple[float, float]] = ((100.0, 0.3), (1500.0, 1.0))
    spread: Mapping[float, float] = field(
        default_factory=lambda: {4000.0: 0.1, 1000.0: 0.15, 500.0: 0.2, 250.0: 0.25}
    )
    period_days: float = 28.0
    n_periods: int = 104
    rank: int = 20


DRIFT = DriftSettings()


class DriftedBackbone(Estimator):
    """A mixture of kernels, tilted by its drift (`models.fields.tilt`), the same for all windows.

    Args:
        drift: prior of the drift; None: no drift.
        tilt: settings of the fit.

    Attributes:
        backbone_: the mixture, a fitted `MultiKde`.
        ratio_: (N,) the drift: factors of the backbone's probabilities.
        probability_: (N,) their product, positive, sums to one.
        tables_: counts of the incidents before the cutoff.
    """

    backbone_: MultiKde
    ratio_: FloatArray
    probability_: FloatArray
    tables_: CountTables

    def __init__(
        self, drift: DriftSettings | None = DRIFT, tilt: TiltSettings | None = None
    ) -> None:
        self.drift = drift
        self.tilt = tilt

    def fit(self, incidents: Incidents, cells: Cells, context: FitContext) -> Self:
        """Fit to the incidents before the cutoff that lie in a cell.

        Raises:
            FitCancelled: the caller asked to stop.
        """
        self.backbone_ = MultiKde().fit(incidents, cells, context.part(0, 0.3, "backbone: "))
        base = positive(self.backbone_.probability_[0])
        self.tables_ = CountTables(incidents.before(context.cutoff_s), cells, context.cutoff_s)
        self.ratio_ = np.ones(len(base))
        if self.tables_.n_incidents and self.drift is not None:
            self.ratio_ = self._fit_drift(self.drift, base, context.part(0.3, 1.0, "drift: "))
        self.probability_ = base * self.ratio_
        return self

    def _periods(self, settings: DriftSettings) -> tuple[csr_array, FloatArray]:
        """Return counts (K, N) of past periods, and features (K + 1, R): theirs, then the future's."""
        counts = self.tables_.by_period(settings.period_days, settings.n_periods)
        ages = (np.arange(counts.shape[0]) + 0.5) * settings.period_days
        ages = np.array([*ages, -0.5 * HORIZON_DAYS])
        covariance = drift_covariance(np.asarray(ages, np.float64), settings.scales)
        return counts, leading_features(covariance, settings.rank)

    def _fit_drift(
        self, settings: DriftSettings, base: FloatArray, context: FitContext
    ) -> FloatArray:
        """Fit the ratio of the density in the middle of the horizon to the base (N,)."""
        counts, features = self._periods(settings)
        fields = fit_tilt(
            counts,
            tensor(np.log(base), context.device),
            tensor(features[:-1], context.device),
            Lattice.of_cells(self.tables_.cells, settings.spread, context.device),
            context,
            self.tilt,
        )
        now = fields.double().cpu().numpy() @ features[-1]
        ratio = np.exp(correction_strength(self.tables_.n_incidents) * now)
        return np.asarray(ratio / (ratio * base).sum(), np.float64)

    def posterior(self, context: FitContext) -> FloatArray:
        """Return the posterior variance (N,) of the log of the drift, of the Laplace approximation."""
        if self.drift is None or not self.tables_.n_incidents:
            return np.zeros(len(self.ratio_))
        counts, features = self._periods(self.drift)
        share = np.asarray(counts.sum(axis=1)) / counts.sum()
        centred = features - share @ features[:-1]
        within = (centred[:-1] * share[:, None]).T @ centred[:-1]
        lattice = Lattice.of_cells(self.tables_.cells, self.drift.spread, context.device)
        variance, direction = field_variances(
            self.probability_ * counts.sum(), within, lattice, context
        )
        return np.asarray((centred[-1] @ direction) ** 2 @ variance, np.float64)

    def hour_rates(self) -> FloatArray:
        """Return how many incidents each window (168,) had, and one more."""
        return np.asarray(self.tables_.by_window(np.inf).sum(axis=1), np.float64) + 1.0

    def ingredients_of(self, probability: FloatArray, area_km2: FloatArray) -> Ingredients:
        """Return what the drift contributes to a table (W, N) of hours that was fitted to this density."""
        hours = mean_over_hours(probability, self.hour_rates()) / self.probability_
        backbone = self.backbone_.probability_[0]

        def density(has: frozenset[str]) -> FloatArray:
            place = self.probability_ if DRIFT_NAME in has else backbone
            return normalised(hours * place, area_km2, 0.0)

        return Ingredients.made([] if self.drift is None else [DRIFT_NAME], density)

    def report_of(self, probability: FloatArray) -> dict[str, Any]:
        """Return the report, and the mean absolute log ratio of a table (W, N) of hours to this one."""
        hours = np.abs(np.log(probability) - np.log(self.probability_))
        return {**self.report(), "hours_log_ratio": float(hours.mean())}

    def report(self) -> Mapping[str, Any]:
        """Return the backbone's report and the mean absolute log ratio of the drift."""
        drift = float(np.abs(np.log(self.ratio_)).mean())
        return {"backbone": self.backbone_.report(), "drift_log_ratio": drift}


def positive(probability: FloatArray) -> FloatArray:
    """Return probabilities (N,) raised to a billionth of the uniform share, summing to one."""
    raised = np.maximum(probability, _POSITIVE / len(probability))
    return np.asarray(raised / raised.sum(), np.float64)
