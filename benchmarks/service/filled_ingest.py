"""A file of incidents into the filled table, against a bare COPY of the same rows into the same table."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from sqlalchemy import text

from app.core.db.engine import long_statements
from app.regions.store import get_region
from benchmarks.service.beside import remove_uploads
from benchmarks.service.filled import CITY, Filled, execute_alone, partition_of
from benchmarks.service.ingest import COPY_CHUNK_BYTES, csv_of_rows, ingest_in_a_process

_MINE = "region_key = {key} AND upload_id = {upload}"


def copy_ratio(filled: Filled) -> dict[str, float]:
    """Upload a town's worth of rows to the city; then COPY the rows stored thus to the same place.

    Both times they are new: in between they are deleted, and the table is vacuumed.
    """
    n_rows = filled.town_rows
    path = csv_of_rows(filled.home, n_rows)
    rows = filled.home / "rows.copy"
    found = ingest_in_a_process(filled.home, path, CITY)
    if found["accepted"] < n_rows // 2:
        raise RuntimeError(f"only {found['accepted']:,} of {n_rows:,} rows were new")
    with filled.engine.connect() as connection:
        key = get_region(connection, CITY).key
        partition = partition_of(connection, key)
        upload = connection.scalar(text("SELECT max(id) FROM uploads"))
    mine = _MINE.format(key=key, upload=upload)
    _copy_out(filled, f"COPY (SELECT * FROM incidents WHERE {mine}) TO STDOUT", rows)
    _delete(filled, mine, partition)
    copy_s = _copy_in(filled, rows)
    remove_uploads(filled, CITY, [upload])
    execute_alone(filled.engine, f"VACUUM {partition}")
    for file in (path, rows):
        file.unlink()
    ratio = found["seconds"] / copy_s
    print(
        f"ingest of {n_rows:,} rows into the city: {found['seconds']:.1f} s, {found['accepted']:,} accepted; "
        f"memory +{found['grown_mb']:.0f} MB; bare COPY {copy_s:.1f} s; ratio {ratio:.2f}",
        flush=True,
    )
    return {"copy_ratio": ratio, "rss_mb": found["grown_mb"]}


def _copy_out(filled: Filled, statement: str, file: Path) -> None:
    with filled.engine.begin() as connection:
        long_statements(connection)
        driver: Any = connection.connection.driver_connection
        with file.open("wb") as out, driver.cursor() as cursor, cursor.copy(statement) as copy:
            for chunk in copy:
                out.write(chunk)


def _copy_in(filled: Filled, file: Path) -> float:
    """Seconds of a COPY, with its commit."""
    began = time.perf_counter()
    with filled.engine.begin() as connection:
        long_statements(connection)
        driver: Any = connection.connection.driver_connection
        with (
            file.open("rb") as rows,
            driver.cursor() as cursor,
            cursor.copy("COPY incidents FROM STDIN") as copy,
        ):
            while chunk := rows.read(COPY_CHUNK_BYTES):
                copy.write(chunk)
    return time.perf_counter() - began


def _delete(filled: Filled, mine: str, partition: str) -> None:
    with filled.engine.begin() as connection:
        long_statements(connection)
        connection.execute(text(f"DELETE FROM incidents WHERE {mine}"))
    execute_alone(filled.engine, f"VACUUM (ANALYZE) {partition}", "CHECKPOINT")
