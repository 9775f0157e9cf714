"""What lists of cells caught after an origin, at each horizon and area of the contest's rules."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.base import Cells, DensityModel
from models.contest.rules import AREAS_KM2, HORIZONS_DAYS, n_cells
from models.contest.selection import Selection
from models.densities.state import mean_over_hours
from models.evaluation.metrics import ranked_rows
from models.evaluation.small_areas import best_in_period, first_within
from models.incidents import Incidents
from models.units import DAY_S, N_WINDOWS, FloatArray


@dataclass(frozen=True)
class ListHits:
    """What the lists of a contestant caught of n incidents after an origin.

    Args:
        in_list: (n, A) whether the list of each area has the incident's cell.
        area_km2: (A,) areas of the lists.
        best: (H, A) the most incidents that cells of the same kind and area hold, at each horizon.
    """

    in_list: NDArray[np.bool_]
    area_km2: FloatArray
    best: FloatArray


def selection_hits(selection: Selection, test: Incidents, origin_s: int) -> ListHits:
    """Judge a learned selection; its cells count in full, also where the study area ends within them."""
    n = n_cells(selection.tiling.cell_km2)
    in_list = selection.rank_of(test.x_m, test.y_m)[:, None] < n
    cell = selection.tiling.cell_of(test.x_m, test.y_m)
    best = np.zeros((len(HORIZONS_DAYS), len(n)))
    for row, days in enumerate(HORIZONS_DAYS):
        counts = np.unique(cell[_within(test, origin_s, days)], return_counts=True)[1]
        together = np.concatenate([[0], np.cumsum(np.sort(counts)[::-1])])
        best[row] = together[np.minimum(n, len(counts))]
    area_km2 = np.minimum(n, len(selection.ids)) * selection.tiling.cell_km2
    return ListHits(in_list, area_km2, best)


def model_hits(
    model: DensityModel, cells: Cells, past: Incidents, test: Incidents, origin_s: int
) -> ListHits:
    """Judge the best cells of a fitted model, all hours together as they were in its past."""
    rates = 1.0 + np.bincount(past.window, minlength=N_WINDOWS).astype(np.float64)
    order = ranked_rows(mean_over_hours(model.probability_, rates))
    rows = cells.locate(test.x_m, test.y_m)
    in_list = np.zeros((len(test), len(AREAS_KM2)), np.bool_)
    area_km2, best = np.zeros(len(AREAS_KM2)), np.zeros((len(HORIZONS_DAYS), len(AREAS_KM2)))
    for place, budget_km2 in enumerate(AREAS_KM2):
        chosen = first_within(order, cells.area_km2, budget_km2)
        in_list[:, place] = np.isin(rows, chosen)
        area_km2[place] = cells.area_km2[chosen].sum()
        for row, days in enumerate(HORIZONS_DAYS):
            known = rows[_within(test, origin_s, days) & (rows >= 0)]
            best[row, place] = best_in_period(known, cells.area_km2, budget_km2)
    return ListHits(in_list, area_km2, best)


def _within(test: Incidents, origin_s: int, days: int) -> NDArray[np.bool_]:
    return test.time_s < origin_s + days * DAY_S
