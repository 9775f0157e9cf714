"""Outcomes beside presence: who was where when past forecasts flagged it, and what was recorded."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.forecasts.forecast import Forecast
from app.forecasts.service import ForecastService
from app.forecasts.versions.loaded import LoadedVersion
from app.presence.exposure import Exposure
from app.presence.rates import NOTES, Recorded, presence_report
from app.presence.service import stays_between
from models.evaluation.metrics import ranked_rows
from models.units import HOUR_S, FloatArray


def outcome_presence(
    service: ForecastService, forecast: Forecast, recorded: Recorded, n_flagged: int
) -> tuple[dict[str, Any], FloatArray] | None:
    """Return the presence report of a forecast's hours and unit hours (N,) by cell.

    None if the log has no row of these hours. The forecast must be on the squares of its version.
    """
    plan = forecast.plan
    version = forecast.version
    stays = stays_between(service.engine, version.region, forecast.at, forecast.until)
    if not stays:
        return None
    exposure = Exposure(version.index, stays, plan.start_s, plan.n_slots)
    probability = _Tables(service, forecast)

    def flagged(first: int, n: int) -> NDArray[np.bool_]:
        found = np.zeros((exposure.n_cells, n), bool)
        for column, table in enumerate(probability.of(first, n)):
            found[ranked_rows(table)[:n_flagged], column] = True
        return found

    def expected(first: int, n: int) -> FloatArray:
        return np.stack(probability.of(first, n), axis=1) * forecast.slot_mean[first : first + n]

    return presence_report(
        exposure,
        version.grid.area_km2,
        {"all": recorded},
        flagged,
        expected,
        forecast.expected_count,
    )


def hours_in_places(
    service: ForecastService,
    version: LoadedVersion,
    share: FloatArray,
    start: datetime,
    end: datetime,
) -> dict[str, Any] | None:
    """Return how much of a period's presence was in some places; None if the log has no row of it.

    Args:
        share: (N,) of each cell's area that lies in the places.
    """
    stays = stays_between(service.engine, version.region, start, end)
    if not stays:
        return None
    n_slots = max(1, int((end - start).total_seconds() // HOUR_S))
    exposure = Exposure(version.index, stays, int(start.timestamp()), n_slots)
    hours = exposure.by_cell()
    total = float(hours.sum())
    return {
        "unit_hours": exposure.hours,
        "unit_hours_inside": total,
        "unit_hours_in_places": float(hours @ share),
        "share_in_places": float(hours @ share) / total if total > 0 else None,
        "warnings": [NOTES.make("presence_no_proof").to_json()],
    }


class _Tables:
    """Probabilities (N,) of the cells in each hour of a forecast."""

    def __init__(self, service: ForecastService, forecast: Forecast) -> None:
        self.kinds = forecast.plan.slot_kinds
        self.service, self.plan = service, forecast.plan
        self._held: tuple[tuple[int, int], list[FloatArray]] = ((0, 0), [])

    def of(self, first: int, n: int) -> list[FloatArray]:
        """Return those of n hours from one on; cached until others are asked for."""
        if self._held[0] != (first, n):
            kinds = self.kinds[first : first + n]
            tables = self.service.tables.tables_of(self.plan.version, self.plan.codes, kinds)
            self._held = (first, n), [tables[kind] for kind in kinds]
        return self._held[1]
