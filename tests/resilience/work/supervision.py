"""X3: each part of the service killed and crashed; what must be back, and what must be gone."""

from __future__ import annotations

import os
import signal
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from tests.resilience.drill import Drill, repeats
from tests.resilience.work.jobs import start_training, wait_until_done, wait_until_running
from tests.resilience.work.leases import SHORT_LEASE
from tests.support.services.service import API, RUN, WORKER, Service, service
from tests.support.uploads import upload

BACK_S, EXIT_S, CANCEL_S = 10.0, 10.0, 5.0
SIGNALS = (signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT)
POOL = "--multiprocessing-fork"
"""Argument of a backtest's processes."""
MODELS = ("gmm", "window-kde", "maf-window", "stack")
HEAVY = {"models": MODELS, "n_origins": 5, "horizon_days": 1, "n_seeds": 20}


def wait_for(condition: Callable[[], bool], limit_s: float = 60.0) -> float:
    """Wait until a condition holds; returns the seconds that took.

    Raises:
        RuntimeError: it does not within the limit.
    """
    started = time.perf_counter()
    while not condition():
        if time.perf_counter() - started > limit_s:
            raise RuntimeError(f"not within {limit_s:.0f} s")
        time.sleep(0.05)
    return time.perf_counter() - started


def kill_and_wait(target: Service, word: str, number: int) -> float:
    """Send a signal to one process of a part; returns the seconds until another is at work."""
    before = set(target.pids(word))
    os.kill(next(iter(before)), number)
    return wait_for(
        lambda: (
            bool(set(target.pids(word)) - before) and (word != API or target.answers("/healthz"))
        )
    )


def parts_killed() -> tuple[bool, str]:
    """X3: API and worker in turn."""
    n = repeats(50)
    waits: dict[str, list[float]] = {API: [], WORKER: []}
    with service(workers=1) as target:
        for place in range(n):
            for word, times in waits.items():
                times.append(kill_and_wait(target, word, SIGNALS[place % len(SIGNALS)]))
                # As an operator's fault would: not at once again, which would be a crash loop.
                time.sleep(0.5)
        counts = {word: len(target.pids(word)) for word in waits}
    slowest = {word: max(times) for word, times in waits.items()}
    good = max(slowest.values()) <= BACK_S and set(counts.values()) == {1}
    told = ", ".join(
        f"{word}: slowest {slowest[word]:.1f} s, median {statistics.median(times):.1f} s"
        for word, times in waits.items()
    )
    return good, f"{n} times each: {told}; afterwards {counts}"


def supervisor_killed() -> tuple[bool, str]:
    """X3: the process that watches the others, while a backtest's processes are at work."""
    n, orphans, slowest_s = repeats(50), 0, 0.0
    with service(workers=1) as target:
        for place in range(3):
            upload(target, place, f"seed-{place}")
        for _ in range(n):
            path = start_backtest(target)
            wait_for_pool(target)
            supervisor = target.process
            if supervisor is None:
                raise RuntimeError("the service is not running")
            os.kill(supervisor.pid, signal.SIGKILL)
            supervisor.wait()
            slowest_s = max(slowest_s, wait_for(lambda: not target.pids(), 30.0))
            orphans += len(target.pids())
            target.process = None
            target.start()
            target.call("DELETE", path)
    return orphans == 0 and slowest_s <= BACK_S, (
        f"{n} kills: {orphans} orphans, all gone after {slowest_s:.1f} s at most"
    )


def _is_at_work(target: Service, word: str) -> bool:
    return bool(target.pids(word))


def parents_killed() -> tuple[bool, str]:
    """X3: a worker, and the process of its run, while a backtest's processes are at work."""
    n, slowest = repeats(50), {WORKER: 0.0, RUN: 0.0}
    with service(workers=1, **SHORT_LEASE) as target:
        for place in range(3):
            upload(target, place, f"seed-{place}")
        for place in range(n):
            for word in slowest:
                path = start_backtest(target)
                wait_for_pool(target)
                wait_for(partial(_is_at_work, target, word))
                below = set(target.pids(POOL) + (target.pids(RUN) if word == WORKER else []))
                os.kill(target.pids(word)[0], SIGNALS[place % len(SIGNALS)])
                slowest[word] = max(slowest[word], _gone_s(target, below))
                target.call("DELETE", path).raise_for_status()
                wait_until_done(target, path)
                wait_for(lambda: not target.pids(POOL))
    told = ", ".join(f"{word}: {slowest[word]:.1f} s" for word in slowest)
    return max(slowest.values()) <= BACK_S, f"{n} times each, children gone after at most: {told}"


