"""Which zones to send cars to: options, limits, and the search over a forecast's cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app.core.bounds import check_number
from app.core.caching.once import once
from app.core.errors import InvalidInput, LimitExceeded
from app.core.processes.priority import give_way
from app.core.texts import shortened
from app.forecasts.areas.layers import NONE, Inside
from app.forecasts.cells import CellSet
from app.forecasts.forecast import Forecast
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
MAX_AVOIDED = 20_000
CellIds = tuple[int | str, ...]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class ZoneOptions:
    """How many zones, of which area together, how compact, how far apart, and where not.

    Args:
        avoid: where no zone may lie: ids of cells, and areas of layers (`beats:D11`).
        zones: price these as they are, instead of searching.
        previous: zones of the plan before, which stay unless moving gains beyond chance.
        record: say what such plans caught before.
        lang, paper: of the briefing.
    """

    n: int = DEFAULT_ZONES
    max_km2: float = DEFAULT_KM2
    compactness: float = DEFAULT_COMPACTNESS
    min_separation_m: float | None = None
    avoid: CellIds = ()
    zones: tuple[CellIds, ...] | None = None
    previous: tuple[CellIds, ...] | None = None
    record: bool = False
    lang: Literal["en", "es"] = "en"
    paper: Literal["a4", "letter"] = "a4"

    def avoided_areas(self) -> list[Inside]:
        """Return the areas of layers among what to avoid.

        Raises:
            InvalidInput: an area has no name.
        """
        return [Inside.parse(one) for one in map(str, self.avoid) if ":" in one]


@dataclass(frozen=True)
class ChosenZones:
    """The zones of a forecast: rows of the cells of each, most valuable first.

    `allowed` are the rows where zones may lie; `bound` is a share of the forecast's probability that no
    zones of this budget can exceed.
    """

    forecast: Forecast
    rows: list[Rows]
    neighbours: IntArray
    bound: float
    allowed: Rows

    @once
    def together(self) -> Rows:
        """Rows of the cells of all zones."""
        return np.concatenate(self.rows)

    @once
    def area_km2(self) -> float:
        """Area of all zones."""
        return float(self.forecast.cells.area_km2[self.together].sum())

    @once
    def worth(self) -> float:
        """The zones' share of the forecast's probability."""
        return float(self.forecast.probability[self.together].sum())

    @once
    def free(self) -> Rows:
        """Rows of as many of the best allowed cells, wherever they lie, as fit the zones' area."""
        ranking = self.forecast.ranking
        ranking = ranking[np.isin(ranking, self.allowed)]
        covered = np.cumsum(self.forecast.cells.area_km2[ranking])
        n = int(np.searchsorted(covered, self.area_km2 * (1 + TOLERANCE), side="right"))
        return ranking[: max(1, n)]

    def perimeter(self, zone: Rows) -> int:
        """Count the sides of a zone's cells that no other of its cells shares."""
        return int((~np.isin(self.neighbours[zone], zone)).sum())


