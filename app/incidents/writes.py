"""Stage an upload's rows by COPY for `app.incidents.merging.merge`, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from numpy.typing import NDArray
from sqlalchemy import Connection, select, text
from sqlalchemy.dialects.postgresql import insert

from app.core.db.engine import long_statements, translate_errors
from app.core.db.locks import IDEMPOTENCY_LOCK
from app.core.db.tables import categories, uploads
from app.geo.antimeridian import middle_longitude
from app.incidents.parsing.spellings import Spelling
from app.regions.kinds import folded

MERGE_TIMEOUT_S = 3600.0
"""One statement of an upload of the largest size allowed."""
LOCK_WAIT_S = 600
COPY_BYTES = 1 << 20
STAGED_COLUMNS = (
    "row",
    "time_s",
    "end_s",
    "longitude",
    "latitude",
    "x_m",
    "y_m",
    "window",
    "category",
    "external_id",
    "source",
    "dedup_key",
    "id_key",
    "reference",
    "feed",
    "revised_s",
)
_CREATE_STAGING = text(
    """
    CREATE TEMP TABLE staged_incidents (
        "row" bigint, time_s bigint, end_s bigint, longitude float8, latitude float8, x_m real, y_m real,
        "window" smallint, category text, external_id text, source text, dedup_key uuid,
        id_key uuid, reference text, feed text, revised_s bigint
    ) ON COMMIT DROP
    """
)
_CREATE_REFUSED = text("CREATE TEMP TABLE refused_rows (digest uuid) ON COMMIT DROP")
_RESPELL = text("UPDATE staged_incidents SET category = :there WHERE category = :name")
# In the order of the keys, which are hashes: a random sample, found by their index.
_SOME_PLACES = text(
    """
    SELECT longitude, latitude FROM incidents WHERE region_key = :region
    ORDER BY region_key, dedup_key LIMIT :n
    """
)
PLACES_SAMPLED = 1_000
_PARTITION = text(
    "SELECT tableoid::regclass::text FROM incidents WHERE region_key = :region LIMIT 1"
)
_ALL_HAVE_GROWN = text(
    """
    SELECT 2 * whole.reltuples < sum(part.reltuples) FROM pg_class AS whole
    JOIN pg_inherits ON inhparent = whole.oid JOIN pg_class AS part ON part.oid = inhrelid
    WHERE whole.oid = 'incidents'::regclass GROUP BY whole.reltuples
    """
)


@dataclass(frozen=True)
class RefusedRows:
    """Rows that a merge rejected.

    Args:
        first: the first ones' positions in the upload, from 0.
        params: of the message.
        each: of the messages of `first`, where they differ.
    """

    code: str
    count: int
    first: list[int]
    params: Mapping[str, Any] = field(default_factory=dict)
    each: Sequence[Mapping[str, Any]] = ()


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


def spellings_of(connection: Connection, region_key: int) -> dict[str, Spelling]:
    """Return how a region's kinds are written, by their folded names."""
    found = select(categories.c.name, categories.c.hashed).where(
        categories.c.region_key == region_key
    )
    known: dict[str, Spelling] = {}
    for name, hashed in connection.execute(found.order_by(categories.c.key)):
        known.setdefault(folded(name), Spelling(name, name if hashed is None else hashed))
    return known


def add_categories(connection: Connection, region_key: int) -> None:
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


def refresh_statistics(connection: Connection, region_key: int) -> None:
    """Update the planner's statistics after many rows were added to a region at once.

    Until autovacuum runs (minutes, for large tables) plans would be made for the table as it was: a read
    of one hour among ten million new rows exceeded its deadline. The region's partition is enough until
    all have grown twofold; autovacuum never looks at them as a whole.
    """
    partition = connection.scalar(_PARTITION, {"region": region_key})
    if partition is not None:
        connection.execute(text(f"ANALYZE (SKIP_LOCKED) {partition}, categories"))
    if connection.scalar(_ALL_HAVE_GROWN):
        connection.execute(text("ANALYZE (SKIP_LOCKED) incidents"))


def some_places(connection: Connection, region_key: int) -> NDArray[np.float64]:
    """Return longitude and latitude (n, 2) of a random sample of a region's incidents."""
    rows = connection.execute(_SOME_PLACES, {"region": region_key, "n": PLACES_SAMPLED}).all()
    return np.array([tuple(row) for row in rows], np.float64).reshape(-1, 2)


def middle_of(connection: Connection, region_key: int) -> tuple[float, float] | None:
    """Return the median longitude and latitude of a sample of a region's incidents, or None."""
    places = some_places(connection, region_key)
    if len(places) == 0:
        return None
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
