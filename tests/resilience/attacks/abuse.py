"""Requests that try to break, fill or stall the service."""

from __future__ import annotations

import gzip
import threading
import time

import httpx

from tests.resilience.drill import Drill, repeats
from tests.support.services.processes import peak_memory_mb
from tests.support.services.service import Service, service
from tests.support.uploads import upload

STRANGE_VALUES = (
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"1e999",
    b'"\\u0000"',
    b'"\\ud800"',
    b"9" * 400,
    b"[" * 2000 + b"]" * 2000,
    b"null",
    b'"' + b"x" * 10_000 + b'"',
)
FORECASTS = "/v1/regions/drill/forecasts"
COSTLY = (
    f"{FORECASTS}/density?window=3&cell_size_m=0.001",
    f"{FORECASTS}/density?window=3&cell_size_m=nan",
    f"{FORECASTS}/hotspots?window=3&top=0",
    f"{FORECASTS}/hotspots?window=3&top=100.5",
    f"{FORECASTS}/hotspots?window=3&top=nan",
    f"{FORECASTS}/samples?window=3&n=1000000000",
    f"{FORECASTS}/density?window=3&from=2020-01-01T00:00:00Z&to=2120-01-01T00:00:00Z",
    f"{FORECASTS}/density?window=99999",
)
ANSWER_S = 0.1
BOMB_ANSWER_S = 2.0
BOMB_MEMORY_MB = 50.0
HEALTH_S = 0.2
HEAVY_MEMORY_MB = 1000.0


def strange_json() -> tuple[bool, str]:
    """A1: values that JSON parsers stumble over, in every field of an incident."""
    statuses: dict[int, int] = {}
    with service(workers=0) as target:
        for value in STRANGE_VALUES:
            for field in ("occurred_at", "longitude", "latitude", "category"):
                row = {
                    "occurred_at": b'"2024-01-01T00:00:00Z"',
                    "longitude": b"-74.05",
                    "latitude": b"4.65",
                    "category": b'"theft"',
                } | {field: value}
                pairs = b",".join(b'"%s":%s' % (k.encode(), v) for k, v in row.items())
                for path in ("/v1/regions/drill/incidents", f"{FORECASTS}/score"):
                    body = b"[{%s}]" % pairs
                    if path.endswith("score"):
                        body = b'{"incidents":%s}' % body
                    headers = {"Content-Type": "application/json"}
                    status = target.call("POST", path, content=body, headers=headers).status_code
                    statuses[status] = statuses.get(status, 0) + 1
    failed = sum(n for status, n in statuses.items() if status >= 500)
    return failed == 0, f"{sum(statuses.values())} requests: {failed} of 5xx; {statuses}"


def costly_requests() -> tuple[bool, str]:
    """A2: answers that would cost too much are refused before any work."""
    slowest_s, wrong = 0.0, []
    with service(workers=0) as target:
        trained(target)
        for _ in range(repeats(20)):
            for path in COSTLY:
                started = time.perf_counter()
                status = target.call("GET", path).status_code
                slowest_s = max(slowest_s, time.perf_counter() - started)
                if status != 422:
                    wrong.append(f"{path}: {status}")
    passed = not wrong and slowest_s <= ANSWER_S
    return passed, f"slowest {1000 * slowest_s:.0f} ms; not refused: {sorted(set(wrong))}"


def gzip_bomb() -> tuple[bool, str]:
    """I6: 2 GB of commas in 2 MB."""
    part = b"2024-01-01T00:00:00Z,-74.05,4.65,theft\n" * 25_000
    bomb = gzip.compress(b"occurred_at,longitude,latitude,category\n" + part * 2_100)
    with service(workers=0) as target:
        upload(target, 0, "first")
        pid = target.api_pid()
        before_mb = peak_memory_mb(pid)
        started = time.perf_counter()
        status = target.call(
            "POST",
            "/v1/regions/drill/incidents",
            content=bomb,
            headers={"Content-Type": "text/csv", "Content-Encoding": "gzip"},
        ).status_code
        took_s = time.perf_counter() - started
        grown_mb = peak_memory_mb(pid) - before_mb
        kept = target.call("GET", "/v1/regions/drill").json()["incidents"]
    passed = status == 413 and took_s <= BOMB_ANSWER_S and grown_mb <= BOMB_MEMORY_MB
    return passed and kept == 2000, (
        f"status {status} after {took_s:.1f} s, memory +{grown_mb:.0f} MB, {kept} incidents stored"
    )


def heavy_load() -> tuple[bool, str]:
    """A3: 200 heavy legal requests at once; health is asked all the while."""
    answered: dict[int, int] = {}
    lock = threading.Lock()
    path = f"{FORECASTS}/density?f=geojson&cell_size_m=100&window="

    def ask(number: int) -> None:
        try:
            url = f"http://127.0.0.1:{target.port}{path}{number % 168}"
            status = httpx.get(url, timeout=120.0).status_code
        except httpx.TransportError:
            status = 0
        with lock:
            answered[status] = answered.get(status, 0) + 1

    with service(workers=0) as target:
        trained(target)
        threads = [threading.Thread(target=ask, args=[n]) for n in range(200)]
        for thread in threads:
            thread.start()
        waits = []
        while any(thread.is_alive() for thread in threads):
            started = time.perf_counter()
            target.call("GET", "/healthz").raise_for_status()
            waits.append(time.perf_counter() - started)
            time.sleep(0.02)
        memory_mb = peak_memory_mb(target.api_pid())
    p99_s = sorted(waits)[int(0.99 * (len(waits) - 1))]
    allowed = set(answered) <= {200, 429, 503}
    passed = allowed and p99_s <= HEALTH_S and memory_mb <= HEAVY_MEMORY_MB
    return passed, (
        f"answers {answered}, health p99 {1000 * p99_s:.0f} ms of {len(waits)}, "
        f"memory {memory_mb:.0f} MB"
    )


def trained(target: Service, model: str = "pooled-kde") -> str:
    """Give the region incidents and a version of a model; the first one is its champion."""
    from tests.resilience.work.jobs import start_training, wait_until_done

    upload(target, 0, "first")
    helper = Service(target.home, workers=1)
    helper.start()
    run = wait_until_done(target, start_training(target, model))
    helper.stop()
    helper.client.close()
    if run["status"] != "succeeded":
        raise RuntimeError(f"training {run['status']}: {run['message']}")
    return str(run["model_version"])


DRILLS = (
    Drill("A1", "NaN, 1e999, NUL, surrogates, 400 digits in JSON", "no 5xx", strange_json),
    Drill("A2", "huge grids and samples", "422 within 100 ms", costly_requests),
    Drill("A3", "200 heavy requests at once", "health p99 <= 200 ms, <= 1 GB", heavy_load),
    Drill("I6", "gzip bomb", "413 <= 2 s, memory + <= 50 MB", gzip_bomb),
)