def runs_killed() -> tuple[bool, str]:
    """X3: a training's process and a backtest's processes; the run is worked on again."""
    n, unfinished = repeats(50), []
    with service(workers=1) as target:
        for place in range(3):
            upload(target, place, f"seed-{place}")
        for place in range(n):
            number = SIGNALS[place % len(SIGNALS)]
            path = start_training(target, "multi-kde")
            wait_until_running(target, path)
            for pid in target.pids(RUN)[:1]:
                os.kill(pid, number)
            unfinished.append(wait_until_done(target, path, 120.0)["status"])
            path = start_backtest(target, models=["gmm", "stack"], n_origins=2, horizon_days=1)
            wait_for_pool(target)
            for pid in target.pids(POOL)[:1]:
                os.kill(pid, number)
            unfinished.append(wait_until_done(target, path, 120.0)["status"])
    bad = [status for status in unfinished if status != "succeeded"]
    return not bad, f"{2 * n} runs, a process of each killed: {len(bad)} did not succeed {bad[:3]}"


def cancelled_backtests() -> tuple[bool, str]:
    """M5: backtests of hundreds of fits are cancelled at random moments."""
    n, waits = repeats(20), []
    with service(workers=1) as target:
        for place in range(3):
            upload(target, place, f"seed-{place}")
        for place in range(n):
            path = start_backtest(target)
            wait_for_pool(target)
            time.sleep(place % 5)
            target.call("DELETE", path).raise_for_status()
            waits.append(wait_for(lambda: not target.pids(POOL)))
    return max(waits) <= CANCEL_S, (
        f"{n} cancelled: processes gone after {statistics.median(waits):.1f} s, "
        f"at most {max(waits):.1f} s"
    )


def stopped_while_busy() -> tuple[bool, str]:
    """SIGTERM while a backtest runs, an upload stands still and a stream of events is read."""
    n, slowest_s, left = repeats(50), 0.0, 0
    for _ in range(n):
        with service(workers=1) as target:
            for place in range(3):
                upload(target, place, f"seed-{place}")
            start_backtest(target)
            wait_for_pool(target)
            with busied(target):
                slowest_s = max(slowest_s, target.stop())
                left += len(target.pids())
    return slowest_s <= EXIT_S and left == 0, (
        f"{n} stops: gone after {slowest_s:.1f} s at most, {left} processes left"
    )


def _gone_s(target: Service, pids: set[int]) -> float:
    return wait_for(lambda: not pids & set(target.pids()))


def start_backtest(target: Service, **request: object) -> str:
    """Ask for a backtest, one of hundreds of fits by default; its path."""
    reply = target.call("POST", "/v1/regions/drill/backtests", json=request or HEAVY)
    reply.raise_for_status()
    return str(reply.headers["Location"])


def wait_for_pool(target: Service) -> None:
    """Return when a worker's backtest and processes of it are at work."""
    wait_for(lambda: all(target.pids(word) for word in (WORKER, RUN, POOL)))


@contextmanager
def busied(target: Service) -> Iterator[None]:
    """An upload that has begun and stands still, and a stream of a waiting training's events."""
    queued = start_training(target)
    head = b"%s HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    upload_begun = head % b"POST /v1/regions/drill/incidents" + (
        b"Content-Type: text/csv\r\nContent-Length: 1000000\r\n\r\noccurred_at,"
    )
    address = ("127.0.0.1", target.port)
    with socket.create_connection(address) as sender, socket.create_connection(address) as reader:
        sender.sendall(upload_begun)
        reader.sendall(head % f"GET {queued}/events".encode() + b"\r\n")
        if b"200 OK" not in reader.recv(4096):
            raise RuntimeError("no stream of events")
        yield


DRILLS = (
    Drill("X3", "API and worker killed and crashed", "back <= 10 s", parts_killed),
    Drill("X3-supervisor", "the supervisor killed (-9)", "0 orphans", supervisor_killed),
    Drill("X3-parents", "workers, runs killed in a backtest", "children gone", parents_killed),
    Drill("X3-runs", "processes of runs killed", "every run succeeds", runs_killed),
    Drill("X3-cancel", "large backtests cancelled", "gone <= 5 s", cancelled_backtests),
    Drill("X3-stop", "SIGTERM while all is busy", "exit <= 10 s, nothing left", stopped_while_busy),
)
