"""Which cells to flag, and in which order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from app.core.errors import InvalidInput
from app.forecasts.forecast import Forecast
from app.geo.study_area import to_metres
from models.evaluation.metrics import n_top

MAX_SEPARATION_M = 50_000.0
DEFAULT_TOP = 5.0


@dataclass(frozen=True)
class HotspotOptions:
    """Which cells to flag: a percentage of the cells, a number of them, or a total area.

    `min_separation_m` skips cells whose centre is closer to that of a better one. `dissolve` joins
    cells that share an edge. `compare` adds the changes since the same hours a week before, or
    since the state before (`previous`).
    """

    top: float = DEFAULT_TOP
    n_cells: int | None = None
    area_km2: float | None = None
    min_separation_m: float | None = None
    dissolve: bool = False
    compare: bool | Literal["previous"] = False


def hotspot_rows(forecast: Forecast, options: HotspotOptions) -> NDArray[np.int64]:
    """Return rows of the flagged cells, best first.

    Raises:
        InvalidInput: the percentage, number, area or distance is out of range.
    """
    ranking = forecast.ranking
    if len(ranking) == 0:
        raise InvalidInput("no cell touches the bbox", field="bbox")
    n = _n_flagged(options, len(ranking))
    if options.min_separation_m is not None:
        ranking = _separated(forecast, ranking, options.min_separation_m, n)
    if options.area_km2 is not None:
        covered = np.cumsum(forecast.cells.area_km2[ranking])
        n = max(1, int(np.searchsorted(covered, options.area_km2, side="right")))
    return ranking[:n]


def n_top_cells(n_cells: int, top_percent: float) -> int:
    """Return the number of top-k% cells.

    Raises:
        InvalidInput: the percentage is not within (0, 100].
    """
    if not 0 < top_percent <= 100:
        raise InvalidInput(
            f"top must lie within (0, 100] percent, got {top_percent:g}", field="top"
        )
    return n_top(n_cells, top_percent)


def _n_flagged(options: HotspotOptions, n_cells: int) -> int:
    """Return the maximum number of cells to flag."""
    if options.n_cells is not None and options.area_km2 is not None:
        raise InvalidInput("give n_cells or area_km2, not both", field="n_cells")
    if options.n_cells is not None:
        if not 1 <= options.n_cells <= n_cells:
            raise InvalidInput(
                f"n_cells must lie within 1..{n_cells}, got {options.n_cells}", field="n_cells"
            )
        return options.n_cells
    if options.area_km2 is not None:
        if not (np.isfinite(options.area_km2) and options.area_km2 > 0):
            raise InvalidInput(
                f"area_km2 must be above zero, got {options.area_km2:g}", field="area_km2"
            )
        return n_cells
    return n_top_cells(n_cells, options.top)


def _separated(
    forecast: Forecast, ranking: NDArray[np.int64], distance_m: float, wanted: int
) -> NDArray[np.int64]:
    """Return up to `wanted` cells, best first, each at least `distance_m` from better ones."""
    if not 0 < distance_m <= MAX_SEPARATION_M:
        raise InvalidInput(
            f"min_separation_m must lie within (0, {MAX_SEPARATION_M:.0f}], got {distance_m:g}",
            field="min_separation_m",
        )
    longitude, latitude = forecast.cells.centres
    x_m, y_m = to_metres(longitude, latitude, forecast.cells.crs)
    places = np.column_stack([x_m, y_m])
    tree = cKDTree(places)
    blocked = np.zeros(len(places), bool)
    taken: list[int] = []
    for row in ranking.tolist():
        if blocked[row]:
            continue
        taken.append(row)
        if len(taken) == wanted:
            break
        blocked[tree.query_ball_point(places[row], distance_m * (1 - 1e-6))] = True
    return np.array(taken, np.int64)
