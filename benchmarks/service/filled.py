"""A database of many regions, filled on the server: one city, regions of a tenth and of a hundredth of it.

HOTSLOT_BENCH_ROWS sets the number of incidents. With HOTSLOT_BENCH_HOME they stay there, and the next run
adds only what is missing. The table's keys and indexes grow row by row as under uploads, each region's rows
in order of time; only foreign keys are not checked, and the log is not flushed while they are filled.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, text

from app.core.db.engine import long_statements, open_engine
from app.core.db.schema import migrate
from app.core.devserver.server import data_directory, release
from app.core.settings import Settings
from app.geo.study_area import to_degrees
from app.geo.synthetic import CATEGORIES, CRS, TIMEZONE, synthetic_city
from app.regions.service import add_region
from benchmarks.service.ingest import N_ROWS, fresh_home

CITY, TOWN, SMALL = "city", "town", "small"
MOST_IN_A_REGION = 10_000_000
ORIGIN_S = 1_546_300_800
SPAN_H = 24_000
UTC_OFFSET_S = -18_000
"""Of `TIMEZONE`, all year."""
BYTES_PER_ROW = 400
SPARE_BYTES = 8 << 30
"""For the write-ahead log and what a run adds."""
LOADERS = 2
FILLING = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_wal_size": "'4GB'",
    "autovacuum": "off",
}
_FILL = text(
    """
    INSERT INTO incidents (region_key, occurred_at, longitude, latitude, x_m, y_m, "window", category_key,
        dedup_key, occurrence, upload_id)
    SELECT :region, to_timestamp(s), :west + x * :east, :south + y * :north, :x0 + 9000 * x, :y0 + 7000 * y,
        ((s + :offset) / 3600 + 72) % 168, (CAST(:categories AS integer[]))[place], gen_random_uuid(), 1,
        :upload
    FROM (
        SELECT (:origin + k * CAST(:hours AS bigint) * 3600 / :n) / 60 * 60 AS s,
            random() AS x, random() AS y, CAST(1 + floor(4 * random() * random()) AS integer) AS place
        FROM generate_series(0, CAST(:n AS bigint) - 1) AS k
    ) AS drawn
    """
)
_FILLED = text("SELECT id FROM regions WHERE EXISTS (SELECT FROM uploads WHERE region_key = key)")
_HALF_DONE = text("DELETE FROM regions WHERE id = :id")
_ADD_CATEGORY = text(
    "INSERT INTO categories (region_key, name, hashed) VALUES (:region, :name, :name) RETURNING key"
)
_ADD_UPLOAD = text("INSERT INTO uploads (region_key, summary) VALUES (:region, '{}') RETURNING id")


@dataclass(frozen=True)
class Filled:
    """The database, and which regions it has."""

    home: Path
    engine: Engine
    sizes: dict[str, int]
    """{region: number of incidents}."""

    @property
    def town_rows(self) -> int:
        """Incidents of a region of middle size."""
        return self.sizes[f"{TOWN}-0"]


def planned(n_rows: int) -> dict[str, int]:
    """Return {region: number of incidents}: half the rest of the city in towns, half in small regions."""
    city = min(MOST_IN_A_REGION, n_rows // 2)
    sizes = {CITY: city}
    for name, share in ((TOWN, 10), (SMALL, 100)):
        n = max((n_rows - city) // 2 * share // city, 2)
        sizes |= {f"{name}-{k}": city // share for k in range(n)}
    return sizes


@contextmanager
def filled_store(n_rows: int = N_ROWS) -> Iterator[Filled]:
    """Open the database, and fill what it lacks."""
    given = os.environ.get("HOTSLOT_BENCH_HOME")
    with fresh_home() if given is None else nullcontext(Path(given)) as home:
        home.mkdir(parents=True, exist_ok=True)
        engine = open_engine(Settings(home=home))
        try:
            migrate(engine)
            sizes = planned(n_rows)
            with engine.connect() as connection:
                known = set(connection.scalars(_FILLED))
            lacking = {name: n for name, n in sizes.items() if name not in known}
            if lacking:
                _check_room(home, sum(lacking.values()))
                _fill_all(engine, lacking)
            yield Filled(home, engine, sizes)
        finally:
            engine.dispose()
            if given is not None:
                release(home)


def _check_room(home: Path, n_rows: int) -> None:
    free = shutil.disk_usage(data_directory(home)).free
    if free < n_rows * BYTES_PER_ROW + SPARE_BYTES:
        most = (free - SPARE_BYTES) // BYTES_PER_ROW
        raise SystemExit(f"{n_rows:,} rows do not fit in {free / 2**30:.0f} GiB; about {most:,} do")


def _fill_all(engine: Engine, sizes: dict[str, int]) -> None:
    """Fill regions, as many at once as there are `LOADERS`; print how far it is."""
    total, done, began = sum(sizes.values()), 0, time.perf_counter()
    with _set_for_filling(engine), ThreadPoolExecutor(LOADERS) as loaders:
        before = _database_bytes(engine)
        said = began
        filling = [loaders.submit(_fill_region, engine, *one) for one in sizes.items()]
        for one in as_completed(filling):
            done += one.result()
            now = time.perf_counter()
            if now - said > 10 or done == total:
                said = now
                print(
                    f"filled {done:,} of {total:,} rows, {done / (now - began):,.0f} a second",
                    flush=True,
                )
        _maintain(engine)
        os.sync()  # not flushed while filling
        grown = _database_bytes(engine) - before
    print(
        f"filled in {time.perf_counter() - began:.0f} s with vacuum; {grown / total:.0f} bytes a row "
        f"with indexes, {grown / 2**30:.1f} GiB"
    )


def _fill_region(engine: Engine, region_id: str, n_rows: int) -> int:
    """Fill one region in one transaction after it was registered."""
    area = synthetic_city().area.to_geojson()
    with engine.begin() as connection:
        connection.execute(_HALF_DONE, {"id": region_id})
    key = add_region(
        engine, region_id, timezone=TIMEZONE, name=region_id, boundary=area, limit=10_000
    ).key
    west, south = map(float, to_degrees(600_000.0, 512_000.0, CRS))
    east, north = map(float, to_degrees(609_000.0, 519_000.0, CRS))
    with engine.begin() as connection:
        long_statements(connection)
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        names = [{"region": key, "name": name} for name in CATEGORIES]
        values = {
            "region": key,
            "categories": [connection.scalar(_ADD_CATEGORY, one) for one in names],
            "upload": connection.scalar(_ADD_UPLOAD, {"region": key}),
            "west": west,
            "east": east - west,
            "south": south,
            "north": north - south,
            "x0": 600_000.0,
            "y0": 512_000.0,
            "offset": UTC_OFFSET_S,
            "origin": ORIGIN_S,
            "hours": SPAN_H,
            "n": n_rows,
        }
        connection.execute(_FILL, values)
    return n_rows


@contextmanager
def _set_for_filling(engine: Engine) -> Iterator[None]:
    """Change settings of this server while it is filled."""
    execute_alone(
        engine, *(f"ALTER SYSTEM SET {name} = {value}" for name, value in FILLING.items())
    )
    execute_alone(engine, "SELECT pg_reload_conf()")
    try:
        yield
    finally:
        execute_alone(engine, *(f"ALTER SYSTEM RESET {name}" for name in FILLING))
        execute_alone(engine, "SELECT pg_reload_conf()")


def _maintain(engine: Engine) -> None:
    execute_alone(
        engine, "VACUUM (ANALYZE) incidents", "VACUUM (ANALYZE) categories, uploads", "CHECKPOINT"
    )


def execute_alone(engine: Engine, *statements: str) -> None:
    """Execute statements outside a transaction, however long they take."""
    with engine.connect() as connection:
        long_statements(connection)
        connection.rollback()
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(text("SET statement_timeout = 0"))
        for statement in statements:
            connection.execute(text(statement))
        connection.execute(text("RESET statement_timeout"))


def _database_bytes(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.scalar(text("SELECT pg_database_size(current_database())")) or 0)


def partition_of(connection: Connection, region_key: int) -> str:
    """Return the name of the partition with a region's incidents."""
    found = text(
        "SELECT tableoid::regclass::text FROM incidents WHERE region_key = :region LIMIT 1"
    )
    return str(connection.scalar(found, {"region": region_key}))
