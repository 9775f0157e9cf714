"""Fractions Skill Score of a hotspot map: a hit next door is a near miss.

Roberts & Lean (2008), "Scale-selective verification of rainfall accumulations from high-resolution
forecasts of convective events": two maps are compared by the shares of marked cells in a square
neighbourhood of each cell, at growing distances. 1: the same shares everywhere; 0: nothing in common.

The map of incidents marks as many cells as the forecast does, the fullest ones, so that both maps are
compared by where their cells are and not by how many they mark (the paper's percentile thresholds).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from models.base import Cells
from models.units import FloatArray, IntArray

DISTANCES_M = (0, 250, 500, 1_000)
DECIMALS = 3
"""A score with all its digits could be compared with guesses of single incidents."""


def half_widths(cell_size_m: float) -> tuple[int, ...]:
    """Return for each distance how many cells lie within it on each side, from centre to centre.

    >>> half_widths(250.0), half_widths(400.0)
    ((0, 1, 2, 4), (0, 0, 1, 2))
    """
    return tuple(int(d / cell_size_m + 1e-9) for d in DISTANCES_M)


def fullest_cells(rows: IntArray, n_cells: int, n_marked: int) -> FloatArray:
    """Mark (N,) the fullest `n_marked` cells, of those with incidents `rows` (n,).

    Cells that share the last places are marked by equal parts.

    >>> fullest_cells(np.array([0, 0, 1, 2]), 4, 2).tolist()
    [1.0, 0.5, 0.5, 0.0]
    """
    count = np.bincount(rows, minlength=n_cells)
    n_marked = min(n_marked, int((count > 0).sum()))
    if n_marked == 0:
        return np.zeros(n_cells)
    last = np.sort(count)[-n_marked]
    marked: FloatArray = (count > last).astype(np.float64)
    tied = count == last
    marked[tied] = (n_marked - marked.sum()) / tied.sum()
    return marked


@dataclass(frozen=True)
class SkillSums:
    """Sums over the cells of one or several periods, of which the score is made; they add up.

    Args:
        error, reference: (D,) squared differences of shares, and the most that they could be.
        marked: share of cells that incidents mark, times `n_cells`.
    """

    error: FloatArray
    reference: FloatArray
    marked: float
    n_cells: int


def skill_sums(flagged: NDArray[Any], rows: IntArray, cells: Cells) -> SkillSums:
    """Compare the flagged cells (k,) with those of the incidents (n,) of a period."""
    n_cells = len(cells.cell_id)
    forecast = np.zeros(n_cells)
    forecast[flagged] = 1.0
    found = fullest_cells(rows, n_cells, len(flagged))
    error, reference = [], []
    for half_width in half_widths(cells.cell_size_m):
        one, other = (_shares(field, cells, half_width) for field in (forecast, found))
        error.append(float(((one - other) ** 2).sum()))
        reference.append(float((one**2).sum() + (other**2).sum()))
    return SkillSums(np.array(error), np.array(reference), float(found.sum()), n_cells)


def _shares(marked: FloatArray, cells: Cells, half_width: int) -> FloatArray:
    """Return the share of marked cells (N,) among those of the study area around each cell."""
    if half_width == 0:
        return marked
    field, inside = np.zeros((2, cells.nx, cells.ny))
    field[cells.ix, cells.iy] = marked
    inside[cells.ix, cells.iy] = 1.0
    near, area = (
        uniform_filter(one, 2 * half_width + 1, mode="constant") for one in (field, inside)
    )
    # Filters add and subtract running sums, which leaves tiny negative values.
    shares: FloatArray = np.clip(near / np.where(area > 0, area, 1.0), 0.0, 1.0)[cells.ix, cells.iy]
    return shares


def fractions_skill(periods: Sequence[SkillSums], cell_size_m: float) -> dict[str, Any]:
    """Return the score at each distance, all periods together.

    Returns:
        `distance_m`, `fss` (None without incidents) and `half_width_cells`; `useful`, the score that a map
        with half of the possible skill has; `useful_from_m`, the first distance that reaches it, or None.
    """
    error = np.sum([p.error for p in periods], axis=0)
    reference = np.sum([p.reference for p in periods], axis=0)
    share = sum(p.marked for p in periods) / max(sum(p.n_cells for p in periods), 1)
    known = share > 0
    useful = 0.5 + share / 2
    scores = [round(1.0 - float(e / r), DECIMALS) for e, r in zip(error, reference, strict=True)]
    reached = [d for d, s in zip(DISTANCES_M, scores, strict=True) if known and s >= useful]
    return {
        "distance_m": list(DISTANCES_M),
        "half_width_cells": list(half_widths(cell_size_m)),
        "fss": scores if known else None,
        "useful": round(useful, DECIMALS) if known else None,
        "useful_from_m": reached[0] if reached else None,
    }
