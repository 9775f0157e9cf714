"""Write incidents: COPY into a staging table, then one merge, all in the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from sqlalchemy import Connection, select, text
from sqlalchemy.dialects.postgresql import insert

from app.core.db.engine import long_statements, translate_errors
from app.core.db.locks import IDEMPOTENCY_LOCK, INGEST_LOCK, transaction_lock
from app.core.db.tables import categories, uploads
from app.geo.antimeridian import middle_longitude
from app.incidents.parsing.spellings import Spelling
from app.regions.kinds import folded

MAX_EQUAL_ROWS = 32_767
"""Rows of one upload without an id that agree in time, place and category: the column has two bytes."""
MERGE_TIMEOUT_S = 3600.0
"""One statement of an upload of the largest size allowed."""
LOCK_WAIT_S = 600
COPY_BYTES = 1 << 20
STAGED_COLUMNS = (
    "row",
    "time_s",
    "longitude",
    "latitude",
    "x_m",
    "y_m",
    "window",
    "category",
    "external_id",
    "source",
    "dedup_key",
)
_CREATE_STAGING = text(
    """
    CREATE TEMP TABLE staged_incidents (
        "row" bigint, time_s bigint, longitude float8, latitude float8, x_m real, y_m real,
        "window" smallint, category text, external_id text, source text, dedup_key uuid
    ) ON COMMIT DROP
    """
)
_CREATE_REFUSED = text("CREATE TEMP TABLE refused_rows (digest uuid) ON COMMIT DROP")
_RESPELL = text("UPDATE staged_incidents SET category = :there WHERE category = :name")
# Equal rows of one upload are counted, so that two true incidents at one place and minute stay two;
# rows that share an external id are one incident, whose last version counts.
_NUMBER_ROWS = text(
    """
    CREATE TEMP TABLE merged_incidents ON COMMIT DROP AS
    SELECT numbered.*, CASE WHEN external_id IS NULL THEN place ELSE 1 END AS occurrence,
           categories.key AS category_key
    FROM (
        SELECT *, row_number() OVER (PARTITION BY dedup_key ORDER BY "row") AS place,
               count(*) OVER (PARTITION BY dedup_key) AS copies
        FROM staged_incidents
    ) AS numbered
    JOIN categories ON categories.region_key = :region AND categories.name = numbered.category
    WHERE external_id IS NULL OR place = copies
    """
)
# Names beyond the region's limit, by their first row: a free-text column is not a category.
_TOO_MANY = text(
    """
    WITH named AS (
        SELECT category, min("row") AS first FROM staged_incidents GROUP BY category
    ), unknown AS (
        SELECT category, row_number() OVER (ORDER BY first) AS place FROM named
        WHERE NOT EXISTS (SELECT FROM categories WHERE region_key = :region AND name = category)
    )
    SELECT category FROM unknown
    WHERE place > :limit - (SELECT count(*) FROM categories WHERE region_key = :region)
    """
)
_REFUSE_CATEGORIES = text(
    """
    WITH gone AS (DELETE FROM staged_incidents WHERE category = ANY(:names) RETURNING "row")
    SELECT count(*), (array_agg("row" ORDER BY "row"))[1:(:echoed)] FROM gone
    """
)
_TOO_OFTEN = text(
    """
    SELECT count(*), (array_agg("row" ORDER BY "row"))[1:(:echoed)] FROM merged_incidents
    WHERE occurrence > :limit
    """
)
_CHANGED = """
    FROM merged_incidents AS m
    WHERE m.external_id IS NOT NULL AND i.region_key = :region AND i.dedup_key = m.dedup_key
      AND i.occurrence = 1
      AND (i.occurred_at, i.longitude, i.latitude, i.category_key, i.source)
          IS DISTINCT FROM
          (to_timestamp(m.time_s), m.longitude, m.latitude, m.category_key, m.source)
