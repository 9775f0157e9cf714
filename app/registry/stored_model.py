"""A registered version as a model."""

from __future__ import annotations

from models.base import Cells, DensityModel, FitContext, normalised
from models.incidents import Incidents
from models.units import FloatArray


class StoredModel(DensityModel):
    """Serve and score a registered version from its stored tables."""

    name = "stored"

    def __init__(self, probability: FloatArray, area_km2: FloatArray) -> None:
        self.probability_ = normalised(probability, area_km2, floor=0.0)
        self.area_km2_ = area_km2
        self.category_density_ = {}

    def fit(self, incidents: Incidents, cells: Cells, context: FitContext) -> StoredModel:
        """Return the model unchanged: its tables are what was registered."""
        return self
