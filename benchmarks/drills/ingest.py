"""Uploads that are repeated, raced, large, broken or hostile, in the numbers of SCENARIOS.md."""

from __future__ import annotations

import threading
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO

import httpx
import numpy as np

from app.domain.synthetic import TIMEZONE, synthetic_city
from benchmarks.drills.processes import peak_memory_mb
from benchmarks.drills.result import Drill, repeats
from benchmarks.drills.service import Service, service
from benchmarks.messy import HEADER, messy_corpus, mutated, seed_bodies

N_ROWS = 1_000_000
UPLOAD_TIMEOUT_S = 900.0
MEMORY_MB = 150.0
BOMB_MEMORY_MB = 50.0
HEALTH_S = 0.2
BOMB_ANSWER_S = 2.0
DRIP_S = 25.0
N_DRIPS = 30
WARM_ROWS = 25_000
PATH = "/v1/regions/city/incidents"


@contextmanager
def _city() -> Iterator[Service]:
    """A service with the synthetic city's region and boundary."""
    with service(workers=0) as target:
        area = synthetic_city().area.to_geojson()
        made = {"id": "city", "name": "City", "timezone": TIMEZONE, "boundary": area}
        target.call("POST", "/v1/regions", json=made).raise_for_status()
        yield target


def _rows(n: int) -> list[str]:
    # Poisson draws: some more than wanted, also where that is a handful a day.
    frame = synthetic_city().draw(1_000, 1.02 * n / 1_000 + 1).head(n)
    assert len(frame) == n
    times = frame["occurred_at"].dt.strftime("%Y-%m-%dT%H:%M:00Z")
    columns = (times, frame["longitude"].round(6), frame["latitude"].round(6), frame["category"])
    return [",".join(map(str, row)) + "\n" for row in zip(*columns, strict=True)]


def _csv(rows: list[str]) -> bytes:
    return (",".join(HEADER) + "\n" + "".join(rows)).encode()


def _send(target: Service, body: bytes, **headers: str) -> httpx.Response:
    with httpx.Client(base_url=target.client.base_url, timeout=UPLOAD_TIMEOUT_S) as client:
        return client.post(PATH, content=body, headers={"Content-Type": "text/csv", **headers})


def _stored(target: Service) -> int:
    return int(target.call("GET", "/v1/regions/city").raise_for_status().json()["incidents"])


def same_rows_twice() -> tuple[bool, str]:
    """I1: the same million rows in another order."""
    rows = _rows(N_ROWS)
    with _city() as target:
        first = _send(target, _csv(rows)).raise_for_status().json()
        order = np.random.default_rng(0).permutation(len(rows))
        again = _send(target, _csv([rows[i] for i in order])).raise_for_status().json()
        kept = _stored(target)
    passed = kept == first["accepted"] == N_ROWS and again["duplicates"] == N_ROWS
    return passed, f"{first['accepted']:,} + {again['accepted']:,} new; {kept:,} stored"


def one_key_at_once() -> tuple[bool, str]:
    """I2: 32 clients with one key, in many rounds; then the key with another body."""
    rounds, doubled, other, statuses = repeats(50), 0, 0, Counter[int]()
    rows = _rows(200 * rounds)
    with _city() as target, ThreadPoolExecutor(32) as pool:
        for place in range(rounds):
            body, key = _csv(rows[200 * place : 200 * place + 200]), f"key-{place}"

            def attempt(_: int, body: bytes = body, key: str = key) -> tuple[int, bytes]:
                reply = _send(target, body, **{"Idempotency-Key": key})
                return reply.status_code, reply.content

            answers = list(pool.map(attempt, range(32)))
            statuses.update(status for status, _ in answers)
            doubled += len({content for status, content in answers if status == 200}) != 1
            doubled += _stored(target) != 200 * (place + 1)
            other += _send(target, body + b"\n", **{"Idempotency-Key": key}).status_code != 422
    passed = doubled == other == 0 and set(statuses) <= {200, 409, 429, 503}
    return passed, f"{rounds} x 32: {doubled} wrong, {other} other bodies taken; {dict(statuses)}"


def large_upload() -> tuple[bool, str]:
    """I3: memory of the API and its health while a million rows go in."""
    body, waits = _csv(_rows(N_ROWS)), []
    with _city() as target:
        _send(target, body[: body.index(b"\n", 100_000) + 1]).raise_for_status()
        pid = target.process.pid if target.process else 0
        before_mb = peak_memory_mb(pid)
        told: list[httpx.Response] = []
        thread = threading.Thread(target=lambda: told.append(_send(target, body)))
        thread.start()
        while thread.is_alive():
            started = time.perf_counter()
            target.call("GET", "/healthz").raise_for_status()
            waits.append(time.perf_counter() - started)
            time.sleep(0.02)
        grown_mb = peak_memory_mb(pid) - before_mb
        kept = _stored(target)
    passed = grown_mb <= MEMORY_MB and max(waits) <= HEALTH_S and kept == N_ROWS
    return passed and told[0].status_code == 200, (
        f"memory +{grown_mb:.0f} MB, slowest health answer {1000 * max(waits):.0f} ms of "
        f"{len(waits)}, {kept:,} stored"
    )


def bad_rows_among_good() -> tuple[bool, str]:
    """I4, G1, T1: every fault under its code, in files of several shapes."""
    wrong, n_rows = [], 0
    with _city() as target:
        for seed in range(repeats(20)):
            corpus = messy_corpus(3_000, 25, seed)
            told = _send(target, corpus.csv(",;\t"[seed % 3])).raise_for_status().json()
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
    with _city() as target:
        for i in range(n):
            content_type, encoding, body = mutated(*bodies[i % len(bodies)], rng)
            headers = {"Content-Type": content_type}
            if encoding:
                headers["Content-Encoding"] = encoding
            status = _send(target, body, **headers).status_code
            statuses[status] += 1
            if status >= 500:
                broken.append(i)
    return not broken, f"{n} bodies: {len(broken)} of 5xx {broken[:5]}; {dict(statuses)}"


