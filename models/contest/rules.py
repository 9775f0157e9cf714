"""The rules of the Real-Time Crime Forecasting Challenge (National Institute of Justice 2017), in metres.

Contestants chose cells of 62,500 to 360,000 square feet, at least 125 feet across, that tile the city, and
marked a quarter to three quarters of a square mile of them as hot for periods of a week to three months.
"""

from __future__ import annotations

import numpy as np

from models.evaluation.small_areas import PERIOD_DAYS, SMALL_AREAS_KM2
from models.units import IntArray
from models.zones.problem import TOLERANCE

__all__ = [
    "AREAS_KM2",
    "CELL_KM2",
    "HORIZONS_DAYS",
    "MAX_CELL_KM2",
    "MIN_SIDE_M",
    "SIDE_M",
    "n_cells",
]

FOOT_M = 0.3048
AREAS_KM2 = SMALL_AREAS_KM2
HORIZONS_DAYS = PERIOD_DAYS
CELL_KM2 = 62_500 * FOOT_M**2 / 1e6
"""The least area of a cell, which caught most on earlier periods in every city (docs/decisions.md)."""
MAX_CELL_KM2 = 360_000 * FOOT_M**2 / 1e6
SIDE_M = 250 * FOOT_M
"""Of a square of the least area."""
MIN_SIDE_M = 125 * FOOT_M


def n_cells(cell_km2: float = CELL_KM2) -> IntArray:
    """Return how many whole cells fit each of `AREAS_KM2`.

    >>> n_cells().tolist()
    [111, 223, 334]
    """
    return np.floor(np.array(AREAS_KM2) / cell_km2 * (1 + TOLERANCE)).astype(np.int64)
