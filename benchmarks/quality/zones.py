"""Zones on Toronto: how good the search is, what compactness costs, and what zones catch.

The search runs on the shares that the champion's density gives to each cell of 250 m, over 28 days together,
with five zones and 0.25 square miles, as patrols are planned. Its worth stands beside that of two long
searches over the same zones, simulated annealing and the search itself with a beam ten times as wide and all
that it considers 60 times as much, and beside free cells of the same area, which may lie anywhere. Then 13
past origins, 28 days apart: each density is fitted on what came before, and the incidents of the 28 days
after it are counted in its zones and in its best free cells; those of last year's counts (`prior-counts`) and
of the pooled kernel density beside it. `HOTSLOT_BENCH_MODEL` takes another model than `cox`,
`HOTSLOT_BENCH_SECONDS` another time of annealing than 60, `HOTSLOT_BENCH_ORIGINS` fewer, the last ones.
"""

from __future__ import annotations

import math
import os
import time
from random import Random
from unittest.mock import patch

import numpy as np

from app.forecasts.cells import SquareCells
from app.forecasts.zones.adjacency import neighbours_of
from benchmarks.cities import City, load_city, machine
from models.base import HORIZON_DAYS, FitContext
from models.catalog import create_model
from models.evaluation.significance import wilson_interval
from models.units import DAY_S, FloatArray, IntArray
from models.zones import search
from models.zones.problem import ZoneProblem, best_free
from models.zones.search import best_zones
from models.zones.shapes import Shapes, Step, Zones

CITY = "toronto"
N_ORIGINS = 13
MAX_KM2 = 0.6475
"""0.25 square miles."""
N_ZONES = 5
COMPACTNESS = 0.8
LONGER_WIDTH, LONGER_WORK = 10, 60
RIVALS = ("prior-counts", "pooled-kde")


def problem_of(city: City, share: FloatArray) -> ZoneProblem:
    """The zones that are asked of a city's shares (N,)."""
    grid = city.grid
    return ZoneProblem(
        share,
        grid.area_km2,
        neighbours_of(SquareCells(grid)),
        np.column_stack(grid.centres_m()),
        MAX_KM2,
        N_ZONES,
        COMPACTNESS,
    )


def shares_at(city: City, name: str, origin_s: int) -> FloatArray:
    """A model's shares (N,) of all hours together, fitted on what came before."""
    past = city.incidents.before(origin_s)
    model = create_model(name).fit(past, city.grid, FitContext(origin_s))
    tables = model.probability_
    weight = np.bincount(past.window, minlength=168) if len(tables) > 1 else np.ones(1)
    share: FloatArray = np.average(tables, axis=0, weights=weight)
    return share


def free_cells(problem: ZoneProblem) -> IntArray:
    """The best cells of the area of the zones, wherever they lie."""
    order = np.argsort(-problem.value, kind="stable")
    covered = np.cumsum(problem.area_km2[order])
    return order[: int(np.searchsorted(covered, problem.max_km2, side="right"))]


def annealed(problem: ZoneProblem, seconds: float, seed: int = 0) -> float:
    """The greatest worth that simulated annealing finds: cells are moved at random, cooled four times."""
    shapes, rng = Shapes(problem), Random(seed)
    seeds = np.argsort(-problem.value, kind="stable")[:60].tolist()
    state, best = Zones(), 0.0
    started = time.perf_counter()
    warm = float(problem.value[free_cells(problem)].min()) / 4
    while (spent := (time.perf_counter() - started) / seconds) < 1:
        temperature = warm * math.exp(-5 * (4 * spent % 1))
        other = _moved(shapes, problem, state, seeds, rng)
        if other is None:
            continue
        gain = other.value - state.value
        if gain >= 0 or rng.random() < math.exp(gain / temperature):
            state = other
            if state.is_compact:
                best = max(best, state.value)
    return best


def searched_longer(problem: ZoneProblem) -> float:
    """The worth of what the search finds with a beam `LONGER_WIDTH` times as wide, without haste."""
    width, work = search.MAX_WIDTH * LONGER_WIDTH, search.WORK * LONGER_WIDTH
    with patch.multiple(search, MAX_WIDTH=width, WORK=work):
        zones = best_zones(problem, max_work=search.MAX_WORK * LONGER_WORK)
    return sum(float(problem.value[zone].sum()) for zone in zones)


