"""Hits of the learned selection in a quarter to three quarters of a square mile, and those of `prior-counts`.

Four cities, the last 13 origins, 28 days after each; everything was chosen on earlier origins. The rival is
last year's incidents per square of 76.2 m (62,500 square feet), the size at which it caught most before.

- *ratio*: hits of the learned selection by those of the rival, all origins together, with a bootstrap
  interval over origins.
- *squares*: the learned rates on the rival's squares; *one grid*: on one turned grid of rectangles; *rows
  shifted*: the learned selection; *last year's counts there*: the rival's counts on its tiling.

`HOTSLOT_BENCH_CITIES` chooses fewer cities, `HOTSLOT_BENCH_EARLIER` origins so many periods earlier.
"""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from app.core.processes.task_pool import run_tasks
from app.geo.grid import Grid, cover
from benchmarks.cities import DATA, FILES, City, load_city, machine
from models.base import HORIZON_DAYS, FitContext
from models.contest.rules import AREAS_KM2, MAX_CELL_KM2, SIDE_M
from models.contest.scoring import ListHits, model_hits, selection_hits
from models.contest.selection import Places, chosen, fit_selection
from models.contest.tilings import plain_squares
from models.densities.prior_counts import PRIOR_DAYS, PriorCounts
from models.evaluation.bootstrap import draw_blocks, interval, resampled_means
from models.units import DAY_S, FloatArray

N_ORIGINS = 13
N_RESAMPLES = 10_000
RIVAL, LEARNED = "prior-counts", "rows shifted"
SIZES_M = (SIDE_M, 90.0, 110.0, 130.0, 150.0, 1e3 * MAX_CELL_KM2**0.5)


@dataclass(frozen=True)
class Task:
    """One origin (UTC seconds)."""

    origin_s: int


def hits_at(
    shared: tuple[City, dict[str, Grid]], task: Task
) -> tuple[Task, dict[str, FloatArray], int]:
    """Return the hits (A,) of each list in the 28 days after an origin, and the number of incidents."""
    city, grids = shared
    past = city.incidents.before(task.origin_s)
    test = city.incidents.between(task.origin_s, task.origin_s + HORIZON_DAYS * DAY_S)
    context = FitContext(task.origin_s)
    learned = fit_selection(past, context)
    places = Places.of(past)
    worth = learned.weights @ places.rates(task.origin_s)
    last_year = places.counts(task.origin_s - PRIOR_DAYS * DAY_S, task.origin_s)
    lists = {
        "squares": chosen(places, worth, plain_squares(), learned.weights),
        "one grid": fit_selection(past, context, shifted_rows=False),
        LEARNED: learned,
        "last year's counts there": chosen(places, last_year, learned.tiling, learned.weights),
    }
    found = {name: _hits(selection_hits(one, test, task.origin_s)) for name, one in lists.items()}
    found |= {name: prior_hits(city, grid, task.origin_s) for name, grid in grids.items()}
    return task, found, len(test)


def prior_hits(city: City, grid: Grid, origin_s: int) -> FloatArray:
    """Return the hits (A,) of last year's counts in a grid's cells."""
    past = city.incidents.before(origin_s)
    test = city.incidents.between(origin_s, origin_s + HORIZON_DAYS * DAY_S)
    model = PriorCounts().fit(past, grid, FitContext(origin_s))
    return _hits(model_hits(model, grid, past, test, origin_s))


def _hits(found: ListHits) -> FloatArray:
    return np.asarray(found.in_list.sum(axis=0), np.float64)


def best_size_m(city: City, first_origin_s: int) -> float:
    """Return the size at which last year's counts caught most in the last two periods before the origins."""
    origins = [first_origin_s - k * HORIZON_DAYS * DAY_S for k in (1, 2)]
    if origins[-1] <= int(city.incidents.time_s[len(city.incidents) // 200]):
        return SIDE_M
    found = {}
    for size_m in SIZES_M:
        grid = cover(city.area, size_m)
        found[size_m] = sum(float(prior_hits(city, grid, o)[0]) for o in origins)
    return max(found, key=lambda size_m: found[size_m])


def ratio_of(ours: FloatArray, theirs: FloatArray) -> tuple[float, float, float]:
    """Return the ratio of hits (O,) of all origins together, and its interval over origins.

    >>> ratio_of(np.array([11.0, 11.0]), np.array([10.0, 10.0]))
    (1.1, 1.1, 1.1)
    """
    draw = draw_blocks(np.random.default_rng(0), len(ours), N_RESAMPLES)
    return float(ours.sum() / theirs.sum()), *interval(resampled_means(ours, theirs, draw))


def report(city: City, earlier: int) -> list[tuple[float, float, float]]:
    """Print a city's table and return its ratios with intervals, by area."""
    origins = city.origins(N_ORIGINS + earlier)[:N_ORIGINS]
    size_m = best_size_m(city, origins[0])
    grids = {RIVAL: cover(city.area, SIDE_M)}
    if size_m != SIDE_M:
        grids[f"{RIVAL} of the size chosen"] = cover(city.area, size_m)
    jobs = int(os.environ.get("HOTSLOT_BENCH_JOBS", "0")) or os.cpu_count() or 1
    tasks = [Task(origin_s) for origin_s in origins]
    with closing(run_tasks(hits_at, (city, grids), tasks, jobs, 0.5)) as results:
        finished = [one for one in results if one is not None]
    finished.sort(key=lambda one: one[0].origin_s)
    n = sum(count for _, _, count in finished)
    hits = {name: np.stack([found[name] for _, found, _ in finished]) for name in finished[0][1]}
    print(f"{city.name}: {n:,} incidents; size of cells chosen on the past {size_m:.4g} m")
    for name, table in hits.items():
        texts = [
            "{:7,.0f} {:.3f} [{:.3f}, {:.3f}]".format(
                table[:, a].sum(), *ratio_of(table[:, a], hits[RIVAL][:, a])
            )
            for a in range(len(AREAS_KM2))
        ]
        print(f"  {name:28} " + "  ".join(texts), flush=True)
    return [ratio_of(hits[LEARNED][:, a], hits[RIVAL][:, a]) for a in range(len(AREAS_KM2))]


def main() -> None:
    """Run all cities; ends with the `RESULT` line."""
    cities = os.environ.get("HOTSLOT_BENCH_CITIES", ",".join(FILES)).split(",")
    earlier = int(os.environ.get("HOTSLOT_BENCH_EARLIER", "0"))
    if missing := [c for c in cities if not (DATA / FILES[c][0]).exists()]:
        raise SystemExit(f"no data for {', '.join(missing)} in {DATA}")
    print(machine())
    print(
        f"hits in {', '.join(f'{a:g}' for a in AREAS_KM2)} km2, and their ratio to {RIVAL} [95 %]"
    )
    ratios = [one for name in cities for one in report(load_city(name), earlier)]
    worst = min(ratios)
    print(
        f"RESULT small-areas mean_ratio={np.mean([one[0] for one in ratios]):.3f} "
        f"worst_lo={worst[1]:.3f} worst_hi={worst[2]:.3f} worst={worst[0]:.3f}"
    )


if __name__ == "__main__":
    main()
