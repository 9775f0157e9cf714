"""What a city of so many incidents takes: memory of the API, memory and time of a training, disk.

HOTSLOT_BENCH_ROWS=100000, 1000000 (the default), 10000000 are rows of the table "Sizes" in
docs/deployment.md; the last lines are the cells of one of them.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from app.geo.grid import build_grid
from app.geo.synthetic import synthetic_city
from benchmarks.cities import machine
from benchmarks.service.ingest import (
    N_ROWS,
    REGION,
    csv_of_rows,
    fresh_store,
    ingest_in_a_process,
)
from tests.support.services.processes import peak_memory_mb
from tests.support.services.service import Service

MODEL = "stack"
N_WINDOWS = 168
CELL_SIZE_M = 100.0
"""The smallest: the synthetic city is small, and memory and time go with the number of cells."""


def main() -> None:
    """Ingest, train in a process of its own, serve all hours; ends with the `RESULT` line."""
    print(machine())
    n_cells = len(build_grid(synthetic_city().area, CELL_SIZE_M))
    with fresh_store(CELL_SIZE_M) as (home, engine, _):
        sizes_mb = [_database_mb(engine)]
        loaded = ingest_in_a_process(home, csv_of_rows(home))
        sizes_mb.append(_database_mb(engine))
        trained = _train(home)
        sizes_mb.append(_database_mb(engine))
        engine.dispose()
        idle_mb, serving_mb = _serve(home)
    data_mb, version_mb = sizes_mb[1] - sizes_mb[0], sizes_mb[2] - sizes_mb[1]
    print(f"{N_ROWS:,} rows in {loaded['seconds']:.0f} s")
    print(
        f"| any, {n_cells:,} cells | {N_ROWS:,} | {serving_mb - idle_mb:.0f} MB beside {idle_mb:.0f} MB idle "
        f"| {trained['seconds']:.0f} s | {trained['peak_mb']:.0f} MB "
        f"| {data_mb:.0f} MB, and {version_mb:.0f} MB a version |"
    )
    print(
        f"RESULT sizing rows={N_ROWS} cells={n_cells} "
        f"api_idle_mb={idle_mb:.0f} api_region_mb={serving_mb - idle_mb:.0f} "
        f"train_s={trained['seconds']:.1f} train_peak_mb={trained['peak_mb']:.0f} "
        f"data_mb={data_mb:.0f} version_mb={version_mb:.1f}"
    )


def _database_mb(engine: Engine) -> float:
    with engine.connect() as connection:
        size = connection.scalar(text("SELECT pg_database_size(current_database())"))
    return int(size or 0) / 2**20


def _train(home: Path) -> dict[str, Any]:
    """Seconds and largest resident size of `hotslot train`, from start to end of its process."""
    command = [sys.executable, "-m", "app.cli", "train", REGION, "--model", MODEL, "--json"]
    started = time.perf_counter()
    with (home / "train.json").open("wb") as out:
        pid = os.posix_spawn(
            sys.executable,
            command,
            {**os.environ, "HOTSLOT_HOME": str(home)},
            file_actions=[(os.POSIX_SPAWN_DUP2, out.fileno(), 1)],
        )
        _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - started
    run = json.loads((home / "train.json").read_text())
    if status or run["status"] != "succeeded":
        raise RuntimeError(f"training {run['status']}: {run['message']}")
    return {"seconds": seconds, "peak_mb": usage.ru_maxrss / 1024}


def _serve(home: Path) -> tuple[float, float]:
    """Largest resident size of an API process in MB: started, and after a forecast of every hour."""
    service = Service(home, workers=0)
    service.start()
    try:
        pid = service.api_pid()
        idle_mb = peak_memory_mb(pid)
        for window in range(N_WINDOWS):
            path = f"/v1/regions/{REGION}/forecasts/density?window={window}"
            service.call("GET", path).raise_for_status()
        return idle_mb, peak_memory_mb(pid)
    finally:
        service.stop()
        service.client.close()
