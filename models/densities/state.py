"""The change of a density since its fit; `models.densities.refresh`, which needs torch, makes it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.base import Float32Array, FloatArray


@dataclass(frozen=True)
class DensityState:
    """The change of a density at the end of the data.

    Args:
        memory_days: (K,) float64.
        log_ratio_by_memory: (K, N) logarithms of the factors of the cells' probabilities.
    """

    memory_days: FloatArray
    log_ratio_by_memory: Float32Array

    def ratio(self, lead_days: float) -> FloatArray:
        """Return the factors (N,) so many days after the end of the data."""
        left = np.exp(-max(lead_days, 0.0) / self.memory_days)
        ratio: FloatArray = np.exp(left @ self.log_ratio_by_memory.astype(np.float64))
        return ratio

    def later(self, days: float) -> DensityState:
        """Return the state after some days of which nothing is known."""
        left = np.exp(-days / self.memory_days)[:, None]
        return DensityState(self.memory_days, (left * self.log_ratio_by_memory).astype(np.float32))