def zip_bombs() -> tuple[bool, str]:
    """I6: 2 GB of rows or noughts in an archive and in a workbook."""
    buffer = BytesIO()
    with (
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("incidents.csv", "w", force_zip64=True) as member,
    ):
        for _ in range(2_000):
            member.write(b"0" * (1 << 20))
    excel = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    slowest_s, statuses = 0.0, []
    with _city() as target:
        _send(target, _csv(_rows(2_000))).raise_for_status()
        pid = target.process.pid if target.process else 0
        before_mb = peak_memory_mb(pid)
        for content_type in ("application/zip", excel):
            started = time.perf_counter()
            reply = _send(target, buffer.getvalue(), **{"Content-Type": content_type})
            slowest_s = max(slowest_s, time.perf_counter() - started)
            statuses.append(reply.status_code)
        grown_mb = peak_memory_mb(pid) - before_mb
    passed = statuses == [413, 413] and slowest_s <= BOMB_ANSWER_S and grown_mb <= BOMB_MEMORY_MB
    return passed, f"{statuses} after {slowest_s:.1f} s at most, memory +{grown_mb:.0f} MB"


def dripping_uploads() -> tuple[bool, str]:
    """I6: thirty uploads of ten bytes a second; others go on, the drips are ended."""
    end = time.monotonic() + DRIP_S

    def drops() -> Iterator[bytes]:
        yield _csv([])
        while time.monotonic() < end + DRIP_S:
            yield b"x"
            time.sleep(0.1)

    def drip(_: int) -> int:
        headers = {"Content-Type": "text/csv"}
        try:
            return httpx.post(url, content=drops(), headers=headers, timeout=90.0).status_code
        except httpx.TransportError:
            return 0

    waits, failed = [], 0
    with _city() as target, ThreadPoolExecutor(N_DRIPS) as pool:
        pid, before_mb = _warmed(target)
        url = f"{target.client.base_url}{PATH}"
        futures = [pool.submit(drip, i) for i in range(N_DRIPS)]
        while time.monotonic() < end:
            started = time.perf_counter()
            failed += target.call("GET", "/v1/regions/city").status_code != 200
            waits.append(time.perf_counter() - started)
            time.sleep(0.1)
        answers = Counter(future.result() for future in futures)
        grown_mb = peak_memory_mb(pid) - before_mb
    passed = failed == 0 and max(waits) <= 10 * HEALTH_S and 200 not in answers
    return passed and grown_mb <= BOMB_MEMORY_MB, (
        f"drips {dict(answers)}; others: {failed} failed, slowest {max(waits):.2f} s; "
        f"memory +{grown_mb:.0f} MB"
    )


def _warmed(target: Service) -> tuple[int, float]:
    """The API's process id and peak memory once it has stored an ordinary upload."""
    _send(target, _csv(_rows(WARM_ROWS))).raise_for_status()
    pid = target.process.pid if target.process else 0
    return pid, peak_memory_mb(pid)


def hostile_texts() -> tuple[bool, str]:
    """I7: SQL as category, id, filter, path; formulas in the CSV that comes back."""
    sql = [
        "'; DROP TABLE incidents; --",
        "' OR '1'='1",
        "x'); DELETE FROM incidents; --",
        "$1",
        "%s",
    ]
    formulas = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("http://x")']
    taken = loose = 0
    with _city() as target:
        rows = [
            {"occurred_at": f"2019-03-04T10:{i:02d}:00Z", "longitude": -74.05, "latitude": 4.65,
             "category": t, "external_id": t}
            for i, t in enumerate([*sql, *formulas])
        ]  # fmt: skip
        target.call("POST", PATH, json=rows).raise_for_status()
        kept = _stored(target)
        for word in sql:
            for query in ({"category": word}, {"bbox": word}, {"datetime": word}, {"cursor": word}):
                reply = target.call("GET", PATH, params=query)
                n = len(reply.json()["features"]) if reply.status_code == 200 else 0
                taken += reply.status_code >= 500 or n > 1
            taken += target.call("GET", f"/v1/regions/{word}/incidents").status_code != 404
        text = target.call("GET", PATH, params={"f": "csv", "limit": 1000}).text
        cells = [cell.strip('"') for line in text.splitlines()[1:] for cell in line.split(",")[3:5]]
        loose = sum(cell.startswith(("=", "+", "-", "@", "\t")) for cell in cells)
        taken += _stored(target) != kept
    return (
        taken == loose == 0,
        f"{kept} rows kept; {taken} injections, {loose} formulas came through",
    )


DRILLS = (
    Drill("I1", "the same million rows twice", "exactly 1,000,000", same_rows_twice),
    Drill("I2", "32 uploads at once with one key", "one execution in 32 x 50", one_key_at_once),
    Drill("I3", "upload of a million rows", "+ <= 150 MB, health <= 200 ms", large_upload),
    Drill("I4", "bad rows among good (G1, T1)", "exact sums and codes", bad_rows_among_good),
    Drill("I5", "mutated bodies", "no 5xx in 5,000", mutated_bodies),
    Drill("I6-zip", "2 GB zip bombs", "413 <= 2 s, memory + <= 50 MB", zip_bombs),
    Drill("I6-drip", "30 dripping uploads", "others unaffected, + <= 50 MB", dripping_uploads),
    Drill("I7", "SQL and formula injection", "0", hostile_texts),
)
