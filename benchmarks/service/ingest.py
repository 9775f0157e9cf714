"""Ingest of a million CSV rows against a bare COPY of the same rows, and what readers notice of it.

The rows are parsed, validated, deduplicated and stored by `ingest_file` in a process of its own. The
other side copies the very rows that were stored, out of a file that PostgreSQL wrote, into a table with
the same columns, keys and indexes. HOTSLOT_BENCH_ROWS sets the number of rows.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from psycopg import sql
from sqlalchemy import Engine, text

from app.core.db.engine import long_statements, open_engine
from app.core.db.schema import migrate
from app.core.devserver.server import data_directory, release
from app.core.settings import Settings
from app.geo.synthetic import TIMEZONE, synthetic_city
from app.incidents.service import ingest_file
from app.regions.service import DEFAULT_CELL_SIZE_M, add_region
from benchmarks.cities import machine
from tests.support.services.processes import peak_memory_mb

N_ROWS = int(os.environ.get("HOTSLOT_BENCH_ROWS", "1000000"))
REGION = "bench"
IDLE_S = 10.0
READ_PAUSE_S = 0.01
COPY_CHUNK_BYTES = 1 << 20
SLOT_QUERY = text(
    "SELECT count(*), avg(x_m) FROM incidents WHERE region_key = :key "
    "AND occurred_at >= to_timestamp(:start) AND occurred_at < to_timestamp(:start + 3600)"
)


def main() -> None:
    """Both sides in one run; ends with the `RESULT` line."""
    print(machine())
    with fresh_store() as (home, engine, key):
        path = csv_of_rows(home)
        print(f"data: {N_ROWS:,} synthetic incidents, {path.stat().st_size / 2**20:.0f} MB of CSV")
        idle_ms = _read_while(engine, key, lambda: time.sleep(IDLE_S))
        first: dict[str, Any] = {}
        busy_ms = _read_while(engine, key, lambda: first.update(ingest_in_a_process(home, path)))
        again = ingest_in_a_process(home, path)
        copy_s = _bare_copy(engine, home)
        slot_ms = float(np.median(_read_while(engine, key, lambda: time.sleep(2.0))))
    ratio = first["seconds"] / copy_s
    print(
        f"ingest: {first['seconds']:.1f} s ({N_ROWS / first['seconds']:,.0f} rows/s), "
        f"{first['accepted']:,} accepted; memory +{first['grown_mb']:.0f} MB\n"
        f"the same file again: {again['seconds']:.1f} s, {again['accepted']:,} accepted, "
        f"{again['duplicates']:,} duplicates; memory +{again['grown_mb']:.0f} MB\n"
        f"bare COPY: {copy_s:.1f} s; ratio {ratio:.2f}\n"
        f"slot query: median {slot_ms:.1f} ms; p99 {np.quantile(idle_ms, 0.99):.1f} ms idle, "
        f"{np.quantile(busy_ms, 0.99):.1f} ms during the load"
    )
    reads_ratio = float(np.quantile(busy_ms, 0.99) / np.quantile(idle_ms, 0.99))
    rss_mb = max(first["grown_mb"], again["grown_mb"])
    print(
        f"RESULT ingest copy_ratio={ratio:.2f} rss_mb={rss_mb:.0f} "
        f"added_again={again['accepted']} reads_p99_ratio={reads_ratio:.2f} slot_ms={slot_ms:.1f}"
    )


@contextmanager
def fresh_home() -> Iterator[Path]:
    """A folder with an embedded server of its own, removed afterwards."""
    home = Path(tempfile.mkdtemp(prefix="hotslot-bench-"))
    try:
        yield home
    finally:
        cluster = data_directory(home).parent
        release(home)
        shutil.rmtree(cluster, ignore_errors=True)
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def fresh_store(
    cell_size_m: float = DEFAULT_CELL_SIZE_M,
) -> Iterator[tuple[Path, Engine, int]]:
    """Such a home, its migrated database, and the key of the synthetic city's region there."""
    with fresh_home() as home:
        engine = open_engine(Settings(home=home))
        migrate(engine)
        area = synthetic_city().area.to_geojson()
        region = add_region(
            engine, REGION, timezone=TIMEZONE, name="Bench", boundary=area, cell_size_m=cell_size_m
        )
        yield home, engine, region.key
        engine.dispose()


