"""Readers of many regions: hotspots of 300 regions by 1,000 readers, from 2 API processes.

Each reader is a connection that asks for the hotspots of one region at an hour of the coming day, waits for
the reply, and thinks for a random time (exponential, HOTSLOT_BENCH_THINK_S on average) before the next. So
the load is closed: 1,000 readers who think 20 s send at most 50 requests a second. Readers and service
share the machine's cores. The regions have three trained versions between them, copied through the registry,
so nothing is shared by two regions but the bytes of artifacts and grids.

Both sides run one after the other on one database: each process alone, and replies shared in files. Cold are
first requests of regions after a start: in the shared side once with an empty folder, and once more after a
second start, of another hour: a process that has not loaded the region, on a machine that has served it. For
HOTSLOT_BENCH_WARM_S (60) both processes then load all regions, which is told apart (`warm_p99_ms`). At
the end one more caller floods one region with different cell sizes and hours from 8 connections.
"""

from __future__ import annotations

import asyncio
import os
import re
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

import httpx
import numpy as np
from sqlalchemy import Engine

from app.core.db.engine import open_engine
from app.core.db.schema import migrate
from app.core.settings import Settings
from app.forecasts.warmup import N_NEWEST
from app.geo.synthetic import TIMEZONE, synthetic_city
from app.http.protocol import allow_connections
from app.incidents.service import ingest_file
from app.regions.service import add_region
from app.registry.champions import promote
from app.registry.store import (
    ALL_CATEGORIES,
    NewVersion,
    VersionRecord,
    category_codes,
    get_version,
    read_probabilities,
)
from app.registry.version_registration import register_version
from app.training.service import TrainingRequest
from app.worker.jobs import run_now
from benchmarks.cities import machine
from benchmarks.service.ingest import fresh_home
from benchmarks.service.reading import BASE_WINDOW, N_HOURS, Readers, path_of, region_of
from tests.support.services.service import API, Service

N_READERS = int(os.environ.get("HOTSLOT_BENCH_READERS", "1000"))
N_REGIONS = int(os.environ.get("HOTSLOT_BENCH_REGIONS", "300"))
THINK_S = float(os.environ.get("HOTSLOT_BENCH_THINK_S", "20"))
WARM_S = float(os.environ.get("HOTSLOT_BENCH_WARM_S", "60"))
SECONDS = float(os.environ.get("HOTSLOT_BENCH_SECONDS", "120"))
PROCESSES = 2
MODEL = "stack"
CELL_SIZES_M = (150.0, 200.0, 250.0)
"""Of the three versions that are trained: 2,835 cells, 1,575 and 1,008."""
N_INCIDENTS_PER_DAY, DAYS = 20, 365
N_COLD = 60
"""Regions that are asked for the first time before the load starts."""
N_FLOODS = 8
_READERS = Readers(N_READERS, N_REGIONS, THINK_S)
FLOOD_SECONDS = SECONDS / 4
_ORIGIN = re.compile(rb'hotslot_forecast_replies_total\{origin="(\w+)"\} ([0-9.e+]+)')


def main() -> None:
    """Fill the regions once, measure both sides; ends with the `RESULT` line."""
    print(machine())
    allow_connections()
    with fresh_home() as home:
        started = time.perf_counter()
        _fill(home)
        print(f"{N_REGIONS} regions made in {time.perf_counter() - started:.0f} s", flush=True)
        sides = {"alone": _side(home, 0), "shared": _side(home, 256 << 20)}
    for name, side in sides.items():
        print(f"{name}: {side}")
    it = sides["shared"]
    print(
        f"RESULT readers readers={N_READERS} regions={N_REGIONS} p50_ms={it.p50_ms:.0f} "
        f"p99_ms={it.p99_ms:.0f} warm_p99_ms={it.warm_p99_ms:.0f} "
        f"cold_ms={it.cold_ms:.0f} cold_worst_ms={it.cold_worst_ms:.0f} "
        f"first_ms={it.first_ms:.0f} first_worst_ms={it.first_worst_ms:.0f} "
        f"rss_mb={it.end_mb:.0f} start_mb={it.start_mb:.0f} shared_share={it.shared_share:.3f} "
        f"failed={it.n_failed} flood_ratio={it.flooded_p99_ms / it.p99_ms:.2f} "
        f"alone_p99_ms={sides['alone'].p99_ms:.0f} alone_rss_mb={sides['alone'].end_mb:.0f}"
    )


def _fill(home: Path) -> None:
    """Train three versions, and register and promote each for a third of the regions."""
    settings = Settings(home=home)
    engine = open_engine(settings)
    migrate(engine)
    boundary = synthetic_city().area.to_geojson()
    path = home / "rows.csv"
    frame = synthetic_city().draw(DAYS, N_INCIDENTS_PER_DAY, seed=0)
    frame.to_csv(path, index=False)
    made = []
    for place in range(N_REGIONS):
        size_m = CELL_SIZES_M[place % len(CELL_SIZES_M)]
        region = add_region(
            engine, region_of(place), timezone=TIMEZONE, boundary=boundary, cell_size_m=size_m
        )
        if place < len(CELL_SIZES_M):
            ingest_file(engine, region.id, path, settings=settings)
            request = TrainingRequest(model=MODEL, seed=0, validate=False)
            run = run_now(engine, settings, region.id, request, lambda *_: None)
            if run.status != "succeeded":
                raise RuntimeError(f"{region.id}: {run.message}")
            made.append(_Trained.read(engine, region.key))
        else:
            made[place % len(made)].register(engine, region.key)
    engine.dispose()


