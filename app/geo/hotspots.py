"""The top-k% cells: the one rule, used by evaluation, service and page alike."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from app.core.errors import InvalidInput


def n_top_cells(n_cells: int, top_percent: float) -> int:
    """floor(k x N / 100) cells, at least one.

    Raises:
        InvalidInput: the percentage is not within (0, 100].
    """
    if not (math.isfinite(top_percent) and 0 < top_percent <= 100):
        raise InvalidInput("top must lie within (0, 100] percent", field="top")
    # An integer percentage of a whole number must not lose a cell to binary rounding.
    return max(1, math.floor(top_percent * n_cells / 100 + 1e-9))


def ranked_rows(probability: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rows from the highest probability down, ties by row, which is the order of cell ids."""
    return np.argsort(-probability, kind="stable")


def top_rows(probability: NDArray[np.float64], top_percent: float) -> NDArray[np.int64]:
    """Rows of the top-k% cells, best first."""
    return ranked_rows(probability)[: n_top_cells(len(probability), top_percent)]
