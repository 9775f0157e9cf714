"""The hot paths of a table of many regions: reads, training, uploads, erasure, removal of a region.

HOTSLOT_BENCH_ROWS=100000000 is the size that the figures of docs/benchmarks.md are for; see
`benchmarks.service.filled` for the database, which HOTSLOT_BENCH_HOME keeps.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import numpy as np
from sqlalchemy import Connection

from app.data_quality.service import data_report
from app.incidents.column_store import read_columns
from app.incidents.store import KindSpan, PageQuery, page
from app.regions.category_store import categories_of, region_summary
from app.regions.store import Region, get_region
from benchmarks.cities import machine
from benchmarks.service.beside import ORIGIN, erasures, removal
from benchmarks.service.filled import CITY, SPAN_H, TOWN, Filled, filled_store
from benchmarks.service.filled_ingest import copy_ratio
from benchmarks.service.ingest import N_ROWS
from tests.support.services.service import Service

REPEATS = int(os.environ.get("HOTSLOT_BENCH_REPEATS", "500"))
SMALL_BOX = (-74.06, 4.64, -74.05, 4.65)
MAX_PAGE = 10_000


def main() -> None:
    """Fill, read, erase, remove, upload; ends with the `RESULT` line."""
    print(machine())
    with filled_store() as filled:
        figures = _pages(filled) | _whole(filled) | _over_http(filled)
        # The removed region is filled again by the next run.
        figures |= erasures(filled) | removal(filled) | copy_ratio(filled)
    told = " ".join(f"{name}={value:.4g}" for name, value in figures.items())
    print(f"RESULT reads rows={N_ROWS} {told}")


def _slot(rng: np.random.Generator, **more: Any) -> PageQuery:
    start = ORIGIN + timedelta(hours=int(rng.integers(SPAN_H)))
    return PageQuery(start=start, end=start + timedelta(hours=1), limit=MAX_PAGE, **more)


def _later(rng: np.random.Generator) -> PageQuery:
    return PageQuery(after=(ORIGIN + timedelta(hours=int(rng.integers(SPAN_H))), 0), limit=1_000)


def _queries(kind: KindSpan) -> dict[str, Callable[[np.random.Generator], PageQuery]]:
    return {
        "slot": _slot,
        "slot_box": lambda rng: _slot(rng, bbox=SMALL_BOX),
        "slot_category": lambda rng: _slot(rng, categories=(kind,)),
        "later_page": _later,
        "box": lambda _: PageQuery(bbox=SMALL_BOX, limit=100),
        "category": lambda _: PageQuery(categories=(kind,), limit=100),
    }


def _pages(filled: Filled) -> dict[str, float]:
    """Return the p99 of each kind of page by the store, of random hours of the city."""
    rng = np.random.default_rng(0)
    found = {}
    with filled.engine.connect() as connection:
        region = get_region(connection, CITY)
        kind = KindSpan(min(categories_of(connection, region.key)))
        for name, make in _queries(kind).items():
            waits_ms = _times_ms(partial(_page, connection, region, make, rng))
            found[f"{name}_ms"] = _said(f"page, {name}", waits_ms)
    return found


def _page(
    connection: Connection,
    region: Region,
    make: Callable[[np.random.Generator], PageQuery],
    rng: np.random.Generator,
) -> None:
    page(connection, region, make(rng))


def _times_ms(read: Callable[[], object], repeats: int = REPEATS) -> list[float]:
    waits_ms = []
    for _ in range(repeats):
        began = time.perf_counter()
        read()
        waits_ms.append(1000 * (time.perf_counter() - began))
    return waits_ms


def _said(what: str, waits_ms: list[float]) -> float:
    """Print the median, and return the 99th percentile."""
    p99_ms = float(np.quantile(waits_ms, 0.99))
    print(f"{what}: median {np.median(waits_ms):.1f} ms, p99 {p99_ms:.1f} ms", flush=True)
    return p99_ms


def _whole(filled: Filled) -> dict[str, float]:
    """Time what reads a whole region: counts, the training's columns, the data report."""
    found: dict[str, float] = {}
    with filled.engine.connect() as connection:
        for name, region_id in (("counts", CITY), ("counts_town", f"{TOWN}-0")):
            region = get_region(connection, region_id)
            waits_ms = _times_ms(partial(region_summary, connection, region), 3)
            found[f"{name}_ms"] = _said(f"counts of {region_id}", waits_ms)
    with filled.engine.begin() as connection:
        began = time.perf_counter()
        n = len(read_columns(connection, get_region(connection, CITY)).time_s)
        found["train_rows_per_s"] = n / (time.perf_counter() - began)
        print(f"columns for a training: {n:,} rows, {found['train_rows_per_s']:,.0f} a second")
    began = time.perf_counter()
    data_report(filled.engine, CITY)
    found["report_s"] = time.perf_counter() - began
    print(f"data report of {CITY}: {found['report_s']:.1f} s", flush=True)
    return found


def _over_http(filled: Filled) -> dict[str, float]:
    """Ask for random hours of the city over HTTP, and for one of a small region."""
    rng = np.random.default_rng(1)
    service = Service(filled.home, workers=0)
    service.start()

    def hour(region: str) -> None:
        start = ORIGIN + timedelta(hours=int(rng.integers(SPAN_H)))
        span = f"{start:%Y-%m-%dT%H:%M:%SZ}/{start + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
        path = f"/v1/regions/{region}/incidents"
        options = {"params": {"datetime": span, "limit": MAX_PAGE}}
        service.call("GET", path, **options).raise_for_status()

    try:
        return {
            f"{name}_p99_ms": _said(
                f"one hour of {region} over HTTP", _times_ms(partial(hour, region))
            )
            for name, region in (("hour", CITY), ("hour_town", f"{TOWN}-0"))
        }
    finally:
        service.stop()
        service.client.close()