"""
_KEEP_HISTORY = text(
    """
    INSERT INTO incident_history (region_key, external_id, action, before)
    SELECT i.region_key, i.external_id, 'corrected', to_jsonb(i)
    """
    + _CHANGED.replace("FROM merged_incidents AS m", "FROM merged_incidents AS m, incidents AS i")
)
_CORRECT = text(
    """
    UPDATE incidents AS i SET
        occurred_at = to_timestamp(m.time_s), longitude = m.longitude, latitude = m.latitude,
        x_m = m.x_m, y_m = m.y_m, "window" = m."window", category_key = m.category_key,
        source = m.source, upload_id = :upload
    """
    + _CHANGED
)
# In order of time, so that a slot's rows share pages and indexes by time grow at their ends.
_INSERT = text(
    """
    INSERT INTO incidents (region_key, occurred_at, longitude, latitude, x_m, y_m, "window",
        category_key, external_id, source, dedup_key, occurrence, upload_id)
    SELECT :region, to_timestamp(time_s), longitude, latitude, x_m, y_m, "window",
        category_key, external_id, source, dedup_key, occurrence, :upload
    FROM merged_incidents
    WHERE occurrence <= :limit
    ORDER BY time_s
    ON CONFLICT (region_key, dedup_key, occurrence) DO NOTHING
    """
)


_COUNT_REPEATED = text(
    """
    SELECT (SELECT count(*) FROM staged_incidents) - count(*) FILTER (WHERE occurrence = 1),
           (SELECT count(*) - count(DISTINCT digest) FROM refused_rows),
           count(*) FILTER (WHERE occurrence > :limit)
    FROM merged_incidents
    """
)
# In the order of the keys, which are hashes: a random sample, found by their index.
_SOME_PLACES = text(
    """
    SELECT longitude, latitude FROM incidents WHERE region_key = :region
    ORDER BY region_key, dedup_key LIMIT :n
    """
)
PLACES_SAMPLED = 1_000


@dataclass(frozen=True)
class RefusedRows:
    """Rows that a merge rejected: how many, and the first ones' positions in the upload (from 0)."""

    code: str
    count: int
    first: list[int]


@dataclass(frozen=True)
class Merged:
    """Result of a merge; `repeated` rows, rejected ones included, equal an earlier one of their upload."""

    added: int
    corrected: int
    repeated: int
    refused: list[RefusedRows]


@dataclass(frozen=True)
class StoredUpload:
    """A finished upload with its summary."""

    id: int
    body_sha256: str | None
    summary: dict[str, Any]


def lock_idempotency_key(connection: Connection, region_key: int, key: str) -> bool:
    """Lock the key for this transaction; return False if another upload holds it."""
    taken = connection.scalar(
        text("SELECT pg_try_advisory_xact_lock(:lock, hashtext(:key))"),
        {"lock": IDEMPOTENCY_LOCK, "key": f"{region_key}:{key}"},
    )
    return bool(taken)


def find_upload(
    connection: Connection, region_key: int, idempotency_key: str
) -> StoredUpload | None:
    """Return the upload that was made with this key, or None."""
    row = connection.execute(
        select(uploads.c.id, uploads.c.body_sha256, uploads.c.summary).where(
            uploads.c.region_key == region_key, uploads.c.idempotency_key == idempotency_key
        )
    ).one_or_none()
    return None if row is None else StoredUpload(*row)


def create_staging(connection: Connection) -> None:
    """Create this transaction's staging tables; it may wait long for another upload's merge."""
    long_statements(connection, MERGE_TIMEOUT_S)
    connection.execute(text(f"SET LOCAL lock_timeout = {1000 * LOCK_WAIT_S}"))
    connection.execute(_CREATE_STAGING)
    connection.execute(_CREATE_REFUSED)


def staged_rows(table: pa.Table) -> memoryview:
    """Serialise rows (`STAGED_COLUMNS`) in the form that `stage` reads."""
    buffer = BytesIO()
    options = pa_csv.WriteOptions(include_header=False)
    pa_csv.write_csv(table.select(list(STAGED_COLUMNS)), buffer, options)
    return buffer.getbuffer()


def stage(connection: Connection, rows: IO[bytes], refused: IO[bytes]) -> None:
    """COPY rows into the staging table, and a line of 32 hex digits for each refused row.

    The digests serve only to count repeated rows in this transaction.
    """
    _copy_in(connection, "COPY staged_incidents FROM STDIN (FORMAT csv)", rows)
    _copy_in(connection, "COPY refused_rows FROM STDIN", refused)


def _copy_in(connection: Connection, statement: str, file: IO[bytes]) -> None:
    driver: Any = connection.connection.driver_connection
    if file.tell() == 0:
        return
    file.seek(0)
    with translate_errors(), driver.cursor() as cursor, cursor.copy(statement) as copy:
        while chunk := file.read(COPY_BYTES):
            copy.write(chunk)


