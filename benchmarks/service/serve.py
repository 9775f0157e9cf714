"""Toronto's forecasts over HTTP: throughput beside a bare route, first requests, memory of 5 regions.

Both sides are uvicorn with 2 processes on loopback, asked by one load generator over 32 connections,
each reply in turn from hotslot and from the bare route, median of three rounds. Without a registry (or
`HOTSLOT_BENCH_DATA=synthetic`) the synthetic city stands in and says so.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
from sqlalchemy import Engine

from app.cli.demo_data import DemoData, prepare
from app.core.db.engine import open_engine
from app.core.db.schema import migrate
from app.core.errors import Unavailable
from app.core.settings import Settings
from app.fitting.data import load_training_data
from app.incidents.service import ingest_file
from app.regions.service import add_region
from app.regions.store import get_region
from app.training.service import TrainingRequest
from app.worker.jobs import run_now
from benchmarks.cities import machine
from benchmarks.service.load import load
from tests.support.services.processes import processes_of
from tests.support.services.service import free_port, remove_home

CONNECTIONS = 32
PROCESSES = 2
ROUNDS = 3
ROUND_S = 4.0
N_REGIONS = 5
WINDOW = 119
PATHS = {
    "density": f"density?window={WINDOW}",
    "hotspots": f"hotspots?window={WINDOW}",
    "samples": f"samples?window={WINDOW}&n=1000&seed=1",
}
DOWNTOWN = "-79.41,43.63,-79.36,43.68"
WEEKS: dict[str, tuple[str, dict[str, str]]] = {
    "totals": ("series", {}),
    "cells": ("density", {}),
    "hotspots": ("hotspots", {"top": "5"}),
    "box": ("series", {"cells": "true", "bbox": DOWNTOWN}),
    "all": ("series", {"cells": "true"}),
}
"""How a week is asked for: the series of its totals; sums by cell; hotspots; every slot of some cells
and of all."""


def main() -> None:
    """Run all parts; ends with the `RESULT` line."""
    print(machine())
    home = Path(tempfile.mkdtemp(prefix="hotslot-serve-"))
    try:
        data = _prepared(home)
        engine = open_engine(Settings(home=home))
        migrate(engine)
        regions = [f"{data.region}-{i}" for i in range(N_REGIONS)]
        _fill(engine, Settings(home=home), data, regions)
        kernel_s = _kernel_density_s(engine, regions[0])
        found = _measured(home, regions, kernel_s)
        engine.dispose()
    finally:
        remove_home(home)
    print("RESULT serve " + " ".join(f"{name}={value:.3g}" for name, value in found.items()))


def _prepared(home: Path) -> DemoData:
    try:
        return prepare(os.environ.get("HOTSLOT_BENCH_DATA", "toronto"), home / "cache")
    except Unavailable as error:
        print(f"{error.message}: the synthetic city instead")
        return prepare("synthetic", home / "cache")


def _fill(engine: Engine, settings: Settings, data: DemoData, regions: list[str]) -> None:
    """Give every region the incidents and a `maf`; the first also a second version of it."""
    for region in regions:
        add_region(engine, region, timezone=data.timezone, boundary=data.boundary)
        ingest_file(engine, region, data.path, settings=settings)
    for region, model in [(regions[0], "pooled-kde"), *((r, "maf") for r in regions)]:
        request = TrainingRequest(model=model, seed=0, validate=False)
        run = run_now(engine, settings, region, request, lambda *_: None)
        if run.status != "succeeded":
            raise RuntimeError(f"{region}: {run.message}")


def _kernel_density_s(engine: Engine, region: str) -> float:
    """Seconds to evaluate scikit-learn's KernelDensity of one window's incidents on the grid."""
    from sklearn.neighbors import KernelDensity

    with engine.connect() as connection:
        key = get_region(connection, region).key
    data = load_training_data(engine, key)
    mine = data.incidents.take(data.incidents.window == WINDOW)
    points = np.column_stack([mine.x_m, mine.y_m]).astype(np.float64)
    density = KernelDensity(bandwidth=300.0).fit(points)
    grid = data.grid
    half = 0.5 * grid.cell_size_m
    centres = np.column_stack(
        [
            grid.x0_m + grid.ix * grid.cell_size_m + half,
            grid.y0_m + grid.iy * grid.cell_size_m + half,
        ]
    )
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        density.score_samples(centres)
        seconds.append(time.perf_counter() - started)
    print(f"{region}: {len(centres):,} cells, {len(points):,} incidents in window {WINDOW}")
    return statistics.median(seconds)


def _measured(home: Path, regions: list[str], kernel_s: float) -> dict[str, float]:
    environment = {"HOTSLOT_HOME": str(home)}
    command = ["-m", "app.cli", "serve", "--workers", "0", "--processes", str(PROCESSES)]
    with server(command, environment, "/readyz") as port:
        idle_mb = _api_memory_mb(home)
        client = httpx.Client(base_url=f"http://127.0.0.1:{port}/v1/regions", timeout=60.0)
        first_ms = _first_requests(client, regions[0])
        week_s = _week_s(client, regions[0])
        shares = _throughput(home, client, port, regions[0])
        warm_s = _warm_s(client, regions[0])
        for region in regions:
            for window in range(168):
                client.get(f"/{region}/forecasts/density?window={window}").raise_for_status()
        grown_mb = _api_memory_mb(home) - idle_mb
        client.close()
    print(
        f"first request of a window after a new version: {first_ms:.0f} ms (slowest of 20)\n"
        f"week of 168 slots, slowest reply: {max(week_s.values()):.2f} s\n"
        f"KernelDensity on the grid {1000 * kernel_s:.0f} ms, warm density reply "
        f"{1000 * warm_s:.2f} ms: {kernel_s / warm_s:.0f} times\n"
        f"API process that served every window of {N_REGIONS} regions: +{grown_mb:.0f} MB over idle"
    )
    return {
        **{f"{name}_share": share for name, share in shares.items()},
        "first_ms": first_ms,
        "week_s": max(week_s.values()),
        **{f"week_{name}_s": seconds for name, seconds in week_s.items()},
        "kernel_ratio": kernel_s / warm_s,
        "grown_mb": grown_mb,
    }


@contextmanager
def server(arguments: list[str], environment: dict[str, str], ready: str) -> Iterator[int]:
    """A Python process that serves on a free port, until the block ends."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, *arguments, "--port", str(port)],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while not _answers(port, ready):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{arguments} did not start")
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def _answers(port: int, path: str) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}{path}").status_code < 500
    except httpx.TransportError:
        return False


