"""`cox`: a log-Gaussian Cox process, which tilts the backbone by its drift and by the hour of the week."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np

from models.base import Cells, DensityModel, FitContext, normalised
from models.densities.drift import DRIFT, CountTables, DriftedBackbone, DriftSettings
from models.densities.small_sample import correction_strength
from models.estimator import Estimator
from models.fields.lattice import Lattice
from models.fields.priors import HOURS, HourSettings, with_nuisance
from models.fields.tilt import TiltSettings, fit_tilt, tensor
from models.hour_table import HourTable
from models.incidents import Incidents
from models.units import FloatArray


class HourTilt(Estimator):
    """Differences between the windows' densities, as tilts of one density of all hours.

    Args:
        hours: prior of the differences.
        tilt: settings of the fit.

    Attributes:
        table_: probabilities (168, N) as factors, rows sum to one.
    """

    table_: HourTable

    def __init__(self, hours: HourSettings = HOURS, tilt: TiltSettings | None = None) -> None:
        self.hours = hours
        self.tilt = tilt

    @property
    def probability_(self) -> FloatArray:
        """The probabilities, computed from their factors."""
        return self.table_.whole()

    def fit(self, tables: CountTables, base: FloatArray, context: FitContext) -> Self:
        """Fit to counts.

        Args:
            base: (N,) positive probabilities, sum to one.

        Raises:
            FitCancelled: the caller asked to stop.
        """
        features = self.hours.features()
        weights = np.zeros((features.shape[1], len(base)))
        if tables.n_incidents:
            strength = correction_strength(tables.n_incidents)
            weights = strength * self._fit(features, tables, base, context)
        self.table_ = HourTable.normalised(features, weights, np.log(base))
        return self

    def _fit(
        self, features: FloatArray, tables: CountTables, base: FloatArray, context: FitContext
    ) -> FloatArray:
        """Fit the features' weights at each cell (R, N), the mean of all half-lives."""
        lattice = Lattice.of_cells(tables.cells, self.hours.spread, context.device)
        n_fits = len(self.hours.half_lives_days)
        total = np.zeros((features.shape[1] + 1, len(base)))
        for i, days in enumerate(self.hours.half_lives_days):
            fields = fit_tilt(
                tables.by_window(days),
                tensor(np.log(base), context.device),
                tensor(with_nuisance(features), context.device),
                lattice,
                context.part(i / n_fits, (i + 1) / n_fits),
                self.tilt,
            )
            total += fields.double().cpu().numpy().T
        return total[:-1] / n_fits


class Cox(DensityModel):
    """The backbone, tilted by its drift and by the hour of the week.

    A log-Gaussian Cox process (Moller et al. 1998) on the cells of the study area, given the number
    of incidents; the fit is convex (`models.fields.tilt`).

    Args:
        drift: prior of the drift; None: no drift.
        hours: prior of the hours; None: all windows share one density.
    """

    name: ClassVar[str] = "cox"

    def __init__(
        self, drift: DriftSettings | None = DRIFT, hours: HourSettings | None = HOURS
    ) -> None:
        self.drift = drift
        self.hours = hours

    def fit(self, incidents: Incidents, cells: Cells, context: FitContext) -> Self:
        """Fit the backbone and its drift, then the hours."""
        self.drifted_ = DriftedBackbone(self.drift).fit(incidents, cells, context.part(0, 0.5))
        now = self.drifted_.probability_
        if self.hours is None:
            table = now[None, :]
        else:
            hours = HourTilt(self.hours)
            part = context.part(0.5, 1, "hours: ")
            table = hours.fit(self.drifted_.tables_, now, part).probability_
        self.area_km2_ = cells.area_km2
        self.probability_ = normalised(table, self.area_km2_, 0.0)
        self.ingredients_ = self.drifted_.ingredients_of(self.probability_, self.area_km2_)
        self.category_density_ = {}
        return self

    def report(self) -> Mapping[str, Any]:
        """Return the backbone's report, and mean absolute log ratios of the drift and of the hours."""
        return self.drifted_.report_of(self.probability_)