def merge(
    connection: Connection, region_key: int, upload_id: int, *, max_categories: int, echoed: int
) -> Merged:
    """Move staged rows to the incidents.

    One merge per region at a time, so concurrent uploads of the same rows neither deadlock nor add twice.

    Args:
        max_categories: names that a region may have; rows with others are rejected.
        echoed: how many positions of rejected rows to return.
    """
    transaction_lock(connection, INGEST_LOCK, region_key)
    of_region = {"region": region_key}
    refused = _refuse_categories(connection, region_key, max_categories, echoed)
    _add_categories(connection, region_key)
    connection.execute(_NUMBER_ROWS, of_region)
    values = {"region": region_key, "upload": upload_id}
    connection.execute(_KEEP_HISTORY, of_region)
    corrected = connection.execute(_CORRECT, values).rowcount
    limit = {"limit": MAX_EQUAL_ROWS}
    added = connection.execute(_INSERT, {**values, **limit}).rowcount
    accepted_again, refused_again, too_often = connection.execute(_COUNT_REPEATED, limit).one()
    if too_often:
        found = connection.execute(_TOO_OFTEN, {**limit, "echoed": echoed}).one()
        refused.append(RefusedRows("too_many_equal_rows", *found))
    return Merged(added, corrected, accepted_again + refused_again, refused)


def spellings_of(connection: Connection, region_key: int) -> dict[str, Spelling]:
    """Return how a region's kinds are written, by their folded names."""
    found = select(categories.c.name, categories.c.hashed).where(
        categories.c.region_key == region_key
    )
    known: dict[str, Spelling] = {}
    for name, hashed in connection.execute(found.order_by(categories.c.key)):
        known.setdefault(folded(name), Spelling(name, name if hashed is None else hashed))
    return known


def _add_categories(connection: Connection, region_key: int) -> None:
    """Add the staged rows' kinds that are new, unless a concurrent upload has just spelt them."""
    known = spellings_of(connection, region_key)
    for name in connection.scalars(text("SELECT DISTINCT category FROM staged_incidents")).all():
        fold = folded(name)
        there = known.get(fold)
        if there is None:
            known[fold] = Spelling(name, fold)
            values = {"region_key": region_key, "name": name, "hashed": fold}
            connection.execute(insert(categories).values(values).on_conflict_do_nothing())
        elif there.name != name:
            connection.execute(_RESPELL, {"name": name, "there": there.name})


def _refuse_categories(
    connection: Connection, region_key: int, limit: int, echoed: int
) -> list[RefusedRows]:
    """Remove staged rows whose category exceeds the region's limit."""
    values = {"region": region_key, "limit": limit}
    names = list(connection.scalars(_TOO_MANY, values))
    if not names:
        return []
    found = connection.execute(_REFUSE_CATEGORIES, {"names": names, "echoed": echoed}).one()
    return [RefusedRows("too_many_categories", *found)]


def refresh_statistics(connection: Connection) -> None:
    """Update the planner's statistics after many rows were added at once.

    Until autovacuum runs (minutes, for large tables) plans would be made for the table as it was: a read
    of one hour among ten million new rows exceeded its deadline.
    """
    connection.execute(text("ANALYZE (SKIP_LOCKED) incidents, categories"))


def middle_of(connection: Connection, region_key: int) -> tuple[float, float] | None:
    """Return the median longitude and latitude of a sample of a region's incidents, or None."""
    rows = connection.execute(_SOME_PLACES, {"region": region_key, "n": PLACES_SAMPLED}).all()
    if not rows:
        return None
    places = np.array([tuple(row) for row in rows], np.float64)
    return middle_longitude(places[:, 0]), float(np.median(places[:, 1]))


def begin_upload(
    connection: Connection, region_key: int, idempotency_key: str | None, source: str | None
) -> int:
    """Create a row for this upload; its summary follows at the end of the same transaction."""
    return int(
        connection.execute(
            insert(uploads)
            .values(
                region_key=region_key, idempotency_key=idempotency_key, source=source, summary={}
            )
            .returning(uploads.c.id)
        ).scalar_one()
    )


def end_upload(
    connection: Connection,
    upload_id: int,
    body_sha256: str,
    summary: Mapping[str, Any],
    report: Mapping[str, Any],
) -> None:
    """Store the caller's summary and the further counts of the data report."""
    connection.execute(
        uploads.update()
        .where(uploads.c.id == upload_id)
        .values(body_sha256=body_sha256, summary=dict(summary), report=dict(report))
    )
