"""Uploads that mean harm: bombs, drips, streams without an end, texts that would be run."""

from __future__ import annotations

import threading
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import httpx

from tests.resilience.drill import Drill
from tests.resilience.ingest import (
    HEALTH_S,
    PATH,
    UPLOAD_TIMEOUT_S,
    city,
    csv_of,
    health_waits_s,
    rows_of,
    send,
    stored,
)
from tests.support.services.processes import peak_memory_mb
from tests.support.services.service import Service

BOMB_MEMORY_MB = 50.0
BOMB_ANSWER_S = 2.0
DRIP_S = 25.0
N_DRIPS = 30
WARM_ROWS = 25_000
ENDLESS_CAP_BYTES = 8 << 20
STREAM_BYTES = 1 << 16


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
    with city() as target:
        send(target, csv_of(rows_of(2_000))).raise_for_status()
        pid = target.api_pid()
        before_mb = peak_memory_mb(pid)
        for content_type in ("application/zip", excel):
            started = time.perf_counter()
            reply = send(target, buffer.getvalue(), **{"Content-Type": content_type})
            slowest_s = max(slowest_s, time.perf_counter() - started)
            statuses.append(reply.status_code)
        grown_mb = peak_memory_mb(pid) - before_mb
    passed = statuses == [413, 413] and slowest_s <= BOMB_ANSWER_S and grown_mb <= BOMB_MEMORY_MB
    return passed, f"{statuses} after {slowest_s:.1f} s at most, memory +{grown_mb:.0f} MB"


def dripping_uploads() -> tuple[bool, str]:
    """I6: thirty uploads of ten bytes a second; others go on, the drips are ended."""
    end = time.monotonic() + DRIP_S

    def drops() -> Iterator[bytes]:
        yield csv_of([])
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
    with city() as target, ThreadPoolExecutor(N_DRIPS) as pool:
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
    send(target, csv_of(rows_of(WARM_ROWS))).raise_for_status()
    pid = target.api_pid()
    return pid, peak_memory_mb(pid)


def endless_uploads() -> tuple[bool, str]:
    """I6: good rows without an end, as fast as they are taken, plain and compressed."""
    rows = rows_of(WARM_ROWS)
    body = "".join(rows).encode()
    after_s, statuses = 0.0, []
    waits: list[float] = []
    with city(HOTSLOT_MAX_BODY_BYTES=str(ENDLESS_CAP_BYTES)) as target:
        pid, before_mb = _warmed(target)

        def send_all(stream: Iterator[bytes], packed: bool) -> None:
            statuses.append(_send_stream(target, stream, "gzip" if packed else "identity"))

        for packer in (None, zlib.compressobj(6, zlib.DEFLATED, 31)):
            past_cap_s = [0.0]
            stream = _endless(csv_of([]), body, packer, past_cap_s)
            thread = threading.Thread(target=send_all, args=(stream, packer is not None))
            thread.start()
            waits += health_waits_s(target, thread)
            after_s = max(after_s, time.perf_counter() - past_cap_s[0])
            stream.close()
        grown_mb = peak_memory_mb(pid) - before_mb
        kept = stored(target)
    passed = statuses == [413, 413] and kept == len(rows) and grown_mb <= BOMB_MEMORY_MB
    return passed and after_s <= BOMB_ANSWER_S and max(waits) <= HEALTH_S, (
        f"{statuses} {after_s:.1f} s past the cap at most, memory +{grown_mb:.0f} MB, "
        f"{kept - len(rows)} rows stored; slowest health reply {1000 * max(waits):.0f} ms"
    )


def _endless(
    header: bytes, body: bytes, packer: zlib._Compress | None, past_cap_s: list[float]
) -> Generator[bytes]:
    """The rows again and again; notes when it has sent as many bytes (unpacked) as are allowed."""
    n_bytes, piece = 0, header
    while True:
        packed = piece if packer is None else packer.compress(piece) + packer.flush(2)
        n_bytes += len(piece)
        for start in range(0, len(packed), STREAM_BYTES):
            yield packed[start : start + STREAM_BYTES]
        if n_bytes <= ENDLESS_CAP_BYTES + len(body):
            past_cap_s[0] = time.perf_counter()
        piece = body


def _send_stream(target: Service, stream: Iterator[bytes], encoding: str) -> int:
    """Status of an upload of unknown length; 0 when the line was cut before an answer."""
    headers = {"Content-Type": "text/csv", "Content-Encoding": encoding}
    try:
        with httpx.Client(base_url=target.client.base_url, timeout=UPLOAD_TIMEOUT_S) as client:
            return client.post(PATH, content=stream, headers=headers).status_code
    except httpx.TransportError:
        return 0


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
    with city() as target:
        rows = [
            {"occurred_at": f"2019-03-04T10:{i:02d}:00Z", "longitude": -74.05, "latitude": 4.65,
             "category": t, "external_id": t}
            for i, t in enumerate([*sql, *formulas])
        ]  # fmt: skip
        target.call("POST", PATH, json=rows).raise_for_status()
        kept = stored(target)
        for word in sql:
            for query in ({"category": word}, {"bbox": word}, {"datetime": word}, {"cursor": word}):
                reply = target.call("GET", PATH, params=query)
                n = len(reply.json()["features"]) if reply.status_code == 200 else 0
                taken += reply.status_code >= 500 or n > 1
            taken += target.call("GET", f"/v1/regions/{word}/incidents").status_code != 404
        text = target.call("GET", PATH, params={"f": "csv", "limit": 1000}).text
        cells = [cell.strip('"') for line in text.splitlines()[1:] for cell in line.split(",")[3:5]]
        loose = sum(cell.startswith(("=", "+", "-", "@", "\t")) for cell in cells)
        taken += stored(target) != kept
    return (
        taken == loose == 0,
        f"{kept} rows stored; {taken} injections, {loose} formulas unescaped",
    )


DRILLS = (
    Drill("I6-zip", "2 GB zip bombs", "413 <= 2 s, memory + <= 50 MB", zip_bombs),
    Drill("I6-drip", "30 very slow uploads", "others unaffected, + <= 50 MB", dripping_uploads),
    Drill(
        "I6-endless",
        "endless uploads",
        "413 <= 2 s past the cap, + <= 50 MB",
        endless_uploads,
    ),
    Drill("I7", "SQL and formula injection", "0", hostile_texts),
)
