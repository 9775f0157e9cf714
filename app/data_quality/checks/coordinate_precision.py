"""How precise places are: rounded to decimals, or moved to corners and blocks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

METRES_PER_DEGREE = 111_320.0
ROUNDED_SHARE = 0.95
MAX_DECIMALS = 5
"""More decimals than this (1 m) do not count as rounding."""


def nearest_distance_m(x_m: NDArray[np.float64], y_m: NDArray[np.float64]) -> float | None:
    """Return the median distance from a place to its nearest neighbour; None for fewer than two.

    >>> nearest_distance_m(np.array([0.0, 100.0, 200.0]), np.zeros(3))
    100.0
    """
    if len(x_m) < 2:
        return None
    points = np.column_stack([x_m, y_m])
    distance = np.asarray(cKDTree(points).query(points, k=2)[0])
    return float(np.median(distance[:, 1]))


def rounded_to(longitude: NDArray[np.float64], latitude: NDArray[np.float64]) -> int | None:
    """Return the fewest decimals that suffice for 95 % of the places; None if over five.

    >>> rounded_to(np.array([1.25, 1.5]), np.array([2.0, 3.75]))
    2
    """
    if len(longitude) == 0:
        return None
    for decimals in range(MAX_DECIMALS + 1):
        scale = 10.0**decimals
        fits = np.ones(len(longitude), bool)
        for degrees in (longitude, latitude):
            scaled = degrees * scale
            fits &= np.abs(scaled - np.rint(scaled)) < 1e-3
        if fits.mean() >= ROUNDED_SHARE:
            return decimals
    return None