def _api_memory_mb(home: Path) -> float:
    """Largest private memory (MB) of a process that serves; pages shared by all count by share."""
    sizes = []
    for pid in processes_of(home):
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        sizes.append(next(int(r.split()[1]) for r in rollup.splitlines() if r.startswith("Pss:")))
    return max(sizes) / 1024


def _first_requests(client: httpx.Client, region: str) -> float:
    """Slowest of 20 windows' first requests, in ms, just after another version was promoted."""
    versions = client.get(f"/{region}/models").json()["models"]
    older = next(v["version"] for v in versions if v["model"] == "pooled-kde")
    newer = next(v["version"] for v in versions if v["model"] == "maf")
    waits = []
    for version in (older, newer):
        client.post(f"/{region}/models/{version}/promote").raise_for_status()
        time.sleep(1.0)  # the other process asks for the champion by itself
        for window in range(0, 168, 17):
            started = time.perf_counter()
            reply = client.get(f"/{region}/forecasts/density?window={window}").raise_for_status()
            waits.append(time.perf_counter() - started)
            if reply.headers["X-Hotslot-Model-Version"] != version:
                raise RuntimeError("a reply of the former version")
    return 1000 * max(waits)


def _week_s(client: httpx.Client, region: str) -> dict[str, float]:
    """Seconds of the week's replies: totals, sums by cell, hotspots, and every slot's cells."""
    found = {}
    for name, (path, more) in WEEKS.items():
        started = time.perf_counter()
        params = {"from": "2022-02-07T00:00", "to": "2022-02-14T00:00", **more}
        reply = client.get(f"/{region}/forecasts/{path}", params=params).raise_for_status()
        found[name] = time.perf_counter() - started
        body = reply.json()
        n_slots = len(body["slots"]) if path == "series" else body["n_slots"]
        if n_slots != 168:
            raise RuntimeError(f"{n_slots} slots")
        sent_mb = int(reply.headers["Content-Length"]) / 2**20
        print(f"week, {name}: {found[name]:.2f} s, {sent_mb:.2f} MB as sent", flush=True)
    return found


def _warm_s(client: httpx.Client, region: str) -> float:
    waits = []
    for _ in range(50):
        started = time.perf_counter()
        client.get(f"/{region}/forecasts/{PATHS['density']}").raise_for_status()
        waits.append(time.perf_counter() - started)
    return statistics.median(waits)


def _throughput(home: Path, client: httpx.Client, port: int, region: str) -> dict[str, float]:
    """Requests per second of each reply beside those of the bare route with the same bytes."""
    bodies = home / "bodies"
    bodies.mkdir()
    for name, path in PATHS.items():
        reply = client.get(f"/{region}/forecasts/{path}", headers={"Accept-Encoding": "identity"})
        (bodies / f"{name}.json").write_bytes(reply.raise_for_status().content)
    bare = ["-m", "uvicorn", "benchmarks.service.serve_bare:app", "--workers", str(PROCESSES)]
    shares = {}
    with server(bare, {"HOTSLOT_BENCH_BODIES": str(bodies)}, "/density") as bare_port:
        for name, path in PATHS.items():
            rounds = [
                (
                    _rate(port, f"/v1/regions/{region}/forecasts/{path}"),
                    _rate(bare_port, f"/{name}"),
                )
                for _ in range(ROUNDS)
            ]
            shares[name] = statistics.median(own / other for own, other in rounds)
            own, other = (statistics.median(side) for side in zip(*rounds, strict=True))
            size_kb = (bodies / f"{name}.json").stat().st_size / 1024
            print(
                f"{name} ({size_kb:,.0f} KB): {own:,.0f} replies/s, bare route {other:,.0f}: "
                f"{100 * shares[name]:.0f} %",
                flush=True,
            )
    return shares


def _rate(port: int, path: str) -> float:
    measured = load(port, path, CONNECTIONS, ROUND_S)
    if measured.n_failed:
        raise RuntimeError(f"{measured.n_failed} requests of {path} failed")
    return measured.per_s