def _moved(
    shapes: Shapes, problem: ZoneProblem, state: Zones, seeds: list[int], rng: Random
) -> Zones | None:
    """A cell is removed, where the budget is spent, and another one added, where both may be."""
    is_full = state.area_km2 + problem.area_km2.max() > problem.max_km2
    if state.zones and (is_full or rng.random() < 0.1):
        zone = rng.choice(state.zones)
        rest = shapes.without(state, zone, rng.choice(sorted(zone.cells)))
        if rest is None:
            return None
        state = rest
    steps = [Step(cell, zone) for zone in state.zones for cell in zone.edge]
    if len(state.zones) < problem.n_zones and (not steps or rng.random() < 0.3):
        seed = rng.choice(seeds)
        if any(seed in zone.cells or seed in zone.edge for zone in state.zones):
            return None
        steps = [Step(seed, None)]
    step = rng.choice(steps)
    return shapes.added(state, step) if shapes.fits(state, step) else None


def hits_at(city: City, name: str, origin_s: int) -> tuple[int, int, int]:
    """Incidents of the 28 days after an origin: in zones, in free cells, and in all."""
    problem = problem_of(city, shares_at(city, name, origin_s))
    test = city.incidents.since(origin_s).before(origin_s + HORIZON_DAYS * DAY_S)
    rows = city.grid.locate(test.x_m, test.y_m)
    counts = np.bincount(rows[rows >= 0], minlength=len(city.grid))
    zones = np.concatenate([np.array(zone) for zone in best_zones(problem)])
    return int(counts[zones].sum()), int(counts[free_cells(problem)].sum()), int(counts.sum())


def main() -> None:
    """Run it; ends with the `RESULT` line."""
    name = os.environ.get("HOTSLOT_BENCH_MODEL", "cox")
    seconds_annealed = float(os.environ.get("HOTSLOT_BENCH_SECONDS", "60"))
    city = load_city(CITY)
    origins = city.origins(int(os.environ.get("HOTSLOT_BENCH_ORIGINS", str(N_ORIGINS))))
    print(machine())
    print(f"{CITY}: {len(city.incidents):,} incidents, {len(city.grid):,} cells; {name}")
    problem = problem_of(city, shares_at(city, name, origins[-1]))
    started = time.perf_counter()
    zones = best_zones(problem)
    seconds = time.perf_counter() - started
    worth = sum(float(problem.value[zone].sum()) for zone in zones)
    cooled, longer = annealed(problem, seconds_annealed), searched_longer(problem)
    best = max(worth, cooled, longer)
    free = float(problem.value[free_cells(problem)].sum())
    bound = best_free(problem.value, problem.area_km2, MAX_KM2)
    print(f"zones of {[len(zone) for zone in zones]} cells in {seconds:.2f} s: {worth:.5f} of all")
    print(
        f"annealing of {seconds_annealed:.0f} s {cooled:.5f}, longer search {longer:.5f}, "
        f"free cells {free:.5f}, bound {bound:.5f}"
    )
    print("hits in 28 days: zones / free cells of the same area, of all")
    totals = {}
    for model in (name, *RIVALS):
        found = np.array([hits_at(city, model, origin_s) for origin_s in origins])
        totals[model] = found.sum(axis=0)
        each = " ".join(f"{zone}/{cell}" for zone, cell, _ in found.tolist())
        inside, free_hits, n = totals[model].tolist()
        low, high = wilson_interval(inside, n)
        print(
            f"{model:12} {each}; {inside:,}/{free_hits:,} of {n:,}, "
            f"{inside / n:.2%} [{low:.2%}, {high:.2%}] in zones",
            flush=True,
        )
    print(
        f"RESULT zones seconds={seconds:.3f} share_of_best={worth / best:.4f} "
        f"share_of_free_cells={worth / free:.4f} share_of_bound={worth / bound:.4f} "
        f"hits={totals[name][0]} hits_free={totals[name][1]} "
        f"hits_prior={totals['prior-counts'][0]} hits_kde={totals['pooled-kde'][0]} n={totals[name][2]}"
    )


if __name__ == "__main__":
    main()
