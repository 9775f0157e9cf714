"""Estimates how incidents cluster, from forecasts of earlier periods and what then happened."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from models.evaluation.consistency import INDEPENDENT, Clustering, JointForecast, Observed
from models.units import FloatArray

_ROUNDS = 20


def estimate_clustering(past: Iterable[tuple[JointForecast, Observed]]) -> Clustering:
    """Estimate the clustering from forecasts of earlier periods and what then happened.

    The variance of a cell's count is (1 + followers) x mean + by_cell x mean^2, whose two numbers are
    fitted by least squares with weights from the fit itself. Incidents in the same hour and cell, beyond
    the forecast's pairs, are those that come at once.
    """
    mean, count, pairs, n = [], [], 0.0, 0
    for forecast, observed in past:
        n_cells = forecast.probability.shape[1]
        expected = len(observed) * forecast.cell_share(forecast.mean)
        mean.append(expected)
        count.append(np.bincount(observed.cell, minlength=n_cells).astype(np.float64))
        pairs += _excess_pairs(forecast, observed)
        n += len(observed)
    if not n:
        return INDEPENDENT
    scale, by_cell = _variance_function(np.concatenate(mean), np.concatenate(count))
    at_once = max(pairs / n, 0.0)
    followers = max(scale - 1.0, at_once)
    return Clustering(by_cell, followers, at_once / followers if followers > 0 else 0.0)


def _excess_pairs(forecast: JointForecast, observed: Observed) -> float:
    """Count ordered pairs of incidents in the same hour and cell, less those that the forecast expects."""
    n_cells = forecast.probability.shape[1]
    _, count = np.unique(observed.slot * n_cells + observed.cell, return_counts=True)
    share = forecast.mean / forecast.mean.sum()
    squares = (forecast.probability**2).sum(axis=1)[forecast.window % len(forecast.probability)]
    n = len(observed)
    expected = n * n * float((share**2 * squares).sum())
    return float((count * (count - 1.0)).sum()) - expected


def _variance_function(mean: FloatArray, count: FloatArray) -> tuple[float, float]:
    """Fit variance = a x mean + b x mean^2, a >= 1 and b >= 0, to counts of cells; return a and b."""
    mean, count = mean[mean > 0], count[mean > 0]
    squared = (count - mean) ** 2
    terms = np.stack([mean, mean**2], axis=1)
    scale, by_cell = 1.0, 0.1
    for _ in range(_ROUNDS):
        variance = terms @ np.array([scale, by_cell])
        # The variance of a squared deviation; small means have long tails.
        weight = 1.0 / (variance**2 * (2.0 + 1.0 / np.maximum(mean, 1e-3)))
        solution, *_ = np.linalg.lstsq(
            terms * np.sqrt(weight)[:, None], squared * np.sqrt(weight), rcond=None
        )
        scale, by_cell = max(float(solution[0]), 1.0), max(float(solution[1]), 0.0)
    return scale, by_cell
