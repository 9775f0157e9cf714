"""Rank street segments by what they expect per kilometre, and score ranks at equal length."""

from __future__ import annotations

from collections.abc import Sequence

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


def caught_parts(
    expected: FloatArray, length_m: FloatArray, segment: IntArray, percents: Sequence[float]
) -> FloatArray:
    """Return which part (n, K) of an incident the best segments of a percentage of the length catch.

    The length is met exactly: of the segment that exceeds it, its part within counts, and segments of equal
    rank count by length. Incidents on no street are never caught.

    Args:
        expected: (S,) what a forecast expects of each segment.
        length_m: (S,) their lengths.
        segment: (n,) row of each incident's segment, -1 on none.
    """
    rank = -expected / length_m
    order = np.argsort(rank)
    ranks, covered = rank[order], np.cumsum(length_m[order])
    own = np.where(segment < 0, np.inf, rank[segment])
    found = np.zeros((len(segment), len(percents)))
    for column, percent in enumerate(percents):
        allowed_m = float(covered[-1]) * percent / 100
        last = min(int(np.searchsorted(covered, allowed_m)), len(ranks) - 1)
        begin, end = (
            np.searchsorted(ranks, ranks[last]),
            np.searchsorted(ranks, ranks[last], "right"),
        )
        before_m = float(covered[begin - 1]) if begin else 0.0
        part = (allowed_m - before_m) / (float(covered[end - 1]) - before_m)
        found[own < ranks[last], column] = 1.0
        found[own == ranks[last], column] = min(part, 1.0)
    return found
