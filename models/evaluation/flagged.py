"""The area that a forecast flags: how compact it is, how it moves, whom it falls on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.base import Cells, DensityModel, FloatArray, IntArray
from models.evaluation.metrics import n_top

FLAGGED_PERCENT = 5


def flagged_cells(model: DensityModel, percent: float = FLAGGED_PERCENT) -> NDArray[np.int32]:
    """(W, k) rows of the top-k% cells of each window, ascending; W = 1 when windows share one."""
    count = n_top(model.probability_.shape[1], percent)
    order = np.argsort(-model.probability_, axis=1, kind="stable")[:, :count]
    return np.sort(order, axis=1).astype(np.int32)


def overlap(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Mean Jaccard overlap of two tables of flagged cells (W, k), window by window.

    1: the same cells are flagged; 0: none is. Tables with one row stand for all windows.
    """
    n_windows = max(len(first), len(second))
    shares = []
    for one in range(n_windows):
        a, b = first[one % len(first)], second[one % len(second)]
        common = len(np.intersect1d(a, b, assume_unique=True))
        shares.append(common / (len(a) + len(b) - common))
    return float(np.mean(shares))


def compactness(flagged: NDArray[Any], cells: Cells) -> dict[str, float]:
    """How scattered the flagged cells (W, k) are, averaged over windows.

    Returns:
        `patches`: number of 4-connected patches; `cells_per_patch`; `shared_sides`: share of the
        cells' sides that they share with another flagged cell (0 scattered, near 1 one blob).
    """
    # Only here: backtests' processes need them, and the API, which imports this module, does not.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    patches, sides = [], []
    for row in flagged:
        ix, iy = cells.ix[row], cells.iy[row]
        here = np.full((cells.nx + 2, cells.ny + 2), -1)
        here[ix + 1, iy + 1] = np.arange(len(row))
        east, north = here[ix + 2, iy + 1], here[ix + 1, iy + 2]
        start = np.concatenate([np.flatnonzero(east >= 0), np.flatnonzero(north >= 0)])
        end = np.concatenate([east[east >= 0], north[north >= 0]])
        graph = coo_array((np.ones(len(start)), (start, end)), shape=(len(row), len(row)))
        patches.append(connected_components(graph, directed=False)[0])
        sides.append(2 * len(start) / (4 * len(row)))
    mean_patches = float(np.mean(patches))
    return {
        "patches": mean_patches,
        "cells_per_patch": flagged.shape[1] / mean_patches,
        "shared_sides": float(np.mean(sides)),
    }


def shares_by_part(
    flagged: Sequence[NDArray[Any]], part: IntArray, n_parts: int, area_km2: FloatArray
) -> FloatArray:
    """(P,) share of each part of the city in the flagged area, averaged over tables and windows.

    Args:
        flagged: tables (W, k) of flagged cells.
        part: (N,) which part each cell belongs to, -1 for none.
    """
    total = np.zeros(n_parts)
    for table in flagged:
        rows = table.ravel()
        rows = rows[part[rows] >= 0]
        found = np.bincount(part[rows], weights=area_km2[rows], minlength=n_parts)
        total += found / max(float(area_km2[table.ravel()].sum()), 1e-12)
    return total / max(len(flagged), 1)


def disparity(flagged_share: FloatArray, incident_share: FloatArray) -> Mapping[str, float]:
    """How far flagged shares (P,) are from the shares of incidents (P,).

    Returns:
        `misplaced`: half the sum of absolute differences, the share of the flagged area that would
        have to move for both to agree; `max_ratio`: the most over-flagged part among those with at
        least 1 % of the incidents.
    """
    misplaced = 0.5 * float(np.abs(flagged_share - incident_share).sum())
    known = incident_share >= 0.01
    ratio = flagged_share[known] / incident_share[known]
    return {"misplaced": misplaced, "max_ratio": float(ratio.max()) if known.any() else 0.0}
