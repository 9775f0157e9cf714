"""Independent flows per window: `maf-window`, and `maf-paper` as in the study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np

from models.base import Cells, DensityModel, FitContext
from models.densities.kde import MultiKde
from models.densities.smoothing import inside
from models.flows.windows import WindowFlows, WindowSettings, paper_preset, window_preset
from models.incidents import Incidents
from models.units import N_WINDOWS

MIN_INCIDENTS = 100
"""With fewer incidents flows add nothing to the backbone."""


class MafWindow(DensityModel):
    """Independent flows per window, trained as one batch over windows and restarts.

    Args:
        n_restarts: flows per window; their densities are averaged, and `band_sd_` (168, N) is their
            standard deviation.
    """

    name: ClassVar[str] = "maf-window"

    def __init__(self, n_restarts: int = 1) -> None:
        self.n_restarts = n_restarts

    def _settings(self) -> WindowSettings:
        return window_preset(self.n_restarts)

    def fit(self, incidents: Incidents, cells: Cells, context: FitContext) -> Self:
        """Train the flows of all windows; below `MIN_INCIDENTS` use the backbone instead."""
        self.area_km2_ = cells.area_km2
        self.category_density_ = {}
        known, cell = inside(incidents, cells, context.cutoff_s)
        if len(known) < MIN_INCIDENTS:
            backbone = MultiKde().fit(incidents, cells, context)
            self.probability_ = np.repeat(backbone.probability_, N_WINDOWS, axis=0)
            self.band_sd_ = np.zeros_like(self.probability_)
            self.report_: dict[str, Any] = {"fallback": f"{len(known)} incidents: backbone only"}
            return self
        flows = WindowFlows(self._settings()).fit(known, cell, cells, context)
        self.probability_ = flows.probability_.mean(0)
        self.band_sd_ = flows.probability_.std(0)
        self.report_ = flows.report()
        return self

    def report(self) -> Mapping[str, Any]:
        """Return the held-out score, steps, failures and leaked mass."""
        return self.report_


class MafPaper(MafWindow):
    """The study's model: MADE blocks with batch normalisation, every window on its own.

    Args:
        n_blocks: number of blocks, 5 to 25 in the study.
        width: width of the two hidden layers.
    """

    name: ClassVar[str] = "maf-paper"

    def __init__(self, n_blocks: int = 5, width: int = 64, n_restarts: int = 1) -> None:
        super().__init__(n_restarts)
        self.n_blocks = n_blocks
        self.width = width

    def _settings(self) -> WindowSettings:
        return paper_preset(self.n_blocks, self.width, self.n_restarts)
