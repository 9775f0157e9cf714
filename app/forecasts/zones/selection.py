"""Which zones to send cars to: options, limits, and the search over a forecast's cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.core.errors import InvalidInput, LimitExceeded
from app.core.once import once
from app.core.priority import give_way
from app.forecasts.forecast import Forecast
from app.forecasts.layers import NONE
from app.forecasts.zones.adjacency import neighbours_of
from app.geo.study_area import to_metres
from models.units import IntArray
from models.zones.problem import TOLERANCE, ZoneProblem, best_free
from models.zones.search import best_zones

DEFAULT_ZONES = 5
MAX_ZONES = 20
DEFAULT_KM2 = 0.25
DEFAULT_COMPACTNESS = 0.8
MAX_SEPARATION_M = 50_000.0
MAX_CELLS = 200
"""Cells of all zones together: the search takes time with each."""


@dataclass(frozen=True)
class ZoneOptions:
    """How many zones, of which area together, how compact, and how far apart."""

    n: int = DEFAULT_ZONES
    max_km2: float = DEFAULT_KM2
    compactness: float = DEFAULT_COMPACTNESS
    min_separation_m: float | None = None


@dataclass(frozen=True)
class ChosenZones:
    """The zones of a forecast: rows of the cells of each, most valuable first.

    `bound` is a share of the forecast's probability that no zones of this budget can exceed.
    """

    forecast: Forecast
    rows: list[NDArray[np.int64]]
    neighbours: IntArray
    bound: float

    @once
    def together(self) -> NDArray[np.int64]:
        """Rows of the cells of all zones."""
        return np.concatenate(self.rows)

    @once
    def area_km2(self) -> float:
        """Area of all zones."""
        return float(self.forecast.cells.area_km2[self.together].sum())

    @once
    def free(self) -> NDArray[np.int64]:
        """Rows of as many of the best cells, wherever they lie, as fit the zones' area."""
        ranking = self.forecast.ranking
        covered = np.cumsum(self.forecast.cells.area_km2[ranking])
        n = int(np.searchsorted(covered, self.area_km2 * (1 + TOLERANCE), side="right"))
        return ranking[: max(1, n)]

    def perimeter(self, zone: NDArray[np.int64]) -> int:
        """Count the sides of a zone's cells that no other of its cells shares."""
        return int((~np.isin(self.neighbours[zone], zone)).sum())


def chosen_zones(forecast: Forecast, options: ZoneOptions) -> ChosenZones:
    """Choose the zones of a forecast.

    Raises:
        InvalidInput: no cell touches the box, or none fits the budget.
        LimitExceeded: the budget holds too many cells.
    """
    rows, part = forecast.rows, forecast.layers.part
    if part is not None:
        rows = rows[part[rows] != NONE]
    if len(rows) == 0:
        raise InvalidInput("no cell touches the bbox", field="bbox")
    area_km2 = forecast.cells.area_km2[rows]
    _check_budget(options.max_km2, area_km2)
    neighbours = neighbours_of(forecast.cells)
    problem = ZoneProblem(
        forecast.probability[rows],
        area_km2,
        _among(neighbours if part is None else _of_one_area(neighbours, part), rows),
        _places_m(forecast)[rows],
        options.max_km2,
        options.n,
        options.compactness,
        options.min_separation_m or 0.0,
    )
    found = [rows[np.array(zone)] for zone in best_zones(problem, give_way)]
    bound = best_free(problem.value, area_km2, options.max_km2)
    return ChosenZones(forecast, found, neighbours, bound)


def _check_budget(max_km2: float, area_km2: NDArray[np.float64]) -> None:
    least_km2, full_km2 = float(area_km2.min()), float(area_km2.max())
    if max_km2 * (1 + TOLERANCE) < least_km2:
        raise InvalidInput(
            f"max_km2 is {max_km2:g}, but the smallest cell has {least_km2:.3g} km2; "
            "raise max_km2 or ask for smaller cells",
            field="max_km2",
        )
    if max_km2 > MAX_CELLS * full_km2 * (1 + TOLERANCE):
        raise LimitExceeded(
            f"max_km2 is {max_km2:g}; zones of these cells may cover {MAX_CELLS * full_km2:.3g} km2 "
            "together; ask for larger cells",
            field="max_km2",
            limit=MAX_CELLS * full_km2,
            asked=max_km2,
        )


def _of_one_area(neighbours: IntArray, part: IntArray) -> IntArray:
    """Return the neighbours that belong to the same area: no zone grows over a border."""
    found: IntArray = np.where(part[neighbours] == part[:, None], neighbours, -1)
    return found


def _among(neighbours: IntArray, rows: NDArray[np.int64]) -> IntArray:
    """Return the neighbours of some rows, counted among these rows."""
    place = np.full(len(neighbours) + 1, -1, np.int64)
    place[rows] = np.arange(len(rows))
    found: IntArray = place[neighbours[rows]]
    return found


def _places_m(forecast: Forecast) -> NDArray[np.float64]:
    longitude, latitude = forecast.cells.centres
    return np.column_stack(to_metres(longitude, latitude, forecast.cells.crs))
