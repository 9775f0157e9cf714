"""Training whose worker, or whose whole service, is killed."""

from __future__ import annotations

import os
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg

from app.core.devserver.server import ensure_running
from tests.resilience.drill import Drill, repeats
from tests.support.services.processes import processes_of
from tests.support.services.service import Service, service
from tests.support.uploads import upload

FINISH_S = 180.0
TAKEOVER_S = 60.0
EXIT_S = 10.0
AT_ONCE = 4


def start_training(target: Service, model: str = "maf") -> str:
    """Ask for a training run; its path once it is acknowledged."""
    reply = target.call(
        "POST", "/v1/regions/drill/training-runs", json={"model": model}
    ).raise_for_status()
    return str(reply.headers["Location"])


def wait_until_done(target: Service, path: str, patience_s: float = FINISH_S) -> dict[str, Any]:
    """The run once it is finished, or as it is after that long."""
    deadline = time.perf_counter() + patience_s
    while True:
        run: dict[str, Any] = target.call("GET", path).raise_for_status().json()
        if run["status"] not in ("queued", "running") or time.perf_counter() > deadline:
            return run
        time.sleep(0.3)


def wait_until_running(target: Service, path: str) -> None:
    """Return when a worker has claimed the run."""
    deadline = time.perf_counter() + FINISH_S
    while target.call("GET", path).json()["status"] == "queued":
        if time.perf_counter() > deadline:
            raise RuntimeError(f"nobody took the run: {target.log_tail()}")
        time.sleep(0.1)


def _claims(target: Service) -> int:
    """How often the runs of the region have been claimed in all."""
    with psycopg.connect(ensure_running(target.home)) as connection:
        row = connection.execute("SELECT sum(attempt) FROM training_runs").fetchone()
    return int(row[0]) if row else 0


def _wait_for_takeover(target: Service, claims: int) -> None:
    """Return when a run has been claimed once more."""
    deadline = time.perf_counter() + FINISH_S
    while _claims(target) <= claims and time.perf_counter() < deadline:
        time.sleep(0.3)


def worker_killed() -> tuple[bool, str]:
    """J1: two workers; the one that trains is killed, the other must take over.

    Most of a round is waiting, so a few services of their own go through their rounds at a time.
    """
    n = repeats(50)
    shares = [n // AT_ONCE + (k < n % AT_ONCE) for k in range(AT_ONCE)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        rounds = [
            taken for part in pool.map(_workers_killed, shares, range(AT_ONCE)) for taken in part
        ]
    finished = sum(status == "succeeded" for status, _, _ in rounds)
    slowest_s = max(takeover_s for _, takeover_s, _ in rounds)
    ended_s = max(end_s for _, _, end_s in rounds)
    return finished == n and slowest_s <= TAKEOVER_S, (
        f"{n} kills: {finished} finished; slowest takeover {slowest_s:.0f} s, "
        f"slowest end {ended_s:.0f} s after the kill"
    )


def _workers_killed(n: int, seed: int) -> list[tuple[str, float, float]]:
    """Status, seconds to the takeover and to the end, of each of n kills in a service of its own."""
    rng = random.Random(seed)
    rounds = []
    with service(workers=0) as target:
        for place in range(3):
            upload(target, place, f"seed-{place}")
        for _ in range(n):
            target.stop()
            target.workers = 1
            target.start()
            path = start_training(target, "multi-kde")
            wait_until_running(target, path)
            time.sleep(rng.uniform(0.0, 1.0))
            for pid in processes_of(target.home, "worker"):
                os.kill(pid, signal.SIGKILL)
            killed_at = time.perf_counter()
            second = Service(target.home, 1)
            claims = _claims(target)
            second.start()
            _wait_for_takeover(target, claims)
            takeover_s = time.perf_counter() - killed_at
            status = wait_until_done(target, path)["status"]
            rounds.append((status, takeover_s, time.perf_counter() - killed_at))
            second.stop()
    return rounds


def service_killed() -> tuple[bool, str]:
    """Everything of the service killed at random moments of upload, training and reading."""
    rng = random.Random(3)
    n, lost_rows, lost_runs, unready = repeats(20), 0, 0, 0
    with service(workers=1) as target:
        acknowledged = 0
        for place in range(n):
            answer = upload(target, place, f"kill-{place}")
            acknowledged += answer["accepted"] if answer else 0
            path = start_training(target, "multi-kde")
            time.sleep(rng.uniform(0.0, 4.0))
            target.kill_group()
            target.start()
            held = target.call("GET", "/v1/regions/drill").json()["incidents"]
            lost_rows += max(0, acknowledged - held)
            lost_runs += target.call("GET", path).status_code != 200
        # Every run asked for stands before it: one at a time in a region, cut ones after a takeover.
        last = wait_until_done(target, path, TAKEOVER_S + n * FINISH_S / 6)
        unready = int(last["status"] != "succeeded")
        grid = target.call("GET", "/v1/regions/drill/forecasts/density", params={"window": 3})
        unready += grid.status_code != 200
    passed = lost_rows == lost_runs == unready == 0
    return passed, (
        f"{n} kills: {lost_rows} rows lost, {lost_runs} runs lost, "
        f"last training {last['status']}, forecast {grid.status_code}"
    )


def terminated() -> tuple[bool, str]:
    """J6: SIGTERM while a training runs."""
    with service(workers=1) as target:
        for place in range(3):
            upload(target, place, f"seed-{place}")
        path = start_training(target, "stack")
        wait_until_running(target, path)
        time.sleep(1.0)
        took_s = target.stop()
        left = processes_of(target.home)
        target.start()
        status = wait_until_done(target, path)["status"]
    passed = took_s <= EXIT_S and not left and status == "succeeded"
    return passed, f"gone after {took_s:.1f} s, {len(left)} processes left, run then {status}"


DRILLS = (
    Drill("J1", "worker killed (-9) while training", "all finish, takeover <= 60 s", worker_killed),
    Drill("J6", "SIGTERM while training", "exit <= 10 s, nothing left, job runs later", terminated),
    Drill("kill", "the whole service killed (-9)", "nothing acknowledged is lost", service_killed),
)
