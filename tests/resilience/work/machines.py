"""Two API machines, four worker machines and a database machine; all but the API are killed at will.

`python -m tests.resilience.work.machines N` acts it out with N regions, inside a network namespace.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx
from procrastinate import App, PsycopgConnector

from app.core.devserver.server import ensure_running
from tests.resilience.drill import Drill, repeats
from tests.resilience.network import Hub, Machine, in_own_network
from tests.support.services.service import remove_home
from tests.support.uploads import batch

MODEL = "multi-kde"
ALL_DONE_S = 900.0
KILL_EVERY_S = (4.0, 9.0)
DATABASE_SHARE = 0.2
JOB_S = 0.005
N_WORKERS, N_PROCESSES = 32, 4


class Fleet:
    """The machines, and an API client that goes round between the two API machines."""

    def __init__(self) -> None:
        self.hub = Hub()
        lease = {"HOTSLOT_JOB_HEARTBEAT_S": "1", "HOTSLOT_JOB_STALLED_S": "8"}
        self.environment = {"HOTSLOT_DATABASE_URL": Hub.url(), **lease}
        self._once(["migrate"])
        self.key = (
            self._once(["key", "create", "drill", "--role", "admin"]).splitlines()[-1].strip()
        )
        hotslot = [sys.executable, "-m", "app.cli"]
        self.apis = [
            self._machine(
                f"a{n}",
                [*hotslot, "serve", "--host", f"10.213.0.{10 + n}", "--workers", "0"],
                10 + n,
            )
            for n in range(2)
        ]
        self.workers = [self._machine(f"w{n}", [*hotslot, "worker"], 20 + n) for n in range(4)]
        for api in self.apis:
            api.start()

    def _machine(self, name: str, command: list[str], number: int) -> Machine:
        made = Machine(name, f"10.213.0.{number}", command, self.environment)
        made.connect_to_hub()
        return made

    def _once(self, arguments: list[str]) -> str:
        return subprocess.run(
            [sys.executable, "-m", "app.cli", *arguments],
            env={**os.environ, **self.environment},
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    def call(self, method: str, path: str, **options: object) -> httpx.Response:
        """One request to either API machine, repeated while the database is away."""
        headers = {"X-API-Key": self.key, **options.pop("headers", {})}  # type: ignore[dict-item]
        until = time.perf_counter() + 120.0
        while True:
            api = random.choice(self.apis)
            # What is killed on purpose gives no answer: another try, until the time is up.
            with suppress(httpx.TransportError):
                url = f"http://{api.address}:8000{path}"
                reply = httpx.request(method, url, headers=headers, timeout=30.0, **options)  # type: ignore[arg-type]
                if reply.status_code < 500:
                    return reply.raise_for_status()
            if time.perf_counter() > until:
                raise RuntimeError(f"no answer to {method} {path}")
            time.sleep(0.3)

    def regions(self, prefix: str, n: int) -> list[str]:
        """N regions whose data depend on their number alone."""
        names = [f"{prefix}{k}" for k in range(n)]
        for k, name in enumerate(names):
            body = {"id": name, "name": name, "timezone": "America/Bogota"}
            self.call("POST", "/v1/regions", json=body)
            headers = {"Content-Type": "text/csv", "Idempotency-Key": name}
            path = f"/v1/regions/{name}/incidents"
            self.call("POST", path, content=batch(k), headers=headers)
        return names

    def train(self, names: list[str], n_workers: int, disturb: Callable[[], None]) -> float:
        """Train all at once on so many workers; seconds until the last is finished."""
        for worker in self.workers[:n_workers]:
            worker.start()
        paths = [
            self.call("POST", f"/v1/regions/{name}/training-runs", json={"model": MODEL}).headers[
                "Location"
            ]
            for name in names
        ]
        started = time.perf_counter()
        while time.perf_counter() - started < ALL_DONE_S:
            states = [self.call("GET", path).json()["status"] for path in paths]
            if not {"queued", "running"} & set(states):
                break
            disturb()
            time.sleep(0.2)
        took_s = time.perf_counter() - started
        for run in (self.call("GET", path).json() for path in paths):
            if run["status"] != "succeeded":
                print("unfinished:", run["id"], run["status"], run["message"])
        for worker in self.workers:
            worker.kill()
        return took_s

    def champions(self, names: list[str]) -> list[str]:
        """Each region's champion as its forecast names it; "" where the forecast is wrong."""
        found = []
        for name in names:
            reply = self.call("GET", f"/v1/regions/{name}/forecasts/density", params={"window": 3})
            whole = abs(sum(reply.json()["cells"]["probability"]) - 1) < 1e-6
            found.append(reply.headers["X-Hotslot-Model-Version"] if whole else "")
        return found

    def remove(self) -> None:
        """Everything away."""
        for machine in (*self.workers, *self.apis):
            machine.remove()
        self.hub.remove()


