"""Whom the flagged area falls on: every evaluation tells it where neighbourhoods are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.domain.grid import Grid
from app.domain.neighbourhoods import divide
from models.evaluation.flagged import FLAGGED_PERCENT, disparity, shares_by_part


def share_report(
    flagged: Mapping[str, Sequence[NDArray[np.int32]]],
    rows: NDArray[np.int64],
    grid: Grid,
    collection: Mapping[str, Any],
) -> dict[str, Any]:
    """Each neighbourhood's share of the flagged area beside its share of area and incidents.

    Also of the population where all neighbourhoods give it. All hours of the week weigh the same.

    Args:
        flagged: model -> tables (W, k) of flagged cells.
        rows: (n,) cells of the incidents.
        collection: GeoJSON FeatureCollection of neighbourhoods.
    """
    parts = divide(grid, collection)
    n_parts = len(parts.names)
    by_incidents = np.bincount(parts.part[rows], minlength=n_parts)
    incident_share = by_incidents / max(int(by_incidents.sum()), 1)
    area_share = np.bincount(parts.part, weights=grid.area_km2, minlength=n_parts)
    area_share = area_share / area_share.sum()
    population_share = _shares(parts.population)
    shares = {
        name: shares_by_part(tables, parts.part, n_parts, grid.area_km2)
        for name, tables in flagged.items()
    }
    return {
        "flagged_percent": FLAGGED_PERCENT,
        "disparity": {m: dict(disparity(share, incident_share)) for m, share in shares.items()},
        "rows": [
            {
                "name": parts.names[i],
                "area_share": float(area_share[i]),
                "incident_share": float(incident_share[i]),
                "population_share": population_share[i],
                "flagged_share": {m: float(share[i]) for m, share in shares.items()},
            }
            for i in np.argsort(-incident_share, kind="stable")
        ],
    }


def _shares(population: NDArray[np.float64]) -> list[float | None]:
    if not np.all(np.isfinite(population)) or population.sum() <= 0:
        return [None] * len(population)
    return [float(v) for v in population / population.sum()]
