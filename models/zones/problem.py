"""The problem: what cells are worth, which are neighbours, and what zones may be."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from models.units import FloatArray, IntArray

TOLERANCE = 1e-9
"""Relative: a budget of four cells holds four cells whose areas were summed in another order."""


@dataclass(frozen=True)
class ZoneProblem:
    """Choose zones of the greatest value: connected by sides, compact, apart, within a budget together.

    Args:
        value: (N,) what each cell is worth, at least 0.
        area_km2: (N,) area of each cell, above 0.
        neighbours: (N, S) rows of the cells across each side, -1 where there is none; S is 4 or 6.
        place_m: (N, 2) centre of each cell.
        max_km2: area of all zones together.
        n_zones: maximum number of zones.
        min_compactness: of each zone, 0..1; see `compactness_of`.
        min_separation_m: between centres of cells of two zones; zones never share a side.
    """

    value: FloatArray
    area_km2: FloatArray
    neighbours: IntArray
    place_m: FloatArray
    max_km2: float
    n_zones: int
    min_compactness: float = 0.0
    min_separation_m: float = 0.0

    @property
    def n_sides(self) -> int:
        """Sides of a cell."""
        return int(self.neighbours.shape[1])

    @property
    def n_fitting(self) -> int:
        """Number of whole cells that fit the budget."""
        return int(self.max_km2 * (1 + TOLERANCE) / float(self.area_km2.max()))


def least_perimeter(n_cells: int, n_sides: int) -> int:
    """Return the fewest sides that can enclose so many cells (Harary and Harborth 1976).

    >>> [least_perimeter(n, 4) for n in (1, 2, 4, 5, 9)], least_perimeter(7, 6)
    ([4, 6, 8, 10, 12], 18)
    """
    if n_sides == 4:
        return 2 * _root_ceil(4 * n_cells)
    return 2 * _root_ceil(12 * n_cells - 3)


def _root_ceil(n: int) -> int:
    root = math.isqrt(n)
    return root if root * root == n else root + 1


def compactness_of(n_cells: int, perimeter: int, n_sides: int) -> float:
    """Return the fewest sides that enclose so many cells, divided by those of a zone: 1 is compact.

    A row of four squares has 0.8, a row of ten 0.64.
    """
    return least_perimeter(n_cells, n_sides) / perimeter


def best_free(value: FloatArray, area_km2: FloatArray, max_km2: float) -> float:
    """Return an upper bound of the value of any cells within a budget.

    Cells of full size are taken whole, the smaller ones at the edge of the study area also in part.
    """
    full_km2 = float(area_km2.max())
    whole = area_km2 >= full_km2 * (1 - TOLERANCE)
    most = np.concatenate([[0.0], np.cumsum(np.sort(value[whole])[::-1])])
    n_whole = min(int(max_km2 * (1 + TOLERANCE) / full_km2), len(most) - 1)
    left_km2 = np.maximum(max_km2 - full_km2 * np.arange(n_whole + 1), 0.0)
    order = np.argsort(-value[~whole] / area_km2[~whole], kind="stable")
    covered_km2 = np.concatenate([[0.0], np.cumsum(area_km2[~whole][order])])
    worth = np.concatenate([[0.0], np.cumsum(value[~whole][order])])
    return float((most[: n_whole + 1] + np.interp(left_km2, covered_km2, worth)).max())
