"""A country of regions: states of all after a day, trainings of a sample, what that costs and needs.

HOTSLOT_BENCH_REGIONS (300) regions of 2,000 to HOTSLOT_BENCH_MAX_INCIDENTS (2,000,000) synthetic incidents
over three years are loaded through the ingest. Each gets a version, then a day's incidents; real workers, one
per core (with HOTSLOT_WORKER_SLOTS as set), bring all up to date. Then HOTSLOT_BENCH_TRAININGS (12) regions
from the largest to the smallest are trained with the default model and its validation, while the smallest
asks for four trainings of its own at once. One caller asks for all of them, but for that of the second
smallest region: another caller does, after all others. A model of cost fitted to these predicts the rest,
and prints the table of docs/deployment.md.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
from sqlalchemy import Engine, text

from app.core.db.engine import open_engine
from app.core.db.schema import migrate
from app.core.roles import acting_as
from app.core.settings import Settings
from app.geo.grid import build_grid
from app.geo.synthetic import TIMEZONE, synthetic_city
from app.incidents.service import ingest_file
from app.regions.service import add_region
from app.states.service import assimilate
from app.training.service import TrainingRequest, request_training
from app.worker.jobs import run_now
from benchmarks.cities import machine
from benchmarks.service.country_cost import Cost, Country, fit_cost, zipf_sizes
from benchmarks.service.ingest import fresh_home

N_REGIONS = int(os.environ.get("HOTSLOT_BENCH_REGIONS", "300"))
MAX_INCIDENTS = int(os.environ.get("HOTSLOT_BENCH_MAX_INCIDENTS", "2000000"))
MIN_INCIDENTS = 2_000
N_TRAININGS = int(os.environ.get("HOTSLOT_BENCH_TRAININGS", "12"))
N_CORES = len(os.sched_getaffinity(0))
N_DAYS = 156 * 7
MIN_NEW = 60
"""Of a day, so that the smallest regions have a new release too."""
N_GREEDY = 4
CELL_SIZES_M = ((0.1, 100.0), (0.5, 150.0), (1.0, 250.0))
"""Share of the regions by rank up to which cells are so large."""
SAY_EVERY_S = 15.0
LIMIT_S = 3_600.0
ENDED = ("succeeded", "failed", "cancelled")
_RUNS = text(
    """
    SELECT r.id AS region, t.status, t.message, t.peak_memory_bytes AS bytes,
           extract(epoch FROM t.started_at - t.created_at)::float8 AS waited_s,
           extract(epoch FROM t.finished_at - t.started_at)::float8 AS took_s
    FROM training_runs AS t JOIN regions AS r ON r.key = t.region_key
    WHERE t.created_at >= to_timestamp(:since)
    """
)
_LOAD = text(
    """
    SELECT xact_commit AS commits, blks_hit AS hits, blks_read AS reads, pg_database_size(datname) AS bytes,
           numbackends AS connections
    FROM pg_stat_database WHERE datname = current_database()
    """
)


@dataclass(frozen=True)
class Place:
    """A region to make."""

    id: str
    seed: int
    n_incidents: int
    cell_size_m: float


def main() -> None:
    """Load, bring up to date, train; ends with the `RESULT` line."""
    print(machine())
    with fresh_home() as home:
        engine = open_engine(Settings(home=home))
        migrate(engine)
        places = _places()
        n_rows = sum(place.n_incidents for place in places)
        empty = _load(engine)
        print(f"{N_REGIONS} regions, {n_rows:,} incidents", flush=True)
        load_s = _in_processes(partial(_fill, home), places, "regions loaded")
        loaded = _load(engine)
        incident_bytes = (loaded["bytes"] - empty["bytes"]) / n_rows
        print(f"loaded in {load_s:.0f} s, {incident_bytes:.0f} bytes an incident")
        _in_processes(partial(_first_version, home), places, "first versions")
        _in_processes(partial(_next_day, home, 0), places, "regions with a day more")
        states_s = _states(home, engine)
        sample = [places[i] for i in _sampled(len(places))]
        state_s = _time_states(home, engine, sample)
        before, runs, trainings_s = _trainings(home, engine, sample)
        after = _load(engine)
        country = _country(sample, state_s, runs, incident_bytes, after["bytes"] - before["bytes"])
        engine.dispose()
    _report(places, sample, runs, country, states_s, trainings_s)


def _places() -> list[Place]:
    sizes = zipf_sizes(N_REGIONS, MAX_INCIDENTS, MIN_INCIDENTS)
    return [
        Place(f"r{rank}", rank, int(n), _cell_size_m((rank + 1) / N_REGIONS))
        for rank, n in enumerate(sizes)
    ]


def _cell_size_m(share: float) -> float:
    return next(size for most, size in CELL_SIZES_M if share <= most)


def _sampled(n: int) -> list[int]:
    """Ranks from the largest to the smallest, evenly on a logarithmic scale."""
    return [int(rank) - 1 for rank in np.unique(np.geomspace(1, n, N_TRAININGS).round())]


def _in_processes(work: Callable[[Place], None], places: list[Place], what: str) -> float:
    """Do something with every region, the largest first, a process per core; returns the seconds."""
    started, said = time.perf_counter(), 0.0
    with multiprocessing.get_context("spawn").Pool(N_CORES) as pool:
        for n, _ in enumerate(pool.imap_unordered(work, places), 1):
            seconds = time.perf_counter() - started
            if seconds > said + SAY_EVERY_S or n == len(places):
                print(f"  {seconds:.0f} s: {n} of {len(places)} {what}", flush=True)
                said = seconds
    return time.perf_counter() - started


def _fill(home: Path, place: Place) -> None:
    settings = Settings(home=home)
    engine = open_engine(settings)
    area = synthetic_city().area.to_geojson()
    add_region(engine, place.id, timezone=TIMEZONE, boundary=area, cell_size_m=place.cell_size_m)
    frame = synthetic_city().draw(N_DAYS, 1.05 * place.n_incidents / N_DAYS + 0.2, seed=place.seed)
    keep = np.sort(np.random.default_rng(place.seed).permutation(len(frame))[: place.n_incidents])
    _ingest(engine, settings, place, frame.iloc[keep])
    engine.dispose()


def _next_day(home: Path, day: int, place: Place) -> None:
    settings = Settings(home=home)
    engine = open_engine(settings)
    per_day = 1.2 * max(MIN_NEW, place.n_incidents / N_DAYS)
    frame = synthetic_city().draw(1, per_day, seed=place.seed + 1_000 * (day + 1))
    frame["occurred_at"] += pd.Timedelta(days=N_DAYS + day)
    _ingest(engine, settings, place, frame)
    engine.dispose()


def _ingest(engine: Engine, settings: Settings, place: Place, frame: pd.DataFrame) -> None:
    path = settings.home / f"{place.id}.csv"
    second = frame["occurred_at"].dt.tz_localize(None).to_numpy().astype("datetime64[s]")
    frame = frame.assign(occurred_at=np.char.add(np.datetime_as_string(second), "Z"))
    pa_csv.write_csv(pa.Table.from_pandas(frame, preserve_index=False), path)
    ingest_file(engine, place.id, path, settings=settings)
    path.unlink()


def _first_version(home: Path, place: Place) -> None:
    settings = Settings(home=home, training_threads=1)
    engine = open_engine(settings)
    request = TrainingRequest("pooled-kde", validate=False)
    run = run_now(engine, settings, place.id, request, lambda *_: None)
    if run.status != "succeeded":
        raise RuntimeError(f"{place.id}: {run.message}")
    engine.dispose()


@contextmanager
def _workers(home: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """One worker per core, or as many as give all cores to slots."""
    slots = os.environ.get("HOTSLOT_WORKER_SLOTS", "1")
    n = max(1, N_CORES // int(slots)) if slots.isdigit() else 1
    environment = {**os.environ, "HOTSLOT_HOME": str(home), "HOTSLOT_TRAINING_THREADS": "1"}
    environment |= {"HOTSLOT_STATE_QUIET_S": "1", "HOTSLOT_LOG_LEVEL": "warning"}
    command = [sys.executable, "-m", "app.cli", "worker"]
    started = [subprocess.Popen(command, env=environment) for _ in range(n)]
    print(f"{n} workers of {slots} slots", flush=True)
    try:
        yield started
    finally:
        for one in started:
            one.terminate()
        for one in started:
            one.wait(60)


def _until(
    count: Callable[[], int], n: int, what: str, workers: list[subprocess.Popen[bytes]]
) -> float:
    """Wait until all are done; returns the seconds.

    Raises:
        RuntimeError: a worker has ended, or it takes too long.
    """
    started, said = time.perf_counter(), 0.0
    while (done := count()) < n:
        seconds = time.perf_counter() - started
        if seconds > LIMIT_S or any(one.poll() is not None for one in workers):
            raise RuntimeError(f"only {done} of {n} {what} after {seconds:.0f} s")
        if seconds > said + SAY_EVERY_S:
            print(f"  {seconds:.0f} s: {done} of {n} {what}", flush=True)
            said = seconds
        time.sleep(0.5)
    return time.perf_counter() - started


def _states(home: Path, engine: Engine) -> float:
    """Seconds until the workers have brought all regions up to date."""

    def count() -> int:
        with engine.connect() as connection:
            query = text("SELECT count(DISTINCT region_key) FROM forecast_states")
            return int(connection.execute(query).scalar_one())

    with _workers(home) as workers:
        seconds = _until(count, N_REGIONS, "states", workers)
    print(
        f"states of all: {seconds:.0f} s, {N_REGIONS / seconds * 3600 / N_CORES:,.0f} an hour and core"
    )
    return seconds


def _time_states(home: Path, engine: Engine, sample: list[Place]) -> list[float]:
    """Seconds of the next state of sampled regions, each alone in this process."""
    _in_processes(partial(_next_day, home, 1), sample, "regions with another day")
    seconds = []
    for place in sample:
        started = time.perf_counter()
        _, state = assimilate(engine, place.id)
        seconds.append(time.perf_counter() - started)
        if state is None or state.number <= N_REGIONS:
            raise RuntimeError(f"{place.id} has no new state")
    return seconds


def _trainings(
    home: Path, engine: Engine, sample: list[Place]
) -> tuple[dict[str, float], pd.DataFrame, float]:
    """Database load before, the runs, and seconds until all had ended."""
    before, since = _load(engine), time.time()
    asked = [sample[-1]] * N_GREEDY + sample[:-2]
    settings = Settings(home=home)

    def runs() -> pd.DataFrame:
        with engine.connect() as connection:
            return pd.read_sql(_RUNS, connection, params={"since": since - 1})

    for caller, places in (("many", asked), ("another", sample[-2:-1])):
        with acting_as(caller):
            for place in places:
                request_training(engine, settings, place.id, TrainingRequest())
    with _workers(home) as workers:
        seconds = _until(
            lambda: int(runs()["status"].isin(ENDED).sum()), len(asked) + 1, "trainings", workers
        )
        _print_load(before, _load(engine), seconds)
    return before, runs(), seconds


def _print_load(before: dict[str, float], after: dict[str, float], seconds: float) -> None:
    change = {name: after[name] - before[name] for name in after}
    asked = change["hits"] + change["reads"]
    print(
        f"database: {change['commits'] / seconds:.1f} transactions a second, {change['hits'] / asked:.1%} of "
        f"{asked * 8 / 2**20:.1f} GB from its cache, {after['connections']:.0f} connections, "
        f"grown by {change['bytes'] / 2**20:.0f} MB"
    )


def _load(engine: Engine) -> dict[str, float]:
    with engine.connect() as connection:
        return {key: float(n) for key, n in connection.execute(_LOAD).one()._mapping.items()}


def _country(
    sample: list[Place],
    state_s: list[float],
    runs: pd.DataFrame,
    incident_bytes: float,
    grown_bytes: float,
) -> Country:
    n = [float(place.n_incidents) for place in sample]
    cells = [float(_n_cells(place)) for place in sample]
    ended = runs[runs["status"] == "succeeded"].groupby("region")[["took_s", "bytes"]].median()
    ended = ended.reindex([place.id for place in sample]).dropna()
    of = {place.id: (a, b) for place, a, b in zip(sample, n, cells, strict=True)}
    sizes = [of[region] for region in ended.index]
    n_trained, cells_trained = [a for a, _ in sizes], [b for _, b in sizes]
    grown_per_cell = grown_bytes / sum(of[region][1] for region in runs["region"])
    return Country(
        fit_cost(n, cells, state_s),
        fit_cost(n_trained, cells_trained, ended["took_s"].tolist()),
        fit_cost(n_trained, cells_trained, ended["bytes"].tolist()),
        incident_bytes,
        Cost(0.0, 0.0, grown_per_cell, 0.0),
    )


def _n_cells(place: Place) -> int:
    return len(build_grid(synthetic_city().area, place.cell_size_m))


def _report(
    places: list[Place],
    sample: list[Place],
    runs: pd.DataFrame,
    country: Country,
    states_s: float,
    trainings_s: float,
) -> None:
    for place in sample:
        own = runs[runs["region"] == place.id]
        print(
            f"  {place.id}: {place.n_incidents:,} incidents, {_n_cells(place):,} cells: "
            f"{own['took_s'].median():.0f} s, {own['bytes'].max() / 2**20:.0f} MB, "
            f"waited {own['waited_s'].min():.0f} s"
        )
    for name, cost in (("state", country.state_s), ("training", country.training_s)):
        print(
            f"a {name}: {cost.base:.2f} s + {cost.incident * 1e6:.2f} s a million incidents + "
            f"{cost.cell * 1e3:.2f} s a thousand cells (median deviation {cost.error:.0%})"
        )
    memory = country.training_bytes
    print(
        f"memory of a training: {memory.base / 2**20:.0f} MB + {memory.incident * 1e6 / 2**20:.0f} MB "
        f"a million incidents + {memory.cell * 1e3 / 2**20:.0f} MB a thousand cells ({memory.error:.0%})"
    )
    all_s = sum(country.training_s.of(one.n_incidents, _n_cells(one)) for one in places)
    print(f"trainings of all {N_REGIONS}, computed from these: {all_s / 3600:.2f} hours of a core")
    greedy = runs["region"] == sample[-1].id
    another = runs["region"] == sample[-2].id
    single = runs[~greedy & ~another]["waited_s"]
    print(country.table())
    n_jobs = N_REGIONS + len(runs)
    print(
        f"RESULT country regions={N_REGIONS} incidents={sum(one.n_incidents for one in places)} "
        f"failed={int((runs['status'] != 'succeeded').sum())} "
        f"jobs_per_core_hour={n_jobs / ((states_s + trainings_s) * N_CORES / 3600):.0f} "
        f"states_per_core_hour={N_REGIONS / (states_s * N_CORES / 3600):.0f} states_s={states_s:.0f} "
        f"trainings={len(runs)} slowest_s={runs['took_s'].max():.0f} "
        f"all_trainings_core_h={all_s / 3600:.2f} "
        f"single_median_wait_s={single.median():.0f} single_longest_wait_s={single.max():.0f} "
        f"greedy_last_wait_s={runs[greedy]['waited_s'].max():.0f} "
        f"another_caller_wait_s={runs[another]['waited_s'].max():.0f} elapsed_s={trainings_s:.0f}"
    )
