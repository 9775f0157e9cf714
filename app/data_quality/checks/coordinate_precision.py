"""How precise places are: rounded to decimals, or moved to corners and blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

METRES_PER_DEGREE = 111_320.0
ROUNDED_SHARE = 0.95
MANY_PER_PLACE = 10
REPEATED_SHARE = 0.95
FAR_APART_CELLS = 2.0
MAX_DECIMALS = 5
"""More decimals than this (1 m) do not count as rounding."""


@dataclass(frozen=True)
class FewPlaces:
    """Incidents that share a few points far apart, such as one per precinct.

    Args:
        nearest_m: median distance from a point to the nearest other; smaller cells say nothing.
    """

    n: int
    distinct: int
    nearest_m: float


def few_places(
    n: int, distinct: int, share_on_repeated: float, nearest_m: float | None, cell_size_m: float
) -> FewPlaces | None:
    """Return the few places of n incidents, or None if these lie where they happened.

    Ten incidents or more a point, 95 % of them on shared points, which lie two cells or more apart:
    addresses and blocks lie closer.

    >>> few_places(400, 12, 1.0, 2_100.0, 250.0)
    FewPlaces(n=400, distinct=12, nearest_m=2100.0)
    >>> few_places(400, 12, 1.0, 90.0, 250.0)
    """
    if nearest_m is None or nearest_m < FAR_APART_CELLS * cell_size_m:
        return None
    if n < MANY_PER_PLACE * distinct or share_on_repeated < REPEATED_SHARE:
        return None
    return FewPlaces(n, distinct, nearest_m)


def few_places_of(
    x_m: NDArray[np.floating], y_m: NDArray[np.floating], cell_size_m: float
) -> FewPlaces | None:
    """Return the few places of incidents (n,), in metres; see `few_places`."""
    place = np.rint(x_m).astype(np.int64) << 32 | np.rint(y_m).astype(np.int64) & 0xFFFFFFFF
    _, first, counts = np.unique(place, return_index=True, return_counts=True)
    n, distinct = len(place), len(counts)
    if n < MANY_PER_PLACE * max(distinct, 1):
        return None
    nearest_m = nearest_distance_m(x_m[first].astype(np.float64), y_m[first].astype(np.float64))
    share = float(counts[counts > 1].sum()) / n
    return few_places(n, distinct, share, nearest_m, cell_size_m)


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
