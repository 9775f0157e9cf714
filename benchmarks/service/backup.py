"""Backup and restore as docs/deployment.md has them: dump, new cluster, same digest, the service on it.

HOTSLOT_BENCH_ROWS sets the number of incidents. They are spread over 60 regions by rank, as cities are:
a fifth in the largest, a 300th in the smallest.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from app.core.db.engine import long_statements, open_engine
from app.core.db.schema import migrate
from app.core.devserver.cluster import locate
from app.core.devserver.server import ensure_running
from app.core.settings import Settings
from benchmarks.cities import machine
from benchmarks.service.ingest import N_ROWS, fresh_home
from tests.support.databases.database_digest import digests
from tests.support.services.service import Service
from tests.support.uploads import upload

REGIONS = 60
CHUNK_ROWS = 250_000
KINDS = 12
JOBS = min(8, os.cpu_count() or 1)
SAY_EVERY_S = 10.0
SLOT = "2024-02-05T10:00Z"
MODEL = "pooled-kde"
LONG_S = 86_400.0
_REGION = """
    WITH region AS (
        INSERT INTO regions (id, name, timezone, cell_size_m) VALUES (:id, :id, 'UTC', 250) RETURNING key
    ), kinds AS (
        INSERT INTO categories (region_key, name)
        SELECT key, 'kind ' || k FROM region, generate_series(1, :kinds) AS k
    )
    SELECT key FROM region
"""
_UPLOAD = (
    "INSERT INTO uploads (region_key, summary) VALUES (:key, '{\"accepted\": 1}') RETURNING id"
)
# Ten years in order of time; a fifth of 400 places has most of the incidents, the first kind a third.
_CHUNK = """
    INSERT INTO incidents (region_key, occurred_at, longitude, latitude, x_m, y_m, "window", category_key,
        external_id, dedup_key, occurrence, upload_id)
    SELECT :key, at, -79 + x / 1e5, 43 + y / 1e5, x, y,
        (extract(isodow FROM at) - 1) * 24 + extract(hour FROM at),
        (SELECT min(key) FROM categories WHERE region_key = :key) + floor(:kinds * kind)::int,
        'case-' || k, md5(:key || '-' || k)::uuid, 1, :upload
    FROM (
        SELECT k, timestamptz '2016-01-01 UTC' + (k::float8 / :of) * interval '3650 days' AS at,
               50 * (place % 20) + 40 * random() AS x, 50 * (place / 20) + 40 * random() AS y, kind
        FROM (SELECT k, floor(400 * random() ^ 3)::int AS place, random() ^ 2.7 AS kind
              FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS k) AS drawn
    ) AS placed
