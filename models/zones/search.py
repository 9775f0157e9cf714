"""Search for the best zones: a beam of growing zones, then exchanges of cells and of whole zones.

Finding connected sets of the greatest value under a budget is NP-hard. The search keeps the best states by
number of cells and of zones (a state with few zones is worth less now and can open others later), starts
from single cells and from the middles of smoothed densities, and improves what it found until no exchange
does. It draws nothing at random and watches no clock: equal problems have equal answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from models.units import FloatArray
from models.zones.problem import ZoneProblem
from models.zones.shapes import Shapes, Step, Zone, Zones

WORK = 1_200
"""Width of the beam times cells times zones."""
MAX_WIDTH = 40
MAX_WORK = 500_000
"""Steps considered, after which nothing more is tried: about a second."""
STEPS_PER_STATE = 30
"""Steps that are considered in the time that building a state takes."""
N_SEEDS = 60
SEEDS_TRIED = 8
"""Per state: the best seeds that are apart from its zones."""
SEEDS_GROWN = 3
MAX_PAIRS = 400
"""Exchanges of a cell tried per round."""
GAIN = 1 + 1e-12
"""Less is the rounding of a sum."""


def best_zones(
    problem: ZoneProblem, pause: Callable[[], None] = lambda: None, max_work: int = MAX_WORK
) -> list[list[int]]:
    """Return the rows of each zone, most valuable zone first; rows ascend.

    Zones are fewer where one more is worth nothing, and none where no cell fits the budget.

    Args:
        problem: the cells, and what zones may be.
        pause: called every few milliseconds, to let other threads work.
        max_work: steps considered, after which nothing more is tried.
    """
    found = _Search(problem, pause, max_work).run()
    zones = sorted(found.zones, key=lambda zone: (-zone.value, min(zone.cells)))
    return [sorted(zone.cells) for zone in zones]


@dataclass(frozen=True)
class _View:
    """Where to open zones, best first, and what a cell is worth with its surroundings."""

    seeds: list[int]
    worth: list[float]


class _Search:
    def __init__(self, problem: ZoneProblem, pause: Callable[[], None], max_work: int) -> None:
        self.pause = pause
        self.max_work = max_work
        self.shapes = Shapes(problem)
        self.n_cells = max(1, min(problem.n_fitting, len(problem.value)))
        self.n_zones = min(problem.n_zones, self.n_cells)
        self.width = max(1, min(MAX_WIDTH, WORK // (self.n_cells * self.n_zones)))
        self.price = _price(problem)
        self.work = 0
        self.views = [
            _View(
                _middles(problem, field)[:N_SEEDS] if place else _ranked(field)[:N_SEEDS],
                ((problem.value + field) / 2 - self.price * problem.area_km2).tolist(),
            )
            for place, field in enumerate(_smoothed(problem, self.n_cells / self.n_zones))
        ]

    def run(self) -> Zones:
        """Return the best zones found."""
        best = self._beam([Zones()], self.views[0])
        for view in self.views[1:]:
            best = _better(best, self._beam(self._starts(view.seeds), view))
            best = _better(best, self._beam([Zones()], view))
        while self.work < self.max_work:
            improved = self._exchanged(self._replaced(best))
            if not improved.value > best.value * GAIN:
                break
            best = improved
        return best

    def _starts(self, seeds: Sequence[int]) -> list[Zones]:
        """Return the zones of one cell at the first 1, 2, ... seeds that are apart."""
        state, found = Zones(), []
        for seed in seeds:
            if len(state.zones) == self.n_zones:
                break
            if not self._is_taken(state, seed) and self.shapes.fits(state, Step(seed, None)):
                state = self.shapes.added(state, Step(seed, None)) or state
                found.append(state)
        return found

    def _beam(self, starts: Iterable[Zones], view: _View) -> Zones:
        """Grow states by a cell at a time; return the best compact one seen on the way."""
        level, best = list(starts), Zones()
        while level:
            for state in level:
                if state.is_compact:
                    best = _better(best, state)
            self.pause()
            level = self._grown(level, view)
        return best

    def _grown(self, level: Sequence[Zones], view: _View) -> list[Zones]:
        """Return the best states with one more cell, `width` for each number of zones."""
        by_number: dict[int, list[tuple[float, int, int, Zone | None]]] = {}
        for place, state in enumerate(level):
            base = state.value - self.price * state.area_km2
            for cell, zone in self._steps(state, view.seeds):
                number = len(state.zones) + (zone is None)
                score = base + view.worth[cell]
                by_number.setdefault(number, []).append((-score, cell, place, zone))
        return [
            grown
            for _, candidates in sorted(by_number.items())
            for grown in self._built(level, candidates)
        ]

    def _built(
        self, level: Sequence[Zones], candidates: list[tuple[float, int, int, Zone | None]]
    ) -> Iterator[Zones]:
        seen: set[int] = set()
        self.work += len(candidates)
        for _, cell, place, zone in sorted(candidates, key=lambda one: one[:3]):
            if len(seen) == self.width:
                return
            state, step = level[place], Step(cell, zone)
            key = state.key ^ self.shapes.key_of[cell]
            if key in seen or not self.shapes.fits(state, step):
                continue
            grown = self.shapes.added(state, step)
            if grown is not None:
                self.work += STEPS_PER_STATE
                seen.add(key)
                yield grown

    def _steps(self, state: Zones, seeds: Sequence[int]) -> Iterator[Step]:
        for zone in state.zones:
            for cell in zone.adds:
                yield Step(cell, zone)
        if len(state.zones) < self.n_zones:
            for seed in self._open(state, seeds, SEEDS_TRIED):
                yield Step(seed, None)

    def _open(self, state: Zones, seeds: Sequence[int], n: int) -> list[int]:
        """Return the first n seeds that are apart from the zones."""
        found: list[int] = []
        for seed in seeds:
            if not self._is_taken(state, seed):
                found.append(seed)
                if len(found) == n:
                    break
        return found

    def _is_taken(self, state: Zones, cell: int) -> bool:
        return any(
            cell in zone.cells or cell in zone.edge or self.shapes.is_near(zone, cell)
            for zone in state.zones
        )

    def _replaced(self, best: Zones) -> Zones:
        """Remove each zone, and each pair, and grow what fits instead."""
        zones = best.zones
        pairs = [(one, other) for i, one in enumerate(zones) for other in zones[:i]]
        found = best
        for gone in [*((zone,) for zone in zones), *pairs]:
            if self.work >= self.max_work:
                break
            rest = self.shapes.state_of(tuple(zone for zone in zones if zone not in gone))
            found = _better(found, self._beam([rest], self.views[0]))
            for view in self.views[1:]:
                for seed in self._open(rest, view.seeds, SEEDS_GROWN):
                    if self.shapes.fits(rest, Step(seed, None)):
                        opened = self.shapes.added(rest, Step(seed, None)) or rest
                        found = _better(found, self._beam([opened], view))
        return found

    def _exchanged(self, state: Zones) -> Zones:
        """Exchange single cells while that gains."""
        for _ in range(2 * self.n_cells):
            better = self._one_exchange(state)
            if better is None:
                return state
            state = better
        return state

    def _one_exchange(self, state: Zones) -> Zones | None:
        value = self.shapes.value
        members = [(value[cell], cell, zone) for zone in state.zones for cell in zone.cells]
        tried = 0
        for lost, cell, zone in sorted(members, key=lambda one: one[:2]):
            rest = self.shapes.without(state, zone, cell)
            self.work += STEPS_PER_STATE
            if rest is None:
                continue
            steps = self._steps(rest, self.views[0].seeds)
            for step in sorted(steps, key=lambda step: (-value[step.cell], step.cell)):
                if value[step.cell] <= lost or tried == MAX_PAIRS:
                    break
                tried += 1
                found = self.shapes.added(rest, step) if self.shapes.fits(rest, step) else None
                if found is not None and found.is_compact and found.value > state.value * GAIN:
                    return found
        return None


def _better(one: Zones, other: Zones) -> Zones:
    return other if other.value > one.value * GAIN else one


def _price(problem: ZoneProblem) -> float:
    """Return the value per km2 of the last of the best free cells within the budget."""
    density = problem.value / problem.area_km2
    order = _ranked(density)
    covered_km2 = np.cumsum(problem.area_km2[order])
    last = min(int(np.searchsorted(covered_km2, problem.max_km2)), len(order) - 1)
    return float(density[order[last]])


def _smoothed(problem: ZoneProblem, cells_per_zone: float) -> Iterator[FloatArray]:
    """Yield the values, then their means over ever wider surroundings, up to the size of a zone."""
    has = problem.neighbours >= 0
    field, radius = problem.value, 0
    yield field
    while radius == 0 or 2 * radius * (radius + 1) + 1 < 2 * cells_per_zone:
        for _ in range(max(1, radius)):
            around = np.where(has, field[problem.neighbours], 0.0).sum(axis=1)
            field = (field + around) / (1 + problem.n_sides)
        radius += max(1, radius)
        yield field


def _ranked(values: FloatArray) -> list[int]:
    order: list[int] = np.argsort(-values, kind="stable").tolist()
    return order


def _middles(problem: ZoneProblem, field: FloatArray) -> list[int]:
    """Return cells that no neighbour exceeds, highest first."""
    around = np.where(problem.neighbours >= 0, field[problem.neighbours], -np.inf)
    tops = np.flatnonzero(field >= around.max(axis=1))
    return [int(tops[i]) for i in _ranked(field[tops])]
