"""Workers that are frozen, starved, or run jobs that can never succeed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time

import psycopg

from app.core.devserver.server import ensure_running
from tests.resilience.drill import Drill, repeats
from tests.resilience.work.jobs import start_training, wait_until_done, wait_until_running
from tests.support.databases.database_proxy import proxied
from tests.support.services.processes import processes_of
from tests.support.services.service import Service, service
from tests.support.uploads import upload

SHORT_LEASE = {"HOTSLOT_JOB_HEARTBEAT_S": "1", "HOTSLOT_JOB_STALLED_S": "6"}
MAX_TRIES = 5
TINY_MEMORY_MB = 560
FINE_CELLS = {"cell_size_m": 100.0}
"""More of them than a fit has room for in that."""
AWAY_S = (2.0, 15.0, 45.0, 75.0)


def worker_thawed() -> tuple[bool, str]:
    """J2: worker and fit frozen past their lease, another one finishes, the first is thawed."""
    n, stale, unfinished = repeats(20), 0, 0
    with service(workers=0, **SHORT_LEASE) as target:
        upload(target, 0, "first")
        for _ in range(n):
            target.stop()
            target.workers = 1
            target.start()
            path = start_training(target, "multi-kde")
            wait_until_running(target, path)
            frozen = processes_of(target.home, "worker") + processes_of(
                target.home, "app.worker.run_process"
            )
            for pid in frozen:
                os.kill(pid, signal.SIGSTOP)
            second = Service(target.home, 1, SHORT_LEASE)
            second.start()
            run = wait_until_done(target, path)
            unfinished += run["status"] != "succeeded"
            before = _promotions(target)
            for pid in frozen:
                os.kill(pid, signal.SIGCONT)
            time.sleep(5.0)
            stale += _promotions(target) != before or target.call("GET", path).json() != run
            second.stop()
            second.client.close()
    passed = stale == unfinished == 0
    return passed, f"{n} thawed: {stale} stale writes, {unfinished} runs unfinished"


def _promotions(target: Service) -> list[tuple[object, ...]]:
    with psycopg.connect(ensure_running(target.home)) as connection:
        return connection.execute("SELECT id, version FROM promotions ORDER BY id").fetchall()


def processor_saturated() -> tuple[bool, str]:
    """J3: every core is busy with something else while trainings run."""
    seconds, stalls, late_s = 30 * repeats(20), 0, 0.0
    hogs = [multiprocessing.Process(target=_spin, daemon=True) for _ in range(4)]
    with service(workers=1) as target:
        for place in range(3):
            upload(target, place, f"seed-{place}")
        for hog in hogs:
            hog.start()
        path = start_training(target, "stack")
        until = time.perf_counter() + seconds
        with psycopg.connect(ensure_running(target.home), autocommit=True) as connection:
            while time.perf_counter() < until:
                run = target.call("GET", path).json()
                if run["status"] not in ("queued", "running"):
                    path = start_training(target, "stack")
                late_s = max(late_s, _silence_s(connection))
                time.sleep(1.0)
            row = connection.execute("SELECT max(attempt) FROM training_runs").fetchone()
            stalls = row[0] - 1 if row and row[0] else 0
        for hog in hogs:
            hog.kill()
    return stalls == 0, f"{seconds} s: {stalls} false stalls, longest silence {late_s:.1f} s"


def _silence_s(connection: psycopg.Connection[tuple[object, ...]]) -> float:
    row = connection.execute(
        "SELECT coalesce(max(extract(epoch FROM now() - last_heartbeat)), 0)::float8"
        " FROM procrastinate_workers"
    ).fetchone()
    return float(str(row[0])) if row else 0.0


def _spin() -> None:
    while True:
        pass


def hopeless_jobs() -> tuple[bool, str]:
    """J5: a fit that is killed whenever it starts; a fit that needs more memory than it may have."""
    with service(workers=1) as target:
        upload(target, 0, "first")
        path = start_training(target, "multi-kde")
        tries, seen = 0, set[int]()
        while (run := target.call("GET", path).json())["status"] in ("queued", "running"):
            for pid in set(processes_of(target.home, "app.worker.run_process")) - seen:
                seen.add(pid)
                tries += 1
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        answered = target.call("GET", "/v1/regions/drill").status_code == 200
        after = wait_until_done(target, start_training(target, "pooled-kde"))["status"]
    limit = {"HOTSLOT_TRAINING_MEMORY_BYTES": str(TINY_MEMORY_MB << 20)}
    with service(workers=1, **limit) as target:
        upload(target, 0, "first")
        target.call("PATCH", "/v1/regions/drill", json=FINE_CELLS).raise_for_status()
        hungry = wait_until_done(target, start_training(target, "stack"))
    passed = (
        run["status"] == hungry["status"] == "failed"
        and 1 <= tries <= MAX_TRIES
        and "out of memory" in hungry["message"]
        and answered
        and after == "succeeded"
    )
    return passed, (
        f"killed {tries} times, then {run['status']} ({run['message']}); the next one {after}; "
        f"{TINY_MEMORY_MB} MB: {hungry['status']} ({hungry['message']})"
    )


def database_away() -> tuple[bool, str]:
    """The line to the database is cut for longer and longer while a training runs; nobody restarts."""
    outcomes = []
    with service(workers=0) as owner, proxied(ensure_running(owner.home)) as (proxy, url):
        upload(owner, 0, "first")
        target = Service(owner.home, 1, {"HOTSLOT_DATABASE_URL": url})
        target.start()
        for away_s in AWAY_S[: repeats(len(AWAY_S))]:
            path = start_training(target)
            wait_until_running(target, path)
            time.sleep(1.0)
            proxy.switch("cut")
            time.sleep(away_s)
            proxy.switch("pass")
            while not target.answers("/v1/regions"):
                time.sleep(0.1)
            status = wait_until_done(target, path)["status"]
            outcomes.append((away_s, status, _attempts(owner, path)))
        target.stop()
        target.client.close()
    told = ", ".join(f"{s:.0f} s away: {status} at try {n}" for s, status, n in outcomes)
    return all(status == "succeeded" for _, status, _ in outcomes), told


def _attempts(target: Service, path: str) -> int:
    with psycopg.connect(ensure_running(target.home)) as connection:
        row = connection.execute(
            "SELECT attempt FROM training_runs WHERE id = %s", (path.rsplit("/", 1)[-1],)
        ).fetchone()
    return int(row[0]) if row else 0


DRILLS = (
    Drill("away", "database away while a training runs", "the run succeeds", database_away),
    Drill("J2", "worker frozen past its lease, then resumed", "0 stale promotions", worker_thawed),
    Drill("J3", "processor saturated", "0 false stalls in 10 min", processor_saturated),
    Drill(
        "J5",
        "always failing, out of memory",
        "<= 5 attempts, reason, others continue",
        hopeless_jobs,
    ),
)