"""


def main() -> None:
    """Fill, dump, restore, compare, serve; ends with the `RESULT` line."""
    print(machine())
    with fresh_home() as home, fresh_home() as restored:
        programs = locate(home).bin
        engine = open_engine(Settings(home=home))
        migrate(engine)
        answered = _serve(home, first=True)
        load_s = _timed(lambda: _fill(engine))
        print(f"{N_ROWS:,} rows loaded in {load_s:.0f} s: {_size_mb(engine):,.0f} MB")
        before = _digests(engine)
        folder = home / "hotslot.dump"
        version = subprocess.check_output([programs / "pg_dump", "--version"], text=True).strip()
        print(f"{version}, {JOBS} jobs")
        dump = ["pg_dump", "-Fd", "-j", str(JOBS), "-f", str(folder), "-d", ensure_running(home)]
        dump_s = _run(programs, dump, lambda: f"{_folder_mb(folder):,.0f} MB of the dump")
        engine.dispose()
        fresh = open_engine(Settings(home=restored))
        restore = ["pg_restore", "-j", str(JOBS), "--exit-on-error", "--no-owner"]
        restore += ["-d", ensure_running(restored), str(folder)]
        restore_s = _run(programs, restore, lambda: f"{_size_mb(fresh):,.0f} MB restored")
        analyze_s = _timed(lambda: _analyze(fresh))
        after = _digests(fresh)
        database_mb, dump_mb = _size_mb(fresh), _folder_mb(folder)
        fresh.dispose()
        answers = _serve(restored, first=False) == answered
    differ = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    print(f"tables and sequences compared: {len(before)}; other than before: {differ or 'none'}")
    print(
        f"RESULT backup rows={N_ROWS} dump_s={dump_s:.0f} restore_s={restore_s:.0f} "
        f"analyze_s={analyze_s:.0f} database_mb={database_mb:.0f} dump_mb={dump_mb:.0f} "
        f"same_digest={int(not differ)} same_answer={int(answers)}"
    )


def _fill(engine: Engine) -> None:
    """Store the incidents, several regions at once; each chunk is an upload of its own."""
    weights = [1 / rank for rank in range(1, REGIONS + 1)]
    sizes = [round(N_ROWS * weight / sum(weights)) for weight in weights]
    sizes[0] += N_ROWS - sum(sizes)
    stored, started, said = 0, time.perf_counter(), 0.0
    with ThreadPoolExecutor(JOBS) as pool:
        chunks = [
            pool.submit(_store, engine, key, first, min(first + CHUNK_ROWS - 1, size), size)
            for key, size in zip(_regions(engine), sizes, strict=True)
            for first in range(1, size + 1, CHUNK_ROWS)
        ]
        for done in chunks:
            stored += done.result()
            seconds = time.perf_counter() - started
            if seconds > said + SAY_EVERY_S:
                print(f"  {seconds:.0f} s: {stored:,} rows stored", flush=True)
                said = seconds


def _regions(engine: Engine) -> list[int]:
    with engine.begin() as connection:
        made = [{"id": f"r{rank}", "kinds": KINDS} for rank in range(1, REGIONS + 1)]
        return [int(connection.execute(text(_REGION), one).scalar_one()) for one in made]


def _store(engine: Engine, key: int, first: int, last: int, of: int) -> int:
    with engine.begin() as connection:
        long_statements(connection, LONG_S)
        # Foreign keys are not checked: what they refer to was stored above.
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        upload_id = connection.execute(text(_UPLOAD), {"key": key}).scalar_one()
        values = {"key": key, "first": first, "last": last, "of": of, "kinds": KINDS}
        connection.execute(text(_CHUNK), {**values, "upload": upload_id})
    return last - first + 1


def _serve(home: Path, *, first: bool) -> Any:
    """Start the service on a home's database, and return its forecast of one slot.

    Args:
        first: with a region and a version made beforehand.
    """
    target = Service(home, workers=0)
    try:
        target.start()
        if first:
            body = {"id": "drill", "name": "Drill", "timezone": "America/Bogota"}
            target.call("POST", "/v1/regions", json=body).raise_for_status()
            if upload(target, 0, "backup") is None:
                raise RuntimeError("the upload failed")
            train = [sys.executable, "-m", "app.cli", "train", "drill", "--model", MODEL]
            environment = {**os.environ, "HOTSLOT_HOME": str(home)}
            subprocess.run(train, env=environment, check=True, stderr=subprocess.DEVNULL)
        path = "/v1/regions/drill/forecasts/density"
        reply = target.call("GET", path, params={"at": SLOT}).raise_for_status()
        return reply.json()["cells"]
    finally:
        target.stop()
        target.client.close()


def _digests(engine: Engine) -> dict[str, Any]:
    print("  digests of all tables ...", flush=True)
    started = time.perf_counter()
    with engine.connect() as connection:
        long_statements(connection, LONG_S)
        found = digests(connection)
    print(f"  {time.perf_counter() - started:.0f} s")
    return found


def _analyze(engine: Engine) -> None:
    """Make the planner's statistics, which a dump lacks before PostgreSQL 18, and never has of the whole."""
    with engine.begin() as connection:
        long_statements(connection, LONG_S)
        connection.execute(text("ANALYZE"))


def _run(programs: Path, command: list[str], how_far: Callable[[], str]) -> float:
    """Run a program of PostgreSQL, saying now and then how far it is; return the seconds it took.

    Raises:
        CalledProcessError: it failed.
    """
    started = time.perf_counter()
    with subprocess.Popen([programs / command[0], *command[1:]]) as process:
        while True:
            try:
                status = process.wait(SAY_EVERY_S)
                break
            except subprocess.TimeoutExpired:
                print(f"  {time.perf_counter() - started:.0f} s: {how_far()}", flush=True)
    if status:
        raise subprocess.CalledProcessError(status, command[0])
    seconds = time.perf_counter() - started
    print(f"{command[0]}: {seconds:.0f} s, {how_far()}")
    return seconds


def _timed(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _size_mb(engine: Engine) -> float:
    with engine.connect() as connection:
        found = connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one()
    return float(found) / 2**20


def _folder_mb(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.glob("*")) / 2**20
