"""Time-ordered inner validation on the weeks before the origin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from models.base import HORIZON_DAYS
from models.incidents import Incidents
from models.units import DAY_S, FloatArray, IntArray

MIN_TRAIN = 50
MIN_TEST = 20


@dataclass(frozen=True)
class Fold:
    """A fold: rows [0, split) precede its origin, rows [split, end) are its test period."""

    origin_s: int
    split: int
    end: int

    @property
    def train(self) -> slice:
        """Rows before the fold's origin."""
        return slice(0, self.split)

    @property
    def test(self) -> slice:
        """Rows of the fold's test period."""
        return slice(self.split, self.end)


def inner_folds(incidents: Incidents, cutoff_s: int, n_folds: int = 3) -> list[Fold]:
    """Return back-to-back periods of `HORIZON_DAYS` up to the cutoff, latest first.

    Periods with too few incidents in or before them are left out, so small samples give no folds.
    """
    folds = []
    for i in range(n_folds):
        start_s = cutoff_s - (i + 1) * HORIZON_DAYS * DAY_S
        split, end = np.searchsorted(incidents.time_s, [start_s, start_s + HORIZON_DAYS * DAY_S])
        if split >= MIN_TRAIN and end - split >= MIN_TEST:
            folds.append(Fold(start_s, int(split), int(end)))
    return folds


def mixture_weights(
    densities: FloatArray,
    prior: FloatArray | None = None,
    n_iterations: int = 200,
    count: FloatArray | None = None,
) -> FloatArray:
    """Fit the weights (K,) of a linear mixture to held-out points by EM.

    Smyth & Wolpert (1999), "Linearly combining density estimators via stacking".

    Args:
        densities: (n, K) positive densities of the components at held-out points; a common factor
            per point cancels.
        prior: (K,) pseudo-counts of a Dirichlet prior; None: one point spread over all.
        n_iterations: number of EM steps.
        count: (n,) number of points that each row represents; None: one each.
    """
    n_components = densities.shape[1]
    pseudo = np.full(n_components, 1.0 / n_components) if prior is None else prior
    weights: FloatArray = pseudo / pseudo.sum()
    if len(densities) == 0:
        return weights
    scaled = densities / densities.max(axis=1, keepdims=True)
    each = np.ones(len(scaled)) if count is None else count
    for _ in range(n_iterations):
        total = scaled @ weights
        weights = weights * (each / total @ scaled) + pseudo
        weights = weights / weights.sum()
    return weights


def pooled_weights(fitted: Sequence[FloatArray], test_cells: Sequence[IntArray]) -> FloatArray:
    """Fit mixture weights (K,) of densities that do not vary by hour.

    Incidents in one cell have the same densities, so the cost does not grow with their number.

    Args:
        fitted: per fold, densities of the components on the cells (K, N).
        test_cells: per fold, row of the cell of each held-out incident.
    """
    tested = [np.unique(cell) for cell in test_cells]
    there = [f[:, cells] for f, cells in zip(fitted, tested, strict=True)]
    return held_out_weights(there, test_cells)


def held_out_weights(densities: Sequence[FloatArray], test_cells: Sequence[IntArray]) -> FloatArray:
    """Fit the same from the densities at the cells that held-out incidents fell into.

    Args:
        densities: per fold, of the components at each such cell once, ascending (K, cells).
        test_cells: per fold, row of the cell of each held-out incident.
    """
    counts = [np.unique(cell, return_counts=True)[1] for cell in test_cells]
    rows = np.concatenate([there.T for there in densities])
    return mixture_weights(rows, count=np.concatenate(counts).astype(np.float64))


def best_of_grid(score: Callable[[float], float], grid: Sequence[float], start: float) -> float:
    """Return the setting on an ascending grid that maximises a unimodal score, from `start`."""
    scores: dict[float, float] = {}

    def at(i: int) -> float:
        if not 0 <= i < len(grid):
            return -np.inf
        if grid[i] not in scores:
            scores[grid[i]] = score(grid[i])
        return scores[grid[i]]

    here = min(range(len(grid)), key=lambda i: abs(grid[i] - start))
    while True:
        best = max((here, here - 1, here + 1), key=at)
        if best == here:
            return grid[here]
        here = best
