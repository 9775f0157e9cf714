"""Uploads that are repeated, raced, large, broken or hostile, in the numbers of SCENARIOS.md."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import numpy as np

from app.geo.synthetic import TIMEZONE, synthetic_city
from tests.resilience.drill import Drill, repeats
from tests.support.inputs.messy import HEADER, messy_corpus, mutated, seed_bodies
from tests.support.services.processes import peak_memory_mb
from tests.support.services.service import Service, service

N_ROWS = 1_000_000
UPLOAD_TIMEOUT_S = 900.0
MEMORY_MB = 150.0
HEALTH_S = 0.2
PATH = "/v1/regions/city/incidents"


@contextmanager
def city(**environment: str) -> Iterator[Service]:
    """A service with the synthetic city's region and boundary."""
    with service(workers=0, **environment) as target:
        area = synthetic_city().area.to_geojson()
        made = {"id": "city", "name": "City", "timezone": TIMEZONE, "boundary": area}
        target.call("POST", "/v1/regions", json=made).raise_for_status()
        yield target


def rows_of(n: int) -> list[str]:
    """CSV lines of n incidents of the synthetic city, in order of time."""
    # Poisson draws: some more than wanted, also where that is a handful a day.
    frame = synthetic_city().draw(1_000, 1.02 * n / 1_000 + 1).head(n)
    assert len(frame) == n
    times = frame["occurred_at"].dt.strftime("%Y-%m-%dT%H:%M:00Z")
    columns = (times, frame["longitude"].round(6), frame["latitude"].round(6), frame["category"])
    return [",".join(map(str, row)) + "\n" for row in zip(*columns, strict=True)]


def csv_of(rows: list[str]) -> bytes:
    """A CSV body of these lines."""
    return (",".join(HEADER) + "\n" + "".join(rows)).encode()


def send(target: Service, body: bytes, **headers: str) -> httpx.Response:
    """The answer to an upload."""
    with httpx.Client(base_url=target.client.base_url, timeout=UPLOAD_TIMEOUT_S) as client:
        return client.post(PATH, content=body, headers={"Content-Type": "text/csv", **headers})


def stored(target: Service) -> int:
    """How many incidents the region has."""
    return int(target.call("GET", "/v1/regions/city").raise_for_status().json()["incidents"])


def health_waits_s(target: Service, thread: threading.Thread) -> list[float]:
    """How long each look at the service's health took while a thread was at work, seconds."""
    waits = []
    while thread.is_alive():
        started = time.perf_counter()
        target.call("GET", "/healthz").raise_for_status()
        waits.append(time.perf_counter() - started)
        time.sleep(0.02)
    return waits


def same_rows_twice() -> tuple[bool, str]:
    """I1: the same million rows in another order."""
    rows = rows_of(N_ROWS)
    with city() as target:
        first = send(target, csv_of(rows)).raise_for_status().json()
        order = np.random.default_rng(0).permutation(len(rows))
        again = send(target, csv_of([rows[i] for i in order])).raise_for_status().json()
        kept = stored(target)
    passed = kept == first["accepted"] == N_ROWS and again["duplicates"] == N_ROWS
    return passed, f"{first['accepted']:,} + {again['accepted']:,} new; {kept:,} stored"


def one_key_at_once() -> tuple[bool, str]:
    """I2: 32 clients with one key, in many rounds; then the key with another body."""
    rounds, doubled, other, statuses = repeats(50), 0, 0, Counter[int]()
    rows = rows_of(200 * rounds)
    with city() as target, ThreadPoolExecutor(32) as pool:
        for place in range(rounds):
            body, key = csv_of(rows[200 * place : 200 * place + 200]), f"key-{place}"

            def attempt(_: int, body: bytes = body, key: str = key) -> tuple[int, bytes]:
                reply = send(target, body, **{"Idempotency-Key": key})
                return reply.status_code, reply.content

            answers = list(pool.map(attempt, range(32)))
            statuses.update(status for status, _ in answers)
            doubled += len({content for status, content in answers if status == 200}) != 1
            doubled += stored(target) != 200 * (place + 1)
            other += send(target, body + b"\n", **{"Idempotency-Key": key}).status_code != 422
    passed = doubled == other == 0 and set(statuses) <= {200, 409, 429, 503}
    return passed, f"{rounds} x 32: {doubled} wrong, {other} other bodies taken; {dict(statuses)}"


def large_upload() -> tuple[bool, str]:
    """I3: memory of the API and its health while a million rows go in."""
    body = csv_of(rows_of(N_ROWS))
    with city() as target:
        send(target, body[: body.index(b"\n", 100_000) + 1]).raise_for_status()
        pid = target.api_pid()
        before_mb = peak_memory_mb(pid)
        told: list[httpx.Response] = []
        thread = threading.Thread(target=lambda: told.append(send(target, body)))
        thread.start()
        waits = health_waits_s(target, thread)
        grown_mb = peak_memory_mb(pid) - before_mb
        kept = stored(target)
    passed = grown_mb <= MEMORY_MB and max(waits) <= HEALTH_S and kept == N_ROWS
    return passed and told[0].status_code == 200, (
        f"memory +{grown_mb:.0f} MB, slowest health reply {1000 * max(waits):.0f} ms of "
        f"{len(waits)}, {kept:,} stored"
    )


def bad_rows_among_good() -> tuple[bool, str]:
    """I4, G1, T1: every fault under its code, in files of several shapes."""
    wrong, n_rows = [], 0
    with city() as target:
        for seed in range(repeats(20)):
            corpus = messy_corpus(3_000, 25, seed)
            told = send(target, corpus.csv(",;\t"[seed % 3])).raise_for_status().json()
            n_rows += told["received"]
            refused = [(i + 1, code) for i, code in enumerate(corpus.codes) if code]
            exact = (
                told["rejected_by_code"] == corpus.by_code
                and told["accepted"] + told["duplicates"] == corpus.n_good
                and [(e["row"], e["code"]) for e in told["errors"]] == refused[:100]
            )
            if not exact:
                wrong.append(seed)
    return not wrong, f"{n_rows:,} rows in {repeats(20)} files; not exact: {wrong}"


def mutated_bodies() -> tuple[bool, str]:
    """I5: bodies of every format, changed at random."""
    n, statuses, broken = repeats(5_000), Counter[int](), []
    bodies, rng = seed_bodies(messy_corpus(40, 1)), np.random.default_rng(0)
    with city() as target:
        for i in range(n):
            content_type, encoding, body = mutated(*bodies[i % len(bodies)], rng)
            headers = {"Content-Type": content_type}
            if encoding:
                headers["Content-Encoding"] = encoding
            status = send(target, body, **headers).status_code
            statuses[status] += 1
            if status >= 500:
                broken.append(i)
    return not broken, f"{n} bodies: {len(broken)} of 5xx {broken[:5]}; {dict(statuses)}"


DRILLS = (
    Drill("I1", "the same million rows twice", "exactly 1,000,000", same_rows_twice),
    Drill("I2", "32 uploads at once with one key", "one execution in 32 x 50", one_key_at_once),
    Drill("I3", "upload of a million rows", "+ <= 150 MB, health <= 200 ms", large_upload),
    Drill("I4", "bad rows among good ones (G1, T1)", "exact sums and codes", bad_rows_among_good),
    Drill("I5", "mutated bodies", "no 5xx in 5,000", mutated_bodies),
)
