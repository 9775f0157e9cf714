"""The flagged area of a forecast: compactness, overlap, shares by neighbourhood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.base import Cells, DensityModel
from models.densities.state import mean_over_hours
from models.evaluation.metrics import n_top, ranked_rows
from models.units import N_WINDOWS, FloatArray, IntArray

FLAGGED_PERCENT = 5


def flagged_cells(model: DensityModel, percent: float = FLAGGED_PERCENT) -> NDArray[np.int32]:
    """Return rows (W, k) of the top-k% cells of each window, ascending; W = 1 if windows are equal."""
    count = n_top(model.probability_.shape[1], percent)
    best = [np.sort(ranked_rows(row)[:count]) for row in model.probability_]
    return np.stack(best).astype(np.int32)


def listed_cells(
    model: DensityModel, past_window: NDArray[Any], percent: float = FLAGGED_PERCENT
) -> NDArray[np.int32]:
    """Return rows (k,) of the top-k% cells of all hours, ascending: one list for a whole period.

    Hours weigh as past incidents (n,) fell into the windows.
    """
    rates = 1.0 + np.bincount(past_window, minlength=N_WINDOWS).astype(np.float64)
    order = ranked_rows(mean_over_hours(model.probability_, rates))
    return np.sort(order[: n_top(len(order), percent)]).astype(np.int32)


def turnover(lists: Sequence[NDArray[Any]]) -> dict[str, float | None]:
    """Measure how steady lists of cells (k,) are from issue to issue.

    Returns:
        `jaccard`, the mean overlap of successive lists; `left`, the mean share of a list that is not on the
        next one; `flip_flop`, the share of the cells that left before the last issue and came back later.
        None where there are too few issues, or no cell left.
    """
    pairs = list(pairwise(set(one.tolist()) for one in lists))
    left = [(k, cell) for k, (a, b) in enumerate(pairs[:-1], 2) for cell in a - b]
    back = [any(cell in later for later in lists[k:]) for k, cell in left]
    return {
        "jaccard": float(np.mean([len(a & b) / len(a | b) for a, b in pairs])) if pairs else None,
        "left": float(np.mean([len(a - b) / len(a) for a, b in pairs])) if pairs else None,
        "flip_flop": float(np.mean(back)) if back else None,
    }


def overlap(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Return the mean Jaccard overlap of two tables of flagged cells (W, k) over windows.

    1: the same cells are flagged; 0: no common cell. Tables with one row apply to all windows.
    """
    n_windows = max(len(first), len(second))
    shares = []
    for one in range(n_windows):
        a, b = first[one % len(first)], second[one % len(second)]
        common = len(np.intersect1d(a, b, assume_unique=True))
        shares.append(common / (len(a) + len(b) - common))
    return float(np.mean(shares))


def compactness(flagged: NDArray[Any], cells: Cells) -> dict[str, float]:
    """Measure how scattered the flagged cells (W, k) are, averaged over windows.

    Returns:
        `patches`: number of 4-connected patches; `cells_per_patch`; `shared_sides`: share of the
        cells' sides that are shared with another flagged cell (0: scattered, near 1: one patch).
    """
    # Imported here because the API imports this module but never needs them.
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
    """Return the share of each part (P,) in the flagged area, averaged over tables and windows.

    Args:
        flagged: tables (W, k) of flagged cells.
        part: (N,) part of each cell, -1 for none.
    """
    total = np.zeros(n_parts)
    for table in flagged:
        rows = table.ravel()
        rows = rows[part[rows] >= 0]
        found = np.bincount(part[rows], weights=area_km2[rows], minlength=n_parts)
        total += found / max(float(area_km2[table.ravel()].sum()), 1e-12)
    return total / max(len(flagged), 1)


def disparity(flagged_share: FloatArray, incident_share: FloatArray) -> Mapping[str, float]:
    """Compare flagged shares (P,) with shares of incidents (P,).

    Returns:
        `misplaced`: half the sum of absolute differences, which is the share of the flagged area that
        would have to move for both to agree; `max_ratio`: the largest ratio among parts with at least
        1 % of the incidents.
    """
    misplaced = 0.5 * float(np.abs(flagged_share - incident_share).sum())
    known = incident_share >= 0.01
    ratio = flagged_share[known] / incident_share[known]
    return {"misplaced": misplaced, "max_ratio": float(ratio.max()) if known.any() else 0.0}
