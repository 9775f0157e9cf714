"""Zones and sets of zones, grown cell by cell; none is ever changed, so that many may share one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import xor
from typing import NamedTuple

import numpy as np

from models.zones.problem import TOLERANCE, ZoneProblem, compactness_of

SLACK_SIDES = 2
"""A zone on its way may have so many sides too many: some compact zones have no compact part."""
MAX_ADDITIONS = 12
"""Best cells at the edge of a zone that are tried; of many zones fewer each."""
ADDITIONS_TOGETHER = 60


class Zone(NamedTuple):
    """A connected set of cells.

    `edge` has the cells across its sides, each with the number of sides that it shares; `adds` the best
    of these that leave the zone compact enough. `key` is equal for equal sets of cells.
    """

    cells: frozenset[int]
    perimeter: int
    edge: dict[int, int]
    adds: list[int]
    value: float
    area_km2: float
    key: int
    is_compact: bool
    box_m: tuple[float, float, float, float]


class Zones(NamedTuple):
    """Zones that are apart."""

    zones: tuple[Zone, ...] = ()
    value: float = 0.0
    area_km2: float = 0.0
    key: int = 0

    @property
    def is_compact(self) -> bool:
        """Whether every zone is compact enough."""
        return all(zone.is_compact for zone in self.zones)


class Step(NamedTuple):
    """A cell to add, to a zone or (None) as a zone of its own."""

    cell: int
    zone: Zone | None


@dataclass
class Shapes:
    """Makes zones of a problem's cells; the columns are lists, which are faster by the element."""

    problem: ZoneProblem

    def __post_init__(self) -> None:
        problem = self.problem
        self.value: list[float] = problem.value.tolist()
        self.area_km2: list[float] = problem.area_km2.tolist()
        self.place_m: list[list[float]] = problem.place_m.tolist()
        keys = np.random.default_rng(0).integers(1, 2**62, len(self.value))
        self.key_of: list[int] = keys.tolist()
        self.budget_km2 = problem.max_km2 * (1 + TOLERANCE)
        self.n_additions = max(2, min(MAX_ADDITIONS, ADDITIONS_TOGETHER // problem.n_zones))
        self._sides: dict[int, list[int]] = {}

    def sides(self, cell: int) -> list[int]:
        """Return the cells across the sides of a cell."""
        found = self._sides.get(cell)
        if found is None:
            row = self.problem.neighbours[cell]
            found = self._sides[cell] = row[row >= 0].tolist()
        return found

    def zone(self, cells: frozenset[int]) -> Zone:
        """Return the zone of connected cells."""
        edge: dict[int, int] = {}
        ordered = sorted(cells)
        for cell in ordered:
            for other in self.sides(cell):
                if other not in cells:
                    edge[other] = edge.get(other, 0) + 1
        shared = sum(other in cells for cell in ordered for other in self.sides(cell))
        x_m, y_m = zip(*(self.place_m[cell] for cell in ordered), strict=True)
        perimeter = self.problem.n_sides * len(cells) - shared
        return Zone(
            cells,
            perimeter,
            edge,
            self._adds(len(cells), perimeter, edge),
            sum(self.value[cell] for cell in ordered),
            sum(self.area_km2[cell] for cell in ordered),
            reduce(xor, (self.key_of[cell] for cell in ordered)),
            self._is_compact(len(cells), perimeter),
            (min(x_m), min(y_m), max(x_m), max(y_m)),
        )

    def _extended(self, zone: Zone, cell: int) -> Zone:
        edge = dict(zone.edge)
        own = edge.pop(cell)
        for other in self.sides(cell):
            if other not in zone.cells:
                edge[other] = edge.get(other, 0) + 1
        x_m, y_m = self.place_m[cell]
        west, south, east, north = zone.box_m
        perimeter = zone.perimeter + self.problem.n_sides - 2 * own
        cells = zone.cells | {cell}
        return Zone(
            cells,
            perimeter,
            edge,
            self._adds(len(cells), perimeter, edge),
            zone.value + self.value[cell],
            zone.area_km2 + self.area_km2[cell],
            zone.key ^ self.key_of[cell],
            self._is_compact(len(cells), perimeter),
            (min(west, x_m), min(south, y_m), max(east, x_m), max(north, y_m)),
        )

    def _adds(self, n_cells: int, perimeter: int, edge: dict[int, int]) -> list[int]:
        """Return the best cells at the edge that share enough sides for a compact zone."""
        n_sides, value = self.problem.n_sides, self.value
        enough = next(
            own
            for own in range(1, n_sides + 2)
            if own > n_sides or self._may_be(n_cells + 1, perimeter + n_sides - 2 * own)
        )
        cells = [cell for cell, own in edge.items() if own >= enough]
        cells.sort(key=lambda cell: (-value[cell], cell))
        return cells[: self.n_additions]

    def _is_compact(self, n_cells: int, perimeter: int) -> bool:
        least = self.problem.min_compactness * (1 - TOLERANCE)
        return compactness_of(n_cells, perimeter, self.problem.n_sides) >= least

    def _may_be(self, n_cells: int, perimeter: int) -> bool:
        return self._is_compact(n_cells, max(1, perimeter - SLACK_SIDES))

    def is_near(self, zone: Zone, cell: int) -> bool:
        """Return whether a cell lies nearer to a zone than zones may be to each other."""
        distance_m = self.problem.min_separation_m * (1 - 1e-6)
        if distance_m <= 0:
            return False
        x_m, y_m = self.place_m[cell]
        west, south, east, north = zone.box_m
        if max(west - x_m, x_m - east, south - y_m, y_m - north) >= distance_m:
            return False
        limit = distance_m * distance_m
        places = (self.place_m[other] for other in zone.cells)
        return any((x - x_m) ** 2 + (y - y_m) ** 2 < limit for x, y in places)

    def fits(self, state: Zones, step: Step) -> bool:
        """Return whether a cell may be added: it fits the budget, and zones stay apart.

        A cell between two zones joins them.
        """
        cell, zone = step
        if state.area_km2 + self.area_km2[cell] > self.budget_km2:
            return False
        for other in state.zones:
            if other is zone:
                continue
            if cell in other.edge:
                if zone is None:
                    return False
            elif cell in other.cells or self.is_near(other, cell):
                return False
        return True

    def added(self, state: Zones, step: Step) -> Zones | None:
        """Return the zones with a further cell that `fits`, or None if one becomes too ragged."""
        cell, zone = step
        if zone is None:
            return self.state_of((*state.zones, self.zone(frozenset((cell,)))))
        joined = [other for other in state.zones if cell in other.edge]
        if len(joined) == 1:
            grown = self._extended(zone, cell)
        else:
            grown = self.zone(frozenset((cell,)).union(*(other.cells for other in joined)))
            if not self._may_be(len(grown.cells), grown.perimeter):
                return None
        rest = tuple(other for other in state.zones if cell not in other.edge)
        return self.state_of((*rest, grown))

    def state_of(self, zones: tuple[Zone, ...]) -> Zones:
        """Return zones with their sums."""
        return Zones(
            zones,
            sum(zone.value for zone in zones),
            sum(zone.area_km2 for zone in zones),
            reduce(xor, (zone.key for zone in zones), 0),
        )

    def without(self, state: Zones, zone: Zone, cell: int) -> Zones | None:
        """Return the zones without a cell of one of them, or None if that falls apart."""
        rest = tuple(other for other in state.zones if other is not zone)
        cells = zone.cells - {cell}
        if not cells:
            return self.state_of(rest)
        if not self._is_connected(cells):
            return None
        return self.state_of((*rest, self.zone(cells)))

    def _is_connected(self, cells: frozenset[int]) -> bool:
        start = next(iter(cells))
        seen, todo = {start}, [start]
        while todo:
            for other in self.sides(todo.pop()):
                if other in cells and other not in seen:
                    seen.add(other)
                    todo.append(other)
        return len(seen) == len(cells)
