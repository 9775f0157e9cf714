"""Whether joint forecasts are consistent with what happened: N-, S- and CL-test at 13 origins in four cities.

A forecast is the expected count of each hour times the density of each cell. The tests are those of
seismology; see `models/evaluation/consistency.py`. `stack` and `pooled-kde` are fitted at each of the last 13
origins, 28 days apart, and at three more before, for the clustering of incidents is estimated on the
three periods before the one that is tested. *independent*: incidents drawn independently, as seismology does.
Origins with less than a quarter of history are left out: Vancouver's file has one year only.
`HOTSLOT_BENCH_CITIES` and `HOTSLOT_BENCH_MODELS` choose fewer, `HOTSLOT_BENCH_ORIGINS` the last ones only.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import numpy as np

from app.core.processes.task_pool import run_tasks
from app.fitting.device import use_threads
from app.fitting.hourly_counts import counted_slots
from benchmarks.cities import DATA, FILES, City, load_city, machine
from models.base import HORIZON_DAYS, FitContext
from models.catalog import create_model
from models.counts.model import CountModel
from models.evaluation.clustering import estimate_clustering
from models.evaluation.consistency import (
    INDEPENDENT,
    JointForecast,
    Observed,
    Outcome,
    as_observed,
    likelihood_tests,
    number_test,
)
from models.units import DAY_S, HOUR_S, N_WINDOWS, FloatArray

N_ORIGINS = 13
N_BEFORE = 3
"""Periods on whose forecasts the clustering is estimated."""
MIN_HISTORY_DAYS = 91
CANDIDATE = "stack"
MODELS = (CANDIDATE, "pooled-kde")
T = TypeVar("T")
TESTS = ("N", "S", "CL", "S independent", "CL independent")


@dataclass(frozen=True)
class Task:
    """One model at one origin (UTC seconds)."""

    model: str
    origin_s: int


@dataclass(frozen=True)
class Shared:
    """What all tasks read: the city, its count models by origin, and where tables lie."""

    city: City
    counts: dict[int, CountModel]
    origins_s: list[int]
    folder: Path


def _table_file(folder: Path, task: Task) -> Path:
    return folder / f"{task.model}-{task.origin_s}.npy"


def fit_table(shared: Shared, task: Task) -> None:
    """Fit a model on what came before an origin and store its table (168, N)."""
    use_threads(1)
    city = shared.city
    past = city.incidents.before(task.origin_s)
    model = create_model(task.model).fit(past, city.grid, FitContext(task.origin_s))
    np.save(_table_file(shared.folder, task), model.probability_.astype(np.float32))


def count_model(city: City, origin_s: int) -> CountModel:
    """Fit the counts on what came before an origin."""
    past = city.incidents.before(origin_s)
    return CountModel.fit(*counted_slots(past.at_s, city.timezone, int(past.time_s[0]), origin_s))


def joint_forecast(shared: Shared, task: Task) -> tuple[JointForecast, Observed]:
    """Return the forecast of the 28 days after an origin, and what happened in them."""
    city, counts = shared.city, shared.counts[task.origin_s]
    end_s = min(task.origin_s + HORIZON_DAYS * DAY_S, int(city.incidents.time_s[-1]) + 1)
    test = city.incidents.between(task.origin_s, end_s)
    slots, _ = counted_slots(test.at_s, city.timezone, task.origin_s, end_s)
    table: FloatArray = np.load(_table_file(shared.folder, task)).astype(np.float64)
    table = np.broadcast_to(table, (N_WINDOWS, table.shape[1]))
    forecast = JointForecast(
        counts.mean(slots), slots.window.astype(np.int64), slots.time_s, table, counts
    )
    rows = city.grid.locate(test.x_m, test.y_m)
    observed, _ = as_observed(rows, test.at_s, slots.time_s)
    return forecast, observed


def outcomes_at(shared: Shared, task: Task) -> tuple[Task, dict[str, Outcome]]:
    """Run all tests of one forecast."""
    use_threads(1)
    place = shared.origins_s.index(task.origin_s)
    before = shared.origins_s[place - N_BEFORE : place]
    clustering = estimate_clustering(
        joint_forecast(shared, Task(task.model, origin_s)) for origin_s in before
    )
    forecast, observed = joint_forecast(shared, task)
    clustered = likelihood_tests(forecast, observed, clustering)
    independent = likelihood_tests(forecast, observed, INDEPENDENT)
    outcomes = (number_test(forecast, len(observed)), *clustered, *independent)
    return task, dict(zip(TESTS, outcomes, strict=True))


def outcomes_of(
    city: City, models: tuple[str, ...], n_origins: int
) -> Iterator[tuple[str, list[tuple[int, dict[str, Outcome]]]]]:
    """Yield each model's outcomes by origin."""
    earliest_s = int(city.incidents.time_s[0]) + MIN_HISTORY_DAYS * DAY_S
    origins = [o // HOUR_S * HOUR_S for o in city.origins(n_origins + N_BEFORE) if o >= earliest_s]
    with tempfile.TemporaryDirectory() as folder:
        counts = {origin_s: count_model(city, origin_s) for origin_s in origins}
        shared = Shared(city, counts, origins, Path(folder))
        tasks = [Task(model, origin_s) for model in models for origin_s in origins]
        for _ in _run(fit_table, shared, tasks):
            pass
        tested = [task for task in tasks if task.origin_s in origins[N_BEFORE:]]
        found = dict(_run(outcomes_at, shared, tested))
        for model in models:
            yield model, [(t.origin_s, found[t]) for t in tested if t.model == model]


def _run(
    work: Callable[[Shared, Task], T], shared: Shared, tasks: list[Task]
) -> Generator[T, None, None]:
    jobs = int(os.environ.get("HOTSLOT_BENCH_JOBS", "0")) or os.cpu_count() or 1
    with closing(run_tasks(work, shared, tasks, jobs, 0.5)) as results:
        yield from (finished for finished in results if finished is not None)


def main() -> None:
    """Run all cities; ends with the `RESULT` line."""
    cities = os.environ.get("HOTSLOT_BENCH_CITIES", ",".join(FILES)).split(",")
    models = tuple(os.environ.get("HOTSLOT_BENCH_MODELS", ",".join(MODELS)).split(","))
    n_origins = int(os.environ.get("HOTSLOT_BENCH_ORIGINS", str(N_ORIGINS)))
    if missing := [c for c in cities if not (DATA / FILES[c][0]).exists()]:
        raise SystemExit(f"no data for {', '.join(missing)} in {DATA}")
    print(machine())
    print(f"share of at most {n_origins} origins passed; failures: test, day, quantile")
    passed: dict[str, list[float]] = {}
    for name in cities:
        for model, by_origin in outcomes_of(load_city(name), models, n_origins):
            rate = {t: np.mean([found[t].passed for _, found in by_origin]) for t in TESTS}
            rates = "  ".join(f"{t} {rate[t]:.2f}" for t in TESTS)
            print(f"{name:10} {model:12} {len(by_origin):2} origins  {rates}")
            for origin_s, found in by_origin:
                day = datetime.fromtimestamp(origin_s, UTC).date()
                for test in ("N", "S", "CL"):
                    if not found[test].passed:
                        print(f"    {test:2} {day} {found[test].quantile:.3f}", flush=True)
            if model == models[0]:
                for test in TESTS:
                    passed.setdefault(test, []).append(float(rate[test]))
    print(
        "RESULT consistency",
        *(f"{test.lower()}_pass={min(passed[test]):.3f}" for test in ("N", "S", "CL")),
        *(
            f"{test.lower()}_independent={min(passed[f'{test} independent']):.3f}"
            for test in ("S", "CL")
        ),
    )
