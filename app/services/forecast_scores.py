"""Scoring given incidents by a forecast: anomalies, and how good a past forecast was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from app.domain.errors import InvalidInput
from app.domain.study_area import to_metres
from app.domain.windows import windows_of, zone
from app.services.forecast import ForecastService, LoadedVersion
from app.storage.registry import ALL_CATEGORIES


@dataclass(frozen=True)
class PlacedIncident:
    """One incident to score; a naive time is the region's local time."""

    occurred_at: datetime
    longitude: float
    latitude: float
    category: str | None = None


def score_incidents(
    service: ForecastService, version: LoadedVersion, incidents: Sequence[PlacedIncident]
) -> list[dict[str, Any]]:
    """Per incident: log density per km2, percentile among the slot's cells (by mass), cell.

    The percentile is the probability, under the slot's forecast, of a place no denser than this one.
    Places outside the study area have no density: null, percentile 0.

    Raises:
        InvalidInput: a time is out of range.
    """
    timezone = zone(version.region.timezone)
    try:
        time_s = np.array(
            [
                int((i.occurred_at.replace(tzinfo=i.occurred_at.tzinfo or timezone)).timestamp())
                for i in incidents
            ],
            np.int64,
        )
    except (OverflowError, ValueError) as error:
        raise InvalidInput("occurred_at is out of range", field="incidents") from error
    if np.any(np.abs(time_s) > 2**34):
        raise InvalidInput("occurred_at is out of range", field="incidents")
    window = windows_of(time_s, version.region.timezone)
    longitude = np.array([i.longitude for i in incidents])
    latitude = np.array([i.latitude for i in incidents])
    rows = version.grid.locate(*to_metres(longitude, latitude, version.grid.crs))
    codes = np.array(
        [version.category_codes.get(i.category or "", ALL_CATEGORIES) for i in incidents]
    )
    log_density = np.full(len(rows), np.nan)
    percentile = np.zeros(len(rows))
    keys = np.stack([codes, window.astype(np.int64)], axis=1)
    for code, one in np.unique(keys[rows >= 0], axis=0).tolist():
        mine = np.flatnonzero((codes == code) & (window == one) & (rows >= 0))
        probability = service.table(version, code, one)
        density = probability / version.grid.area_km2
        order = np.argsort(density, kind="stable")
        mass = np.cumsum(probability[order])
        own = density[rows[mine]]
        upto = np.searchsorted(density[order], own, side="right")
        log_density[mine] = np.log(own)
        percentile[mine] = 100 * mass[upto - 1].clip(max=1.0)
    return [
        {
            "log_density_per_km2": float(log_density[i]) if rows[i] >= 0 else None,
            "percentile": float(percentile[i]),
            "cell": int(version.grid.cell_id[rows[i]]) if rows[i] >= 0 else None,
            "window": int(window[i]),
            "inside_study_area": bool(rows[i] >= 0),
        }
        for i in range(len(rows))
    ]