@dataclass(frozen=True)
class Ground:
    """Where zones of a forecast may lie: the allowed rows, and which cells are neighbours."""

    forecast: Forecast
    options: ZoneOptions
    rows: Rows
    neighbours: IntArray

    @classmethod
    def of(cls, forecast: Forecast, options: ZoneOptions, avoided: Rows | None = None) -> Ground:
        """Apply box and area, the rows to avoid, and the borders that zones may not cross.

        Raises:
            InvalidInput: no cell is left.
        """
        rows, part = forecast.rows, forecast.layers.part
        if part is not None:
            rows = rows[part[rows] != NONE]
        if len(rows) == 0:
            raise InvalidInput("no cell touches the bbox", field="bbox")
        if avoided is not None:
            rows = rows[~np.isin(rows, avoided)]
            if len(rows) == 0:
                raise InvalidInput("avoid leaves no cell for zones", field="avoid")
        return cls(forecast, options, rows, neighbours_of(forecast.cells))

    def best(self, n: int, max_km2: float, fixed: Sequence[Rows] = ()) -> list[Rows]:
        """Return the best zones of a number and an area beside `fixed` ones, which they do not touch."""
        rows = self.rows
        if fixed:
            rows = rows[~np.isin(rows, self._near(np.concatenate(fixed)))]
        if n == 0 or len(rows) == 0 or max_km2 < self.forecast.cells.area_km2[rows].min():
            return []
        found = best_zones(self._problem(rows, n, max_km2), give_way)
        return [rows[np.array(zone)] for zone in found]

    def bound(self, max_km2: float) -> float:
        """Return a share of the probability that no zones of an area can exceed."""
        area_km2 = self.forecast.cells.area_km2[self.rows]
        return best_free(self.forecast.probability[self.rows], area_km2, max_km2)

    def _problem(self, rows: Rows, n: int, max_km2: float) -> ZoneProblem:
        neighbours, part = self.neighbours, self.forecast.layers.part
        if part is not None:
            # No zone grows over a border.
            neighbours = np.where(part[neighbours] == part[:, None], neighbours, -1)
        return ZoneProblem(
            self.forecast.probability[rows],
            self.forecast.cells.area_km2[rows],
            among(neighbours, rows),
            self.places_m[rows],
            max_km2,
            n,
            self.options.compactness,
            self.options.min_separation_m or 0.0,
        )

    def _near(self, fixed: Rows) -> Rows:
        """Return the rows of some cells, of those across their sides, and of those too near."""
        across = self.neighbours[fixed].ravel()
        near = np.concatenate([fixed, across[across >= 0]])
        if self.options.min_separation_m is None:
            return near
        apart_m = self.options.min_separation_m * (1 - 1e-6)
        x_m, y_m = self.places_m.T
        close = [
            np.flatnonzero((x_m - x_m[row]) ** 2 + (y_m - y_m[row]) ** 2 < apart_m**2)
            for row in fixed.tolist()
        ]
        return np.concatenate([near, *close])

    @once
    def places_m(self) -> NDArray[np.float64]:
        return places_of_cells_m(self.forecast.cells)

    def chosen(self, zones: Sequence[Rows], max_km2: float) -> ChosenZones:
        """Return zones, most valuable first."""
        value = [float(self.forecast.probability[zone].sum()) for zone in zones]
        order = np.argsort(-np.array(value), kind="stable").tolist()
        ranked = [zones[place] for place in order]
        return ChosenZones(self.forecast, ranked, self.neighbours, self.bound(max_km2), self.rows)


def check_budget(max_km2: float, area_km2: NDArray[np.float64]) -> None:
    """Refuse an area that holds no cell, or too many.

    Raises:
        InvalidInput: no cell of these areas (N,) fits.
        LimitExceeded: more than `MAX_CELLS` fit.
    """
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


def given_zones(forecast: Forecast, zones: Sequence[CellIds], field: str) -> list[Rows]:
    """Return the rows of zones given by the ids of their cells.

    Raises:
        InvalidInput: a zone is empty, or a cell is unknown or given twice.
        LimitExceeded: too many cells.
    """
    n_cells = sum(len(zone) for zone in zones)
    check_number(n_cells, MAX_CELLS, f"{field} have {n_cells} cells", field)
    row_of = {cell: row for row, cell in enumerate(forecast.cells.ids)}
    seen: set[int | str] = set()
    for place, zone in enumerate(zones):
        if not zone:
            raise InvalidInput("a zone needs at least one cell", field=f"{field}.{place}")
        for cell in zone:
            if cell not in row_of:
                raise InvalidInput(f"no cell {shortened(cell)}", field=f"{field}.{place}")
            if cell in seen:
                raise InvalidInput(
                    f"cell {shortened(cell)} is given twice", field=f"{field}.{place}"
                )
            seen.add(cell)
    return [np.array(sorted(row_of[cell] for cell in zone), np.int64) for zone in zones]


def cells_avoided(forecast: Forecast, avoid: CellIds) -> Rows:
    """Return the rows of the cells among what to avoid.

    Raises:
        InvalidInput: there is no such cell.
        LimitExceeded: too many are given.
    """
    check_number(len(avoid), MAX_AVOIDED, f"avoid has {len(avoid)} entries", "avoid")
    row_of = {str(cell): row for row, cell in enumerate(forecast.cells.ids)}
    rows = []
    for one in map(str, avoid):
        if ":" in one:
            continue
        if one not in row_of:
            raise InvalidInput(
                f"no cell {shortened(one)} to avoid; areas are given as layer:area", field="avoid"
            )
        rows.append(row_of[one])
    return np.array(rows, np.int64)


def places_of_cells_m(cells: CellSet) -> NDArray[np.float64]:
    """Return the centres (N, 2) of cells."""
    longitude, latitude = cells.centres
    return np.column_stack(to_metres(longitude, latitude, cells.crs))


def among(neighbours: IntArray, rows: Rows) -> IntArray:
    """Return the neighbours of some rows, counted among these rows."""
    place = np.full(len(neighbours) + 1, -1, np.int64)
    place[rows] = np.arange(len(rows))
    found: IntArray = place[neighbours[rows]]
    return found