def csv_of_rows(home: Path, n_rows: int = N_ROWS) -> Path:
    """A CSV file of incidents without external ids, times to the minute.

    Written a million at a time: the memory of this process is none of the figures, but it has limits.
    """
    path = home / "rows.csv"
    days, left = 1_000, n_rows
    while left:
        n = min(left, 1_000_000)
        frame = synthetic_city().draw(days, 1.02 * n / days, seed=left).head(n)
        if len(frame) < n:
            raise RuntimeError(f"only {len(frame)} rows were drawn")
        minute = frame["occurred_at"].dt.tz_localize(None).to_numpy().astype("datetime64[m]")
        frame["occurred_at"] = np.char.add(np.datetime_as_string(minute), ":00Z")
        options = pa_csv.WriteOptions(include_header=left == n_rows, quoting_style="none")
        with path.open("wb" if left == n_rows else "ab") as file:
            pa_csv.write_csv(pa.Table.from_pandas(frame, preserve_index=False), file, options)
        left -= n
    return path


def ingest_in_a_process(home: Path, path: Path, region: str = REGION) -> dict[str, Any]:
    """Seconds, summary and memory of one upload, in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_ingest, (home, path, region))


def _ingest(home: Path, path: Path, region: str) -> dict[str, Any]:
    """Seconds, summary and memory of one upload by this fresh process."""
    settings = Settings(home=home)
    engine = open_engine(settings)
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    before_mb = peak_memory_mb(os.getpid())
    started = time.perf_counter()
    summary = ingest_file(engine, region, path, settings=settings)
    seconds = time.perf_counter() - started
    grown_mb = peak_memory_mb(os.getpid()) - before_mb
    engine.dispose()
    return {
        "seconds": seconds,
        "grown_mb": grown_mb,
        "accepted": summary.accepted,
        "duplicates": summary.duplicates,
    }


def _bare_copy(engine: Engine, home: Path) -> float:
    """Seconds to COPY the stored rows into an empty table that is made like theirs."""
    file = home / "rows.copy"
    with engine.begin() as connection:
        long_statements(connection)
        driver: Any = connection.connection.driver_connection
        with driver.cursor() as cursor:
            with (
                file.open("wb") as out,
                cursor.copy("COPY (SELECT * FROM incidents) TO STDOUT") as copy,
            ):
                for chunk in copy:
                    out.write(chunk)
            cursor.execute("CREATE TABLE bare (LIKE incidents INCLUDING ALL)")
            cursor.execute(
                "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint "
                "WHERE conrelid = 'incidents'::regclass AND contype = 'f'"
            )
            for name, definition in cursor.fetchall():
                statement = sql.SQL("ALTER TABLE bare ADD CONSTRAINT {} {}")
                cursor.execute(statement.format(sql.Identifier(name), sql.SQL(definition)))
    started = time.perf_counter()
    with engine.begin() as connection:
        long_statements(connection)
        driver = connection.connection.driver_connection
        with (
            file.open("rb") as rows,
            driver.cursor() as cursor,
            cursor.copy("COPY bare FROM STDIN") as copy,
        ):
            while chunk := rows.read(COPY_CHUNK_BYTES):
                copy.write(chunk)
    return time.perf_counter() - started


@dataclass
class _Reader:
    """Asks for random slots until told to stop."""

    engine: Engine
    key: int
    stop: threading.Event = field(default_factory=threading.Event)
    waits_ms: list[float] = field(default_factory=list)

    def run(self) -> None:
        rng = np.random.default_rng(0)
        origin_s = 1_546_300_800
        while not self.stop.is_set():
            values = {"key": self.key, "start": origin_s + 3600 * int(rng.integers(24_000))}
            started = time.perf_counter()
            with self.engine.connect() as connection:
                connection.execute(SLOT_QUERY, values).one()
            self.waits_ms.append(1000 * (time.perf_counter() - started))
            self.stop.wait(READ_PAUSE_S)


def _read_while(engine: Engine, key: int, work: Any) -> list[float]:
    """Milliseconds of each slot query while `work()` runs."""
    reader = _Reader(engine, key)
    thread = threading.Thread(target=reader.run)
    thread.start()
    try:
        work()
    finally:
        reader.stop.set()
        thread.join()
    return reader.waits_ms
