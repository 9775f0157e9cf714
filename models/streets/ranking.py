"""Rank street segments by what they expect per kilometre, and score ranks at equal length."""

from __future__ import annotations

import numpy as np

from models.units import FloatArray, IntArray

M_PER_KM = 1_000.0
TOLERANCE = 1e-9


def ranked_segments(expected: FloatArray, length_m: FloatArray) -> IntArray:
    """Return rows of segments by descending expected incidents per km; ties by row."""
    return np.argsort(-expected / length_m, kind="stable")


def n_within(length_m: FloatArray, percent: float) -> int:
    """Return how many segments, taken in the given order, fit a percentage of the length; at least one.

    >>> n_within(np.array([100.0, 300.0, 600.0]), 40), n_within(np.array([600.0, 400.0]), 5)
    (2, 1)
    """
    allowed = float(length_m.sum()) * percent / 100 * (1 + TOLERANCE)
    return max(1, int(np.searchsorted(np.cumsum(length_m), allowed, side="right")))


def hits_at(
    expected: FloatArray, length_m: FloatArray, incidents: FloatArray, percent: float
) -> float:
    """Return the incidents on the best segments of exactly a percentage of the length.

    Of the segment that exceeds it, its part counts; segments of equal rank count by length, whatever
    their order.

    Args:
        expected: (S,) what a forecast expects of each segment.
        length_m: (S,) their lengths.
        incidents: (S,) what happened.
    """
    _, level = np.unique(-expected / length_m, return_inverse=True)
    length = np.bincount(level, length_m)
    found = np.cumsum(np.bincount(level, incidents))
    covered = np.cumsum(length)
    allowed = float(covered[-1]) * percent / 100
    return float(np.interp(allowed, np.append(0.0, covered), np.append(0.0, found)))
