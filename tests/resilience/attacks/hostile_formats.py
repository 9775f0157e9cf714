"""X2: files that unfold into much, of every format, beside people who want something else."""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import numpy as np

from tests.resilience.drill import Drill, repeats
from tests.resilience.ingest import HEALTH_S, PATH, city, csv_of, rows_of, send
from tests.support.inputs.hostile_bodies import Hostile, hostile_bodies, mutations, with_noise
from tests.support.inputs.hostile_excel import workbook
from tests.support.services.processes import peak_memory_mb, processes_with
from tests.support.services.service import Service

ANSWER_S = 5.0
MEMORY_MB = 200.0
END_S = 10.0
LEAVE_S = 3.0
MUTATIONS = 2_000
AT_ONCE = 8
PAUSE_S = 0.05
_LIMITS = (200, 413, 422)


class _Beside:
    """Somebody who looks at the service's health and sends a few rows of their own."""

    def __init__(self, target: Service) -> None:
        self.target = target
        self.waits: list[float] = []
        self.failed = 0
        self.rows = rows_of(20_000)

    def run(self, stop: threading.Event) -> None:
        """Ask until told to stop."""
        place = 0
        while not stop.is_set():
            started = time.perf_counter()
            self.failed += self.target.call("GET", "/healthz").status_code != 200
            self.waits.append(time.perf_counter() - started)
            if len(self.waits) % 20 == 0:
                body = csv_of(self.rows[place : place + 20])
                self.failed += send(self.target, body).status_code != 200
                place += 20
            stop.wait(PAUSE_S)

    @property
    def p99_s(self) -> float:
        """Of the answers about the service's health."""
        return float(np.quantile(self.waits, 0.99))


@contextmanager
def _watched(target: Service) -> Iterator[_Beside]:
    beside, stop = _Beside(target), threading.Event()
    thread = threading.Thread(target=beside.run, args=(stop,))
    thread.start()
    try:
        yield beside
    finally:
        stop.set()
        thread.join()


def hostile_files() -> tuple[bool, str]:
    """Each kind at full size, then mutations of small ones; nobody else feels it."""
    statuses: Counter[int] = Counter()
    slowest = (0.0, "")
    with city() as target:
        send(target, csv_of(rows_of(25_000))).raise_for_status()
        pid = target.api_pid()
        before_mb = peak_memory_mb(pid)
        with _watched(target) as beside:
            for sent in _all_bodies():
                started = time.perf_counter()
                statuses[send(target, sent.body, **sent.headers).status_code] += 1
                slowest = max(slowest, (time.perf_counter() - started, sent.name))
        grown_mb = peak_memory_mb(pid) - before_mb
        left = len(_readers(target))
        beside.failed += target.api_pid() != pid  # it died, and another took its place
    passed = (
        set(statuses) <= set(_LIMITS)
        and slowest[0] <= ANSWER_S
        and grown_mb <= MEMORY_MB
        and beside.p99_s <= HEALTH_S
        and beside.failed == left == 0
    )
    return passed, (
        f"{sum(statuses.values()):,} files {dict(statuses)}, slowest {slowest[0]:.1f} s "
        f"({slowest[1]}); memory +{grown_mb:.0f} MB; health p99 {1000 * beside.p99_s:.0f} ms, "
        f"{beside.failed} of others failed"
    )


def _all_bodies() -> Iterator[Hostile]:
    n = repeats(MUTATIONS)
    yield from hostile_bodies(1.0 if n == MUTATIONS else 0.1)
    rng = random.Random(0)
    small = [body for body in hostile_bodies(0.01) if len(body.body) < 1 << 20]
    yield from mutations(small, n, rng)


def _long_workbook() -> bytes:
    """A workbook that takes a minute to read, and little memory."""
    return with_noise(workbook("<row/>" * 30_000_000))


def clients_that_leave() -> tuple[bool, str]:
    """Eight clients send what takes long and leave; then eight more, and the service is stopped."""
    body = _long_workbook()
    excel = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    with city(HOTSLOT_PARSER_CPU_S="600") as target:

        def leave() -> None:
            headers = {"Content-Type": excel}
            timeout = httpx.Timeout(30.0, read=LEAVE_S)
            try:
                httpx.post(
                    f"{target.client.base_url}{PATH}",
                    content=body,
                    headers=headers,
                    timeout=timeout,
                )
            except httpx.TransportError:
                return

        _at_once(leave)
        left_s = _seconds_until_gone(target)
        with _watched(target) as beside:
            _at_once(leave)
        threads = [threading.Thread(target=leave) for _ in range(AT_ONCE)]
        for thread in threads:
            thread.start()
        time.sleep(LEAVE_S / 2)
        started = time.perf_counter()
        if target.process is not None:
            target.process.terminate()
            target.process.wait(4 * END_S)
        stop_s = time.perf_counter() - started
        orphans = len(_readers(target))
        for thread in threads:
            thread.join()
    passed = left_s <= END_S and stop_s <= END_S and orphans == beside.failed == 0
    return passed and beside.p99_s <= HEALTH_S, (
        f"gone {left_s:.1f} s after the clients; stopped in {stop_s:.1f} s with {AT_ONCE} read, "
        f"{orphans} orphans; health p99 {1000 * beside.p99_s:.0f} ms, {beside.failed} of others failed"
    )


def _at_once(work: Callable[[], None]) -> None:
    threads = [threading.Thread(target=work) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _seconds_until_gone(target: Service) -> float:
    started = time.perf_counter()
    while _readers(target) and time.perf_counter() - started < 4 * END_S:
        time.sleep(0.1)
    return time.perf_counter() - started


def _readers(target: Service) -> list[int]:
    """Processes of the service's session that read files, whether their parent lives or not."""
    session = target.process.pid if target.process else 0
    found = processes_with("app.readers.child")
    return [pid for pid in found if session_of(pid) == session]


def session_of(pid: int) -> int:
    """The session of a process; 0 where it is gone."""
    try:
        return os.getsid(pid)
    except OSError:
        return 0


DRILLS = (
    Drill(
        "X2",
        "hostile Excel, GeoPackage, Parquet, NDJSON, archives",
        "answer <= 5 s, memory + <= 200 MB, health p99 <= 200 ms",
        hostile_files,
    ),
    Drill(
        "X2-leave",
        "8 clients leave while their files are read; the service is stopped",
        "readers gone, stopped <= 10 s, health p99 <= 200 ms",
        clients_that_leave,
    ),
)
