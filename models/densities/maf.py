"""Normalizing flows as density models: correction of a backbone, and flows per window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np

from models.base import (
    N_WINDOWS,
    Cells,
    DensityModel,
    FitContext,
    Incidents,
    normalised,
)
from models.densities.cox import FlowCorrection
from models.densities.kde import MultiKde
from models.densities.smoothing import inside
from models.flows.neural import NeuralCorrection
from models.flows.windows import WindowFlows, WindowSettings, paper_preset, window_preset

MIN_INCIDENTS = 100
"""With fewer incidents a flow adds nothing to the backbone."""


class Maf(DensityModel):
    """A city-wide backbone and an autoregressive flow that corrects it for drift and hour.

    Args:
        network: None fits the slopes of the flow on the cells (`models.densities.cox`); settings of
            `NeuralCorrection` compute them by a network conditioned on the window.
    """

    name: ClassVar[str] = "maf"

    def __init__(self, network: Mapping[str, Any] | None = None) -> None:
        self.network = network

    def fit(self, incidents: Incidents, cells: Cells, context: FitContext) -> Self:
        """Fit the backbone, then the correction."""
        self.backbone_ = MultiKde().fit(incidents, cells, context.part(0, 0.2, "backbone: "))
        backbone = self.backbone_.probability_[0]
        correction = FlowCorrection() if self.network is None else NeuralCorrection(**self.network)
        correction.fit(incidents, cells, backbone, context.part(0.2, 1))
        self.correction_ = correction
        self.drift_ratio_ = correction.drift_ratio_
        self.hour_ratio_ = correction.ratio_ / correction.drift_ratio_
        self.area_km2_ = cells.area_km2
        self.probability_ = normalised(correction.ratio_ * backbone, self.area_km2_, 0.0)
        self.category_density_ = {}
        return self

    def report(self) -> Mapping[str, Any]:
        """Return facts about backbone and correction."""
        return {"backbone": self.backbone_.report(), "flow": self.correction_.report()}


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
