"""What each category of incident changes about the city's density."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from models.base import DAY_S, Cells, FitContext, FloatArray, Incidents
from models.flows.lattice import Lattice
from models.flows.tilt import fit_tilt

MAX_CATEGORIES = 30
MIN_INCIDENTS = 20
HALF_LIFE_DAYS = 700.0
PRIOR_SD = 2.0
SPREAD: Mapping[float, float] = {8000.0: 0.2, 4000.0: 0.2, 1000.0: 0.2, 500.0: 0.2, 250.0: 0.25}


def fit_category_ratios(
    incidents: Incidents, cells: Cells, base: FloatArray, context: FitContext
) -> dict[int, FloatArray]:
    """Category code -> (N,) ratio of the category's density to the city's.

    Every category is a tilt of the city's density (`models.flows.tilt`); its prior draws it back to
    the city, so that a rare category borrows and a common one stands by itself. Categories past the
    `MAX_CATEGORIES` most frequent ones, or with too few incidents, are left to the city's density.

    Args:
        incidents: those at or after the cutoff, or outside every cell, are left out.
        base: (N,) density of all categories as cell probabilities, sums to one.

    Raises:
        FitCancelled: the caller asked to stop.
    """
    known = incidents.before(context.cutoff_s)
    cell = cells.locate(known.x_m, known.y_m)
    codes, sizes = np.unique(known.category[cell >= 0], return_counts=True)
    chosen = codes[np.argsort(-sizes, kind="stable")][:MAX_CATEGORIES]
    chosen = np.sort(chosen[np.isin(chosen, codes[sizes >= MIN_INCIDENTS])])
    if len(codes) < 2 or len(chosen) == 0:
        return {}
    mine = (cell >= 0) & np.isin(known.category, chosen)
    row = np.searchsorted(chosen, known.category[mine])
    weight = 0.5 ** ((context.cutoff_s - known.time_s[mine]) / DAY_S / HALF_LIFE_DAYS)
    n_cells = len(base)
    counts = np.bincount(row * n_cells + cell[mine], weight, len(chosen) * n_cells)
    table = counts.reshape(len(chosen), n_cells).astype(np.float64)
    fields = fit_tilt(
        _tensor(table, context),
        _tensor(np.log(base), context),
        PRIOR_SD * torch.eye(len(chosen), device=context.device),
        Lattice(cells, SPREAD, context.device),
        context,
    )
    ratios = np.exp(PRIOR_SD * fields.double().cpu().numpy().T)
    return {int(code): ratio / (ratio @ base) for code, ratio in zip(chosen, ratios, strict=True)}


def _tensor(values: FloatArray, context: FitContext) -> torch.Tensor:
    return torch.as_tensor(values.astype(np.float32), device=context.device)
