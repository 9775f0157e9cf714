"""What readers and uploaders notice of an erasure, and of the removal of a region, beside them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
from sqlalchemy import text

from app.core.db.engine import long_statements
from app.core.settings import Settings
from app.erasure.service import erase_incident
from app.geo.synthetic import synthetic_city
from app.incidents.service import UploadSource, ingest
from app.incidents.store import PageQuery, page
from app.incidents.summary import StoreChoices
from app.region_edits.removal import remove_region
from app.regions.store import get_region
from benchmarks.service.filled import CITY, ORIGIN_S, SMALL, SPAN_H, TOWN, Filled, partition_of

ALONE_S = 10.0
PAUSE_S = 0.02
UPLOADED = 100
"""Rows of each small file."""
ERASED = 20
REMOVED = f"{TOWN}-1"
ORIGIN = datetime.fromtimestamp(ORIGIN_S, UTC)

Waits = dict[str, list[float]]
"""{what by whom: seconds of each}."""


def erasures(filled: Filled) -> dict[str, float]:
    """Erase incidents of the city one by one, while others read and upload there and elsewhere."""
    send(filled, CITY, n_rows=1_000, seed=-1, ids="erase-")
    regions = {"the city": CITY, "a town": f"{TOWN}-0"}
    with _others(filled, regions) as alone:
        time.sleep(ALONE_S)
    took_s = []
    with _others(filled, regions) as beside:
        for k in range(ERASED):
            began = time.perf_counter()
            erase_incident(filled.engine, CITY, f"erase-{k}")
            took_s.append(time.perf_counter() - began)
            time.sleep(PAUSE_S)
    print(f"erasure of one incident of {filled.sizes[CITY]:,}: {_described(took_s)}")
    _print(alone, beside)
    return {"erase_ms": 1000 * max(took_s), "erase_wait_ms": _longest_ms(beside)}


def removal(filled: Filled) -> dict[str, float]:
    """Remove a town while others read and upload in regions beside it."""
    regions = {"the city": CITY, "the same partition": _neighbour(filled, REMOVED)}
    with _others(filled, regions) as alone:
        time.sleep(ALONE_S)
    with _others(filled, regions) as beside:
        began = time.perf_counter()
        removed = remove_region(filled.engine, REMOVED, REMOVED)
        took_s = time.perf_counter() - began
    print(f"removal of {removed.incidents:,} incidents: {took_s:.1f} s")
    _print(alone, beside)
    return {"remove_s": took_s, "remove_wait_ms": _longest_ms(beside)}


def send(filled: Filled, region: str, *, n_rows: int, seed: int, ids: str | None = None) -> None:
    """Upload a small file of random times of the whole span."""
    rng = np.random.default_rng(abs(seed))
    frame = synthetic_city().draw(10, n_rows, seed=abs(seed)).head(n_rows)
    minutes = rng.integers(SPAN_H * 60, size=len(frame))
    frame["occurred_at"] = pd.Timestamp(ORIGIN) + pd.to_timedelta(minutes, unit="min")
    if ids is not None:
        frame["external_id"] = [f"{ids}{k}" for k in range(len(frame))]
    body = frame.to_csv(index=False, date_format="%Y-%m-%dT%H:%M:%SZ").encode()
    source = UploadSource("text/csv", choices=StoreChoices(near_duplicates="add"))
    ingest(filled.engine, region, [body], source, settings=Settings(home=filled.home))


def _neighbour(filled: Filled, region: str) -> str:
    """Return a small region whose incidents lie in the same partition."""
    with filled.engine.connect() as connection:
        wanted = partition_of(connection, get_region(connection, region).key)
        for one in filled.sizes:
            key = get_region(connection, one).key
            if one.startswith(SMALL) and partition_of(connection, key) == wanted:
                return one
    raise RuntimeError(f"no small region lies beside {region}")


@contextmanager
def _others(filled: Filled, regions: dict[str, str]) -> Iterator[Waits]:
    """Let one thread read and one upload in each region; afterwards the waits are complete."""
    stopped = threading.Event()
    waits: Waits = {}
    threads = []
    for who, region in regions.items():
        for what, work in (("read", _read), ("upload", _upload)):
            mine = waits.setdefault(f"{what} in {who}", [])
            threads.append(
                threading.Thread(target=_repeat, args=(filled, region, work, stopped, mine))
            )
    for thread in threads:
        thread.start()
    try:
        yield waits
    finally:
        stopped.set()
        for thread in threads:
            thread.join()


def _repeat(
    filled: Filled,
    region: str,
    work: Callable[[Filled, str, int], None],
    stopped: threading.Event,
    waits_s: list[float],
) -> None:
    number = time.time_ns() % 1_000_000_000  # other rows in each run
    while not stopped.is_set():
        number += 1
        began = time.perf_counter()
        work(filled, region, number)
        waits_s.append(time.perf_counter() - began)
        stopped.wait(PAUSE_S)


def _read(filled: Filled, region: str, number: int) -> None:
    start = ORIGIN + timedelta(hours=number * 7919 % SPAN_H)
    with filled.engine.connect() as connection:
        query = PageQuery(start=start, end=start + timedelta(hours=1), limit=10_000)
        page(connection, get_region(connection, region), query)


def _upload(filled: Filled, region: str, number: int) -> None:
    send(filled, region, n_rows=UPLOADED, seed=number)


def _longest_ms(waits: Waits) -> float:
    return 1000 * max(max(some, default=0.0) for some in waits.values())


def _print(alone: Waits, beside: Waits) -> None:
    for name in alone:
        print(f"  {name}: alone {_described(alone[name])}; beside it {_described(beside[name])}")


def _described(waits_s: list[float]) -> str:
    if not waits_s:
        return "none"
    p50, p99 = (1000 * np.quantile(waits_s, share) for share in (0.5, 0.99))
    return f"n {len(waits_s)}, p50 {p50:.0f} ms, p99 {p99:.0f} ms, longest {1000 * max(waits_s):.0f} ms"


def remove_uploads(filled: Filled, region: str, upload_ids: list[int]) -> None:
    """Delete what uploads brought, so that the next run finds the database as it was filled."""
    with filled.engine.begin() as connection:
        long_statements(connection)
        key = get_region(connection, region).key
        for table, column in (("incidents", "upload_id"), ("uploads", "id")):
            connection.execute(
                text(f"DELETE FROM {table} WHERE region_key = :key AND {column} = ANY(:ids)"),
                {"key": key, "ids": upload_ids},
            )
