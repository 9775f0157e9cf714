"""The copy of an older database's incidents into partitions, while one process writes and one reads.

HOTSLOT_BENCH_ROWS sets the number of rows: half of them in one region, half in nineteen others.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from random import Random

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, text

from app.core.db import partitions
from app.core.db.engine import long_statements, open_engine
from app.core.db.locks import INGEST_LOCK, transaction_lock
from app.core.db.schema import MIGRATIONS
from app.core.settings import Settings
from benchmarks.cities import machine
from benchmarks.service.ingest import N_ROWS, fresh_home

BEFORE = "0037"
REGIONS = 20
WRITTEN = 100
_ADD = (
    "INSERT INTO regions (id, name, timezone, cell_size_m) VALUES ('r' || :key, 'R', 'UTC', 100)",
    "INSERT INTO categories (region_key, name) VALUES (:key, 'theft')",
    "INSERT INTO uploads (region_key, summary) VALUES (:key, '{}')",
)
_INSERT = text(
    """
    INSERT INTO incidents (region_key, occurred_at, longitude, latitude, x_m, y_m, "window", category_key,
        external_id, dedup_key, occurrence, upload_id)
    SELECT :key, timestamptz '2020-01-01' + k * interval '13 minutes', random(), random(), random(),
        random(), k % 168, :key, 'case-' || k, gen_random_uuid(), 1, :key
    FROM generate_series(1, CAST(:n AS integer)) AS k
    """
)
_SLOT = """region_key = :key AND occurred_at >= timestamptz '2020-01-01' + :day * interval '1 day'
    AND occurred_at < timestamptz '2020-01-01' + :day * interval '1 day' + interval '5 hours'"""
_READ = text(f"SELECT count(*), avg(x_m) FROM incidents WHERE {_SLOT}")
_CORRECT = text(f"UPDATE incidents SET x_m = x_m + 1 WHERE {_SLOT}")


def main() -> None:
    """Fill, migrate, copy; ends with the `RESULT` line."""
    print(machine())
    with fresh_home() as home:
        engine = open_engine(Settings(home=home))
        _go(engine, BEFORE)
        _fill(engine)
        stopped = threading.Event()
        both = [_Caller(engine, stopped, work) for work in (_write, _read)]
        for caller in both:
            caller.start()
        _go(engine, "head")
        started = time.perf_counter()
        if partitions.advance_copy(engine, 36_000) is not None:
            raise RuntimeError("the copy did not come to its end")
        seconds = time.perf_counter() - started
        stopped.set()
        for caller in both:
            caller.join()
        engine.dispose()
    write_s, read_s = (max(caller.waits_s) for caller in both)
    print(f"{N_ROWS:,} rows copied, compared and exchanged in {seconds:.0f} s")
    print(
        f"RESULT partitions rows_per_s={N_ROWS / seconds:.0f} longest_write_s={write_s:.2f} "
        f"longest_read_s={read_s:.2f}"
    )


def _go(engine: Engine, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def _fill(engine: Engine) -> None:
    for key in range(1, REGIONS + 1):
        with engine.begin() as connection:
            long_statements(connection)
            for statement in _ADD:
                connection.execute(text(statement), {"key": key})
            n = N_ROWS // 2 if key == 1 else N_ROWS // 2 // (REGIONS - 1)
            connection.execute(_INSERT, {"key": key, "n": n})


class _Caller(threading.Thread):
    """Does one kind of work on random regions until told to stop, and notes how long each took."""

    def __init__(
        self, engine: Engine, stopped: threading.Event, work: Callable[[Connection, Random], None]
    ) -> None:
        super().__init__()
        self.engine, self.stopped, self.work = engine, stopped, work
        self.waits_s: list[float] = []

    def run(self) -> None:
        chance = Random(0)
        while not self.stopped.is_set():
            started = time.perf_counter()
            with self.engine.begin() as connection:
                self.work(connection, chance)
            self.waits_s.append(time.perf_counter() - started)
            self.stopped.wait(0.03)


def _write(connection: Connection, chance: Random) -> None:
    key = chance.randint(1, REGIONS)
    transaction_lock(connection, INGEST_LOCK, key)
    connection.execute(_INSERT, {"key": key, "n": WRITTEN})
    connection.execute(_CORRECT, {"key": key, "day": chance.randint(1, 200)})


def _read(connection: Connection, chance: Random) -> None:
    connection.execute(_READ, {"key": chance.randint(1, REGIONS), "day": chance.randint(1, 200)})
