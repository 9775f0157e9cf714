"""A model of what jobs cost, fitted to measured ones, and the table of sizes that it gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

WEEK_NIGHTS = 7
NIGHT_H = 8.0
"""Trainings may take the nights of a week; states of all regions must be there after `STATES_H`."""
STATES_H = 1.0
API_GB = 1.0
"""Of an API process with its caches full (docs/deployment.md)."""
SIZES = (
    (20, 100_000),
    (50, 20_000),
    (300, 20_000),
    (300, 100_000),
    (300, 500_000),
    (1_000, 100_000),
)
"""Regions, and incidents of each, of the table's rows."""
CELLS = 3_000


@dataclass(frozen=True)
class Cost:
    """Cost of one job: `base + incident * incidents + cell * cells`, none of them negative.

    Args:
        error: median relative deviation of the measured jobs from it.
    """

    base: float
    incident: float
    cell: float
    error: float

    def of(self, n_incidents: float, n_cells: float) -> float:
        """Return the cost of a job on a region of so many incidents and cells."""
        return self.base + self.incident * n_incidents + self.cell * n_cells


def fit_cost(n_incidents: Sequence[float], n_cells: Sequence[float], cost: Sequence[float]) -> Cost:
    """Fit by least squares of relative deviations, so that small regions count as much as large ones.

    >>> fit_cost([0, 1e6, 0, 1e6], [0, 0, 1e3, 1e3], [3, 13, 5, 15])
    Cost(base=3.0, incident=1e-05, cell=0.002, error=0.0)
    """
    observed = np.asarray(cost, float)
    columns = np.stack([np.ones(len(observed)), n_incidents, n_cells], axis=1) / observed[:, None]
    scale = columns.max(axis=0)
    scale[scale == 0] = 1.0
    weights, _ = nnls(columns / scale, np.ones(len(observed)))
    base, incident, cell = (float(f"{one:.6g}") for one in weights / scale)
    fitted = Cost(base, incident, cell, 0.0)
    predicted = [fitted.of(n, c) for n, c in zip(n_incidents, n_cells, strict=True)]
    error = float(np.median(np.abs(np.array(predicted) / observed - 1)).round(6))
    return Cost(base, incident, cell, error)


@dataclass(frozen=True)
class Country:
    """Costs of a country's jobs: seconds of a core, and bytes."""

    state_s: Cost
    training_s: Cost
    training_bytes: Cost
    incident_bytes: float
    """Of the database, with indexes."""
    version_bytes: Cost

    def row(self, n_regions: int, n_incidents: int, n_cells: int = CELLS) -> str:
        """Return a row of the table: workers of one core, memory, database."""
        states_h = n_regions * self.state_s.of(n_incidents, n_cells) / 3600
        trainings_h = n_regions * self.training_s.of(n_incidents, n_cells) / 3600
        cores = max(states_h / STATES_H, trainings_h / (WEEK_NIGHTS * NIGHT_H))
        workers = max(1, int(np.ceil(cores)))
        worker_gb = self.training_bytes.of(n_incidents, n_cells) / 2**30
        # A champion, its predecessor and a challenger of each region.
        versions = 3 * self.version_bytes.of(n_incidents, n_cells)
        database_gb = n_regions * (self.incident_bytes * n_incidents + versions) / 2**30
        return (
            f"| {n_regions:,} x {n_incidents:,} | {states_h:.2f} h | {trainings_h:.1f} h | {workers} "
            f"| {workers * worker_gb + 2 * API_GB:.1f} GB | {database_gb:.1f} GB |"
        )

    def table(self) -> str:
        """Return the table in Markdown."""
        head = (
            "| regions x incidents of each | states of a night, one core | trainings of a week, one core "
            "| workers of a core | memory: workers and two API processes | database |\n"
            "|---|---|---|---|---|---|"
        )
        return "\n".join([head, *(self.row(*size) for size in SIZES)])


def zipf_sizes(n_regions: int, largest: int, smallest: int) -> NDArray[np.int64]:
    """Return the sizes of regions by rank, as those of cities: they fall by a power of it.

    >>> zipf_sizes(4, 16_000, 1_000).tolist()
    [16000, 4000, 1778, 1000]
    """
    power = np.log(largest / smallest) / np.log(n_regions) if n_regions > 1 else 0.0
    sizes: NDArray[np.int64] = np.round(largest * np.arange(1, n_regions + 1) ** -power).astype(int)
    return sizes