class Chaos:
    """Kills a worker's machine, or the database, every few seconds; what was killed comes back."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.rng = random.Random(7)
        self.workers = self.databases = 0
        self.next_s = time.perf_counter() + 3.0

    def __call__(self) -> None:
        """Kill when it is time to."""
        if time.perf_counter() < self.next_s:
            return
        if self.rng.random() < DATABASE_SHARE or self.workers > 3 > self.databases * 4:
            self.fleet.hub.kill()
            self.fleet.hub.start()
            self.databases += 1
        else:
            worker = self.rng.choice(self.fleet.workers)
            worker.kill()
            worker.start()
            self.workers += 1
        self.next_s = time.perf_counter() + self.rng.uniform(*KILL_EVERY_S)


def act_out(n: int) -> tuple[bool, str]:
    """One worker, four workers, four workers under fire: the same champions each time."""
    fleet = Fleet()
    try:
        rounds = {prefix: fleet.regions(prefix, n) for prefix in ("one", "four", "fire")}
        one_s = fleet.train(rounds["one"], 1, lambda: None)
        four_s = fleet.train(rounds["four"], 4, lambda: None)
        chaos = Chaos(fleet)
        fire_s = fleet.train(rounds["fire"], 4, chaos)
        expected, four, fire = (fleet.champions(names) for names in rounds.values())
    finally:
        fleet.remove()
    wrong = [t for t in zip(expected, four, fire, strict=True) if len(set(t)) > 1 or not all(t)]
    right = n - len(wrong)
    for versions in wrong:
        print("differ:", *versions)
    return right == n, (
        f"{right} of {n} champions right after {chaos.workers} workers and {chaos.databases} databases "
        f"killed ({fire_s:.0f} s); undisturbed 1 worker {one_s:.0f} s, 4 workers {four_s:.0f} s: "
        f"speed-up {one_s / four_s:.2f} on {os.cpu_count()} cores"
    )


def many_machines() -> tuple[bool, str]:
    """The drill, in a network namespace of its own."""
    done = in_own_network("tests.resilience.work.machines", str(repeats(60)))
    lines = done.stdout.strip().splitlines()
    return done.returncode == 0, lines[-1] if lines else done.stderr[-400:]


def queue_scales() -> tuple[bool, str]:
    """32 workers share 10,000 jobs of 5 ms; what the queue adds to each."""
    home = Path(tempfile.mkdtemp(prefix="hotslot-drill-"))
    url = ensure_running(home)
    n_jobs = 500 * repeats(20)
    try:
        asyncio.run(_schema_and_jobs(url, n_jobs))
        started = time.perf_counter()
        per_process = N_WORKERS // N_PROCESSES
        processes = [
            multiprocessing.get_context("spawn").Process(target=_work, args=(url, per_process))
            for _ in range(N_PROCESSES)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        took_s = time.perf_counter() - started
        left = asyncio.run(_left(url))
    finally:
        remove_home(home)
    return left == 0, (
        f"{n_jobs} jobs, {N_WORKERS} workers: {n_jobs / took_s:.0f} jobs/s, "
        f"{1000 * took_s / n_jobs:.1f} ms per job in all, {left} left"
    )


def _app(url: str, size: int) -> App:
    app = App(connector=PsycopgConnector(conninfo=url, min_size=1, max_size=size))

    @app.task(name="drill.wait", queue="drill")
    async def wait() -> None:
        await asyncio.sleep(JOB_S)

    return app


async def _schema_and_jobs(url: str, n_jobs: int) -> None:
    app = _app(url, 2)
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        await app.tasks["drill.wait"].batch_defer_async(*({} for _ in range(n_jobs)))


async def _left(url: str) -> int:
    app = _app(url, 2)
    async with app.open_async():
        jobs = await app.job_manager.list_jobs_async(queue="drill")
        return sum(job.status != "succeeded" for job in jobs)


def _work(url: str, n_workers: int) -> None:
    async def work() -> None:
        app = _app(url, n_workers)
        async with app.open_async():
            workers = [
                app.run_worker_async(
                    queues=["drill"],
                    wait=False,
                    concurrency=1,
                    install_signal_handlers=False,
                    name=f"{k}",
                )
                for k in range(n_workers)
            ]
            await asyncio.gather(*workers)

    asyncio.run(work())


DRILLS = (
    Drill(
        "machines", "workers and database killed at random", "all champions right", many_machines
    ),
    Drill("queue", "32 workers, 10,000 jobs", "each once; overhead reported", queue_scales),
)

if __name__ == "__main__":
    good, reached = act_out(int(sys.argv[1]))
    print(reached)
    sys.exit(0 if good else 1)
