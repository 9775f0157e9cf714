"""Shares of the flagged area by neighbourhood and group, for all evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.geo.grid import Grid
from app.geo.neighbourhoods import Neighbourhoods, divide
from app.releases.small_counts import grouped_disparity, hidden, too_small
from models.evaluation.fairness import flagged_fraction, group_exposure, incident_shares
from models.evaluation.hotspot_area import FLAGGED_PERCENT, shares_by_part
from models.units import DAY_S


def share_report(
    flagged: Mapping[str, Sequence[NDArray[np.int32]]],
    rows: NDArray[np.int64],
    time_s: NDArray[np.int64],
    grid: Grid,
    collection: Mapping[str, Any] | None,
    minimum_count: int,
) -> dict[str, Any]:
    """Return each neighbourhood's share of the flagged area, of the area and of the incidents.

    With a population layer, also shares of the population and comparisons of groups. All hours of the
    week have equal weight. Intervals (95 %) resample the days of the incidents.

    Args:
        flagged: model -> tables (W, k) of flagged cells.
        rows: (n,) cells of the incidents.
        time_s: (n,) their times.
        grid: the cells.
        collection: GeoJSON FeatureCollection of neighbourhoods; None: parts by compass direction.
        minimum_count: shares that represent fewer incidents are hidden (`too_small`).
    """
    parts = divide(grid, collection)
    n_parts = len(parts.names)
    incident_share, lo, hi = incident_shares(parts.part[rows], time_s, n_parts, DAY_S)
    area_share = np.bincount(parts.part, weights=grid.area_km2, minlength=n_parts)
    area_share = area_share / area_share.sum()
    population_share = _shares(parts.population)
    shares = {
        name: shares_by_part(tables, parts.part, n_parts, grid.area_km2)
        for name, tables in flagged.items()
    }
    counts = np.bincount(parts.part[rows], minlength=n_parts).tolist()
    left_out = too_small(counts, minimum_count)

    def row(i: int) -> dict[str, Any]:
        return {
            "name": parts.names[i],
            "area_share": float(area_share[i]),
            "incident_share": float(incident_share[i]),
            "incident_share_lo": float(lo[i]),
            "incident_share_hi": float(hi[i]),
            "population_share": population_share[i],
            "flagged_share": {m: float(share[i]) for m, share in shares.items()},
        }

    order = np.argsort(-incident_share, kind="stable").tolist()
    return {
        "flagged_percent": FLAGGED_PERCENT,
        "named_parts": collection is not None,
        "minimum_count": minimum_count,
        "disparity": {
            m: grouped_disparity(share, incident_share, left_out) for m, share in shares.items()
        },
        "rows": [hidden(row(i)) if i in left_out else row(i) for i in order],
        "groups": {
            m: groups_report(parts, np.concatenate(list(tables)), grid)
            for m, tables in flagged.items()
            if parts.groups and tables
        },
    }


def groups_report(
    parts: Neighbourhoods, flagged: NDArray[np.int32], grid: Grid
) -> dict[str, dict[str, Any]]:
    """Return {group: its exposure, that of everyone else, their ratio}, with intervals."""
    fraction = flagged_fraction(flagged, parts.part, len(parts.names), grid.area_km2)
    everyone = np.nan_to_num(parts.population)
    found = {}
    for name, people in parts.groups.items():
        exposure = group_exposure(fraction, people, everyone)
        found[name] = {k: v and asdict(v) for k, v in exposure.items()}
    return found


def _shares(population: NDArray[np.float64]) -> list[float | None]:
    if not np.all(np.isfinite(population)) or population.sum() <= 0:
        return [None] * len(population)
    return [float(v) for v in population / population.sum()]
