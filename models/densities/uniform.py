"""The uniform density, the baseline of all other models."""

from __future__ import annotations

from typing import ClassVar, Self

from models.base import Cells, DensityModel, FitContext
from models.incidents import Incidents


class Uniform(DensityModel):
    """Equal density everywhere in the study area."""

    name: ClassVar[str] = "uniform"

    def fit(self, incidents: Incidents, cells: Cells, context: FitContext) -> Self:
        """Set probabilities proportional to the cells' areas."""
        context.report(1.0, "uniform")
        self.area_km2_ = cells.area_km2
        self.probability_ = (cells.area_km2 / cells.area_km2.sum())[None, :]
        self.category_density_ = {}
        return self