@dataclass(frozen=True)
class _Trained:
    """A version and its tables by code of the category."""

    record: VersionRecord
    tables: dict[int, np.ndarray]

    @classmethod
    def read(cls, engine: Engine, region_key: int) -> _Trained:
        with engine.connect() as connection:
            record = get_version(connection, region_key)
            place = connection, region_key, record.version
            tables = {
                code: read_probabilities(
                    *place, code, range(168 if code == ALL_CATEGORIES else 2)
                ).astype(np.float64)
                for code in category_codes(*place)
            }
        return cls(record, tables)

    def register(self, engine: Engine, region_key: int) -> None:
        with engine.begin() as connection:
            values = {one.name: getattr(self.record, one.name) for one in fields(NewVersion)}
            new = NewVersion(**{**values, "region_key": region_key, "run_id": None})
            version = register_version(connection, new, self.tables).version
            promote(connection, region_key, version, "copied by the benchmark")


@dataclass
class _Side:
    """What one side gave."""

    start_mb: float = 0.0
    end_mb: float = 0.0
    first_ms: float = 0.0
    first_worst_ms: float = 0.0
    cold_ms: float = 0.0
    cold_worst_ms: float = 0.0
    warm_p99_ms: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    per_s: float = 0.0
    n_failed: int = 0
    shared_share: float = 0.0
    """Of the replies that were not in the process's own memory."""
    memory_share: float = 0.0
    flooded_p99_ms: float = 0.0
    flood_per_s: float = 0.0


def _side(home: Path, shared_bytes: int) -> _Side:
    found = _Side()
    with _serving(home, shared_bytes) as service:
        cold = _cold_ms(service, BASE_WINDOW)
        found.first_ms, found.first_worst_ms = statistics.median(cold), max(cold)
    with _serving(home, shared_bytes) as service:
        found.start_mb = _memory_mb(service)
        cold = _cold_ms(service, BASE_WINDOW + N_HOURS)
        found.cold_ms, found.cold_worst_ms = statistics.median(cold), max(cold)
        warm = asyncio.run(_READERS.read(service.port, WARM_S, seed=0))
        found.warm_p99_ms = warm.quantile_ms(0.99)
        before = _origins(service)
        load = asyncio.run(_READERS.read(service.port, SECONDS, seed=1))
        counts = _origins(service) - before
        found.p50_ms, found.p99_ms = load.quantile_ms(0.5), load.quantile_ms(0.99)
        found.per_s, found.n_failed = len(load.waits_s) / SECONDS, warm.n_failed + load.n_failed
        found.memory_share = counts["memory"] / max(counts.total(), 1)
        found.shared_share = counts["shared"] / max(counts["shared"] + counts["made"], 1)
        flooded = asyncio.run(_READERS.read(service.port, FLOOD_SECONDS, seed=2, n_floods=N_FLOODS))
        found.flooded_p99_ms = flooded.quantile_ms(0.99)
        found.flood_per_s = flooded.n_floods / FLOOD_SECONDS
        found.n_failed += flooded.n_failed
        found.end_mb = _memory_mb(service)
    return found


@contextmanager
def _serving(home: Path, shared_bytes: int) -> Iterator[Service]:
    # Every reader has the address of this machine and none a key: no limit by caller.
    environment = {
        "HOTSLOT_SHARED_CACHE_BYTES": str(shared_bytes),
        "HOTSLOT_DISK_RESERVE_BYTES": "0",
        "HOTSLOT_MAX_CONCURRENT_REQUESTS": str(max(64, N_READERS)),
    }
    service = Service(home, workers=0, environment=environment, processes=PROCESSES)
    service.start()
    try:
        yield service
    finally:
        service.stop()
        service.client.close()


def _memory_mb(service: Service) -> float:
    """Private memory of the API processes together; pages that they share count by share."""
    total_kb = 0
    for pid in service.pids(API):
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        total_kb += next(int(r.split()[1]) for r in rollup.splitlines() if r.startswith("Pss:"))
    return total_kb / 1024


def _cold_ms(service: Service, window: int) -> list[float]:
    """Milliseconds of the first hotspots requests of regions that no process of the service has loaded."""
    waits = []
    last = N_REGIONS - N_NEWEST  # every process has loaded the newest champions
    for place in range(max(1, last - N_COLD), last):
        started = time.perf_counter()
        service.call("GET", path_of(place, window)).raise_for_status()
        waits.append(1000 * (time.perf_counter() - started))
    return waits


def _origins(service: Service) -> Counter[str]:
    """How many replies came from where, of all processes, which are told apart by these numbers.

    Many connections at once reach each process, and nothing else is asked meanwhile.
    """

    def counts(_: int) -> tuple[tuple[bytes, bytes], ...]:
        url = f"http://127.0.0.1:{service.port}/metrics"
        return tuple(sorted(_ORIGIN.findall(httpx.get(url, timeout=60.0).content)))

    with ThreadPoolExecutor(8) as pool:
        seen = set(pool.map(counts, range(24)))
    total: Counter[str] = Counter()
    for one in seen:
        total.update({name.decode(): int(float(number)) for name, number in one})
    return total
