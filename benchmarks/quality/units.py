"""What it costs to keep a backtest's fits in the database, and what a second worker brings.

St. Louis, 4 models x 4 origins: in turn by one process tree that keeps its fits in files, as
`hotslot backtest` does, and as a worker does; then by workers with one process each, one and two of them.
`HOTSLOT_BENCH_REPEATS` changes the number of turns. Processor time counts beside wall time, since the machine
may be shared.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from app.core.db.engine import open_engine
from app.core.db.schema import migrate
from app.core.settings import Settings
from app.evaluation.backtests.request import BacktestRequest
from app.evaluation.backtests.service import request_backtest
from app.incidents.service import ingest_file
from app.regions.service import add_region
from app.runs.store import Run, claim_run
from app.worker.jobs import run_claimed, run_now
from benchmarks.cities import DATA, FILES, machine
from tests.support.services.service import remove_home

CITY = "st-louis"
REQUEST = BacktestRequest(("pooled-kde", "multi-kde", "window-kde", "cox"), n_origins=4)
CHANGING = ("seconds", "created_at", "provenance")
REPEATS = int(os.environ.get("HOTSLOT_BENCH_REPEATS", "3"))


def main() -> None:
    """Print the times and the RESULT line."""
    home = Path(tempfile.mkdtemp(prefix="hotslot-bench-"))
    settings = Settings(home=home)
    engine = open_engine(settings)
    try:
        migrate(engine)
        _add_city(engine, settings)
        _report(engine, settings)
    finally:
        engine.dispose()
        remove_home(home)


def _report(engine: Engine, settings: Settings) -> None:
    ways: dict[str, Callable[[], Run]] = {
        "local": lambda: run_now(engine, settings, CITY, REQUEST, lambda *_: None),
        "units": lambda: _shared(engine, settings, helps=False),
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    results = set()
    for _ in range(REPEATS):
        for name, way in ways.items():
            wall_s, cpu_s, result = _timed(way)
            times[name].append((wall_s, cpu_s))
            results.add(result)
            print(f"{name}: {wall_s:.1f} s, processors {cpu_s:.1f} s", flush=True)
    one_each = settings.model_copy(update={"backtest_processes": 1})
    one = _timed(lambda: _shared(engine, one_each, helps=False))
    both = _timed(lambda: _shared(engine, one_each, helps=True))
    results |= {one[2], both[2]}
    wall, cpu = (
        {n: statistics.median(t[k] for t in ts) for n, ts in times.items()} for k in (0, 1)
    )
    print(machine())
    print(
        f"RESULT units local_s={wall['local']:.1f} units_s={wall['units']:.1f} "
        f"wall_ratio={wall['units'] / wall['local']:.3f} cpu_ratio={cpu['units'] / cpu['local']:.3f} "
        f"one_process_s={one[0]:.1f} two_workers_s={both[0]:.1f} speed_up={one[0] / both[0]:.2f} "
        f"different_results={len(results) - 1}"
    )


def _add_city(engine: Engine, settings: Settings) -> None:
    file, timezone = FILES[CITY]
    boundary = json.loads((DATA / "boundaries" / f"{CITY}.geojson").read_text())
    add_region(engine, CITY, timezone=timezone, boundary=boundary, cell_size_m=250.0)
    ingest_file(engine, CITY, DATA / file, settings=settings)


def _timed(way: Callable[[], Run]) -> tuple[float, float, str]:
    """Return seconds of wall time and of processors, and what of the result no clock changes."""
    started, before = time.perf_counter(), _processors_s()
    run = way()
    wall_s, cpu_s = time.perf_counter() - started, _processors_s() - before
    if run.status != "succeeded":
        raise RuntimeError(f"{run.status}: {run.message}")
    return wall_s, cpu_s, json.dumps(_lasting(run.result), sort_keys=True)


def _processors_s() -> float:
    """Processor time of this process and of those that it has waited for."""
    found = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in found)


def _shared(engine: Engine, settings: Settings, helps: bool) -> Run:
    """Run a backtest as a worker does; another one of one process may help."""
    asked = request_backtest(engine, settings, CITY, REQUEST)
    with engine.begin() as connection:
        run = claim_run(connection, "backtest", asked.id)
        connection.execute(text("DELETE FROM procrastinate_jobs"))
    if run is None:
        raise RuntimeError("somebody else took the run")
    with ExitStack() as stack:

        def watch(share: float, _message: str) -> None:
            if helps and share == 0 and not helpers:
                helpers.append(stack.enter_context(_helper(settings, run)))

        helpers: list[subprocess.Popen[bytes]] = []
        return run_claimed(engine, settings, "backtest", run, watch)


def _helper(settings: Settings, run: Run) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "app.worker.run_process", "help", f"{run.id},1"]
    own = {"HOTSLOT_HOME": str(settings.home), "HOTSLOT_BACKTEST_PROCESSES": "1"}
    return subprocess.Popen(command, env={**os.environ, **own})


def _lasting(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _lasting(v) for k, v in value.items() if k not in CHANGING}
    return [_lasting(one) for one in value] if isinstance(value, list) else value
