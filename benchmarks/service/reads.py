"""Reads of a large region: one slot, pages, filters, the data report; and the memory of its load.

HOTSLOT_BENCH_ROWS=10000000 is the size that the figures of docs/benchmarks.md are told for.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import Engine

from app.data_quality.service import data_report
from app.incidents.store import KindSpan, PageQuery, page
from app.regions.store import get_region
from benchmarks.cities import machine
from benchmarks.service.ingest import (
    N_ROWS,
    REGION,
    csv_of_rows,
    fresh_store,
    ingest_in_a_process,
)

ORIGIN = datetime(2019, 1, 1, tzinfo=UTC)
SPAN_H = 24_000
REPEATS = 200
A_KIND = (KindSpan(1),)
SMALL_BOX = (-74.06, 4.64, -74.05, 4.65)


def main() -> None:
    """Load once, read many times; ends with the `RESULT` line."""
    print(machine())
    with fresh_store() as (home, engine, _):
        loaded = ingest_in_a_process(home, csv_of_rows(home))
        print(
            f"{N_ROWS:,} rows in {loaded['seconds']:.0f} s, {loaded['accepted']:,} accepted; "
            f"memory +{loaded['grown_mb']:.0f} MB"
        )
        told = {name: _times_ms(engine, make) for name, make in _QUERIES.items()}
        for name, waits in told.items():
            print(
                f"{name}: median {np.median(waits):.1f} ms, p99 {np.quantile(waits, 0.99):.1f} ms"
            )
        started = time.perf_counter()
        report = data_report(engine, REGION)
        report_s = time.perf_counter() - started
        print(f"data report: {report_s:.1f} s, {report['incidents']['n']:,} incidents")
    figures = " ".join(f"{name}_ms={np.quantile(w, 0.99):.1f}" for name, w in told.items())
    print(f"RESULT reads {figures} report_s={report_s:.1f} rss_mb={loaded['grown_mb']:.0f}")


def _slot(rng: np.random.Generator, **more: Any) -> PageQuery:
    start = ORIGIN + timedelta(hours=int(rng.integers(SPAN_H)))
    return PageQuery(start=start, end=start + timedelta(hours=1), limit=10_000, **more)


def _later(rng: np.random.Generator) -> PageQuery:
    return PageQuery(after=(ORIGIN + timedelta(hours=int(rng.integers(SPAN_H))), 0), limit=1_000)


_QUERIES: dict[str, Callable[[np.random.Generator], PageQuery]] = {
    "slot": _slot,
    "slot_box": lambda rng: _slot(rng, bbox=SMALL_BOX),
    "slot_category": lambda rng: _slot(rng, categories=A_KIND),
    "later_page": _later,
    "box": lambda _: PageQuery(bbox=SMALL_BOX, limit=100),
    "category": lambda _: PageQuery(categories=A_KIND, limit=100),
}


def _times_ms(engine: Engine, make: Callable[[np.random.Generator], PageQuery]) -> list[float]:
    """Milliseconds of each query, warm: random slots of the region, each read once."""
    rng = np.random.default_rng(0)
    waits = []
    with engine.connect() as connection:
        region = get_region(connection, REGION)
        for _ in range(REPEATS):
            query = make(rng)
            started = time.perf_counter()
            page(connection, region, query)
            waits.append(1000 * (time.perf_counter() - started))
    return waits
