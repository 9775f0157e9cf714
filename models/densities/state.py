"""The change of a density since its fit; `models.densities.refresh`, which needs torch, makes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.hour_table import times
from models.units import Float32Array, FloatArray, IntArray


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


def mean_over_hours(table: NDArray[Any], rates: FloatArray) -> FloatArray:
    """Return the probabilities (N,) of an incident at any hour.

    Args:
        table: (W, N) probabilities of the windows, W = 168, or 1 where all share one density.
        rates: (168,) incidents of each window, to any scale.
    """
    weight = rates / rates.sum() if len(table) > 1 else np.ones(1)
    mean = np.einsum("w,wn->n", weight, table)
    return np.asarray(mean / mean.sum(), np.float64)


def log_gain(
    table: NDArray[Any], ratio: FloatArray, rows: IntArray, window: IntArray
) -> FloatArray:
    """Return by how much factors raise the log densities of incidents (n,) or (n, K), in nats.

    Args:
        table: (W, N) probabilities of the windows, W = 168, or 1 where all share one density.
        ratio: (N,) or (N, K) factors of all windows' probabilities.
        rows, window: (n,) cells of the incidents, and their hours of the week.
    """
    sums = table.sum(axis=1, dtype=np.float64)
    total = (times(table, ratio).T / sums).T
    gain: FloatArray = np.log(ratio[rows]) - np.log(total[window.astype(np.int64) % len(table)])
    return gain
