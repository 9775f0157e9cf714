"""Corrections of a backbone density: its drift up to the present, and the hour of the week."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import torch

from models.base import (
    DAY_S,
    HORIZON_DAYS,
    N_WINDOWS,
    Cells,
    FitContext,
    FloatArray,
    Incidents,
    IntArray,
)
from models.densities.lattice import Lattice
from models.densities.log_gaussian_cox import TiltSettings, fit_tilt
from models.densities.priors import drift_covariance, hour_covariance, leading_features
from models.densities.small_sample import correction_strength
from models.estimator import Estimator

_POSITIVE = 1e-9


class CountTables:
    """Counts of incidents per cell, by window or by age.

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
        self._window = incidents.window[inside].astype(np.int64)
        self._age_days = (cutoff_s - incidents.time_s[inside]) / DAY_S
        self.n_incidents = len(self._row)

    def by_window(self, half_life_days: float) -> FloatArray:
        """Return counts (168, N), each incident weighted by half per half-life of age."""
        return self._count(self._window, 0.5 ** (self._age_days / half_life_days), N_WINDOWS)

    def by_period(self, period_days: float, n_periods: int) -> FloatArray:
        """Return counts by age (K, N), latest first, of the last K <= n_periods periods."""
        period = (self._age_days // period_days).astype(np.int64)
        n_used = min(n_periods, int(period.max(initial=0)) + 1)
        return self._count(np.minimum(period, n_used), np.ones(len(period)), n_used + 1)[:-1]

    def _count(self, group: IntArray, weight: FloatArray, n_groups: int) -> FloatArray:
        n_cells = len(self.cells.area_km2)
        total = np.bincount(group * n_cells + self._row, weight, n_groups * n_cells)
        return np.asarray(total, np.float64).reshape(n_groups, n_cells)


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


@dataclass(frozen=True)
class HourSettings:
    """Prior of the differences between the hours of the week.

    Args:
        length_hours, like_days, other_days: see `priors.hour_covariance`.
        spread: {knot spacing in metres: standard deviation}.
        half_lives_days: half-lives of the incidents' weights; their fits are averaged on the log scale.
        rank: rank of the prior's features.
    """

    length_hours: float = 2.0
    like_days: float = 0.9
    other_days: float = 0.7
    spread: Mapping[float, float] = field(
        default_factory=lambda: {4000.0: 0.2, 1000.0: 0.2, 500.0: 0.25, 250.0: 0.3}
    )
    half_lives_days: Sequence[float] = (365.0, 2000.0)
    rank: int = 20


_DRIFT = DriftSettings()
_HOURS = HourSettings()


class FlowCorrection(Estimator):
    """Ratio of the corrected density to the backbone's, for every window and cell.

    Two tilts (`log_gaussian_cox`) are applied in turn: the drift of the backbone, extrapolated to the
    middle of the forecast horizon, then the differences between the hours of the week.

    Args:
        drift: prior of the drift; None: no drift.
        hours: prior of the hours; None: all windows share one density.
        tilt: settings of both fits.

    Attributes:
        ratio_: (168, N); multiplied by the backbone, each row sums to one.
        drift_ratio_: (N,) the factor common to all windows.
    """

    ratio_: FloatArray
    drift_ratio_: FloatArray

    def __init__(
        self,
        drift: DriftSettings | None = _DRIFT,
        hours: HourSettings | None = _HOURS,
        tilt: TiltSettings | None = None,
    ) -> None:
        self.drift = drift
        self.hours = hours
        self.tilt = tilt

    def fit(
        self, incidents: Incidents, cells: Cells, backbone: FloatArray, context: FitContext
    ) -> Self:
        """Fit to the incidents before the cutoff that lie in a cell.

        Args:
            backbone: (N,) probability of each cell, sums to one.

        Raises:
            FitCancelled: the caller asked to stop.
        """
        tables = CountTables(incidents.before(context.cutoff_s), cells, context.cutoff_s)
        base = np.maximum(backbone, _POSITIVE / len(backbone))
        base = base / base.sum()
        self.drift_ratio_ = np.ones(len(base))
        log_hours = np.zeros((N_WINDOWS, len(base)))
        if tables.n_incidents and self.drift is not None:
            self.drift_ratio_ = self._drift(tables, self.drift, base, context.part(0.0, 0.4))
        if tables.n_incidents and self.hours is not None:
            now = base * self.drift_ratio_
            log_hours = self._hours(tables, self.hours, now, context.part(0.4, 1.0))
        ratio = np.exp(log_hours) * self.drift_ratio_
        # Not a matrix product, whose last bits depend on the number of threads.
        self.ratio_ = ratio / (ratio * base).sum(axis=1, keepdims=True)
        return self

    def _drift(
        self, tables: CountTables, settings: DriftSettings, base: FloatArray, context: FitContext
    ) -> FloatArray:
        """Fit the ratio of the density in the middle of the horizon to the base (N,)."""
        counts = tables.by_period(settings.period_days, settings.n_periods)
        ages = (np.arange(len(counts)) + 0.5) * settings.period_days
        ages = np.array([*ages, -0.5 * HORIZON_DAYS])
        features = leading_features(
            drift_covariance(np.asarray(ages, np.float64), settings.scales), settings.rank
        )
        lattice = Lattice(tables.cells, settings.spread, context.device)
        fields = self._fit(counts, base, features[:-1], lattice, context)
        ratio = np.exp(correction_strength(tables.n_incidents) * (fields @ features[-1]))
        return np.asarray(ratio / (ratio * base).sum(), np.float64)

    def _hours(
        self, tables: CountTables, settings: HourSettings, base: FloatArray, context: FitContext
    ) -> FloatArray:
        """Fit log ratios of the windows' densities to the base (168, N)."""
        covariance = hour_covariance(settings.length_hours, settings.like_days, settings.other_days)
        features = leading_features(covariance, settings.rank)
        # A column common to all hours absorbs what belongs to the drift; its field is discarded.
        nuisance = np.concatenate([features, np.ones((N_WINDOWS, 1))], axis=1)
        lattice = Lattice(tables.cells, settings.spread, context.device)
        n_fits = len(settings.half_lives_days)
        fields = [
            self._fit(
                tables.by_window(days),
                base,
                nuisance,
                lattice,
                context.part(i / n_fits, (i + 1) / n_fits),
            )
            for i, days in enumerate(settings.half_lives_days)
        ]
        mean = np.mean(fields, axis=0)[:, :-1]
        return np.asarray(correction_strength(tables.n_incidents) * (features @ mean.T), np.float64)

    def _fit(
        self,
        counts: FloatArray,
        base: FloatArray,
        features: FloatArray,
        lattice: Lattice,
        context: FitContext,
    ) -> FloatArray:
        def tensor(values: FloatArray) -> torch.Tensor:
            return torch.as_tensor(values.astype(np.float32), device=context.device)

        fields = fit_tilt(
            tensor(counts), tensor(np.log(base)), tensor(features), lattice, context, self.tilt
        )
        return fields.double().cpu().numpy()

    def report(self) -> dict[str, Any]:
        """Return mean absolute log ratios of the drift and of the hours."""
        drift = np.log(self.drift_ratio_)
        hours = np.log(self.ratio_) - drift
        return {
            "drift_log_ratio": float(np.abs(drift).mean()),
            "hours_log_ratio": float(np.abs(hours).mean()),
        }
