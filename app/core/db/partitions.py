"""Copy the incidents of an older database into their partitions, while the service works.

The migration makes the partitioned table beside the plain one; triggers let it follow every change. What
is older is copied here by batches, each a transaction that also stores how far the copy is: killed
anywhere, it goes on there. Then both tables are compared and, within one short transaction, exchanged.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import Connection, Engine, Row, text
from sqlalchemy.exc import IntegrityError

from app.core.db.engine import long_statements
from app.core.db.locks import INGEST_LOCK, transaction_lock
from app.core.errors import Unavailable

Stage = Literal["copying", "comparing", "swapping", "dropping", "differs"]
BATCH_ROWS = 20_000
"""An upload to their region waits for them."""
SMALL_ROWS = 200_000
"""Fewer incidents are copied at once by `hotslot migrate`."""
SMALL_S = 300.0
"""If others hold locks for longer, the maintenance goes on."""
LOCK_WAIT_MS = 1_000
"""For an exclusive lock, behind which everyone else queues."""
INGEST_WAIT_S = 600
PAUSE_S = 1.0
_LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)
_COLUMNS = (
    'id, region_key, occurred_at, longitude, latitude, x_m, y_m, "window", category_key, {external_id},'
    " source, dedup_key, occurrence, upload_id, inserted_at, reference, feed_key, revised_at, occurred_to"
)
_TARGET = _COLUMNS.format(external_id="external_id")
# Ids longer than the limit of migration 0019 may have been stored before it.
_SOURCE = _COLUMNS.format(external_id="left(external_id, 200)")
_STATE = text("SELECT stage, copied, total FROM incident_copy")
_CLAIM = text("SELECT * FROM incident_copy FOR UPDATE SKIP LOCKED")
_NEXT_REGION = text("SELECT min(key) FROM regions WHERE key >= :region")
# In order of time, so that the hours of a region share pages.
_COPY = text(
    f"""
    WITH batch AS MATERIALIZED (
        SELECT {_SOURCE} FROM incidents
        WHERE region_key = :region AND (occurred_at, id) > (:at, :id)
        ORDER BY occurred_at, id LIMIT :n
    ), stored AS (
        INSERT INTO incidents_next ({_TARGET})
        SELECT {_TARGET.replace("external_id", '"left"')} FROM batch ON CONFLICT DO NOTHING
    )
    SELECT occurred_at, id, count(*) OVER () AS n FROM batch ORDER BY occurred_at DESC, id DESC LIMIT 1
    """  # noqa: S608 - constants
)
# One statement sees one moment, at which both tables are to be equal.
_DIGEST = """
    SELECT count(*) AS n, sum(hash_record_extended(ROW({columns}), 0)::numeric) AS digest
    FROM {table} WHERE region_key = :region
"""
_SAME = text(
    f"""
    SELECT (a.n, a.digest) IS NOT DISTINCT FROM (b.n, b.digest)
    FROM ({_DIGEST.format(columns=_SOURCE, table="incidents")}) AS a,
         ({_DIGEST.format(columns=_TARGET, table="incidents_next")}) AS b
    """  # noqa: S608 - constants
)
_NO_UPLOAD_RUNS = text(
    "SELECT coalesce(bool_and(pg_try_advisory_xact_lock(:lock, key)), true) FROM regions"
)
_INDEXES = text(
    "SELECT i.relname FROM pg_index JOIN pg_class AS i ON i.oid = indexrelid"
    " WHERE indrelid = to_regclass(:table)"
)
_FOREIGN_KEYS = text(
    "SELECT conname FROM pg_constraint WHERE conrelid = 'incidents_before'::regclass AND contype = 'f'"
)
_BEGINNING = {
    "stage": "copying", "region": 0, "after_at": _LONG_AGO, "after_id": 0, "copied": 0,
}  # fmt: skip
_log = logging.getLogger("hotslot.partitions")


@dataclass(frozen=True)
class CopyProgress:
    """How far the copy is.

    Args:
        stage: `differs` if the comparison failed: then it rests until `restart`.
        total: an estimate made at the start.
    """

    stage: Stage
    copied: int
    total: int

    @property
    def share(self) -> float:
        """Share of the rows that are copied, 1 only when all are."""
        return min(0.99, self.copied / max(self.total, 1)) if self.stage == "copying" else 1.0


class _Busy(Exception):
    """Another process is at it, or holds a lock: try again later."""


def copy_progress(connection: Connection) -> CopyProgress | None:
    """Return how far the copy into partitions is, or None: nothing is left to do."""
    row = connection.execute(_STATE).one_or_none()
    return None if row is None else CopyProgress(*row)


def advance_copy(
    engine: Engine,
    within_s: float,
    report: Callable[[CopyProgress], None] = lambda _: None,
) -> CopyProgress | None:
    """Go on with the copy for some time; return how far it is, or None when it is done.

    Any number of processes may call this; one at a time works.

    Args:
        within_s: no step begins later; a step takes a few seconds, the comparison of a region as long
            as reading it twice.
        report: called after each step.

    Raises:
        Unavailable: the database cannot be reached, or an upload takes longer than `INGEST_WAIT_S`.
    """
    ends_s = time.monotonic() + within_s
    while True:
        with engine.connect() as connection:
            progress = copy_progress(connection)
        if progress is None or progress.stage == "differs":
            return progress
        report(progress)
        if time.monotonic() > ends_s:
            return progress
        try:
            with engine.begin() as connection:
                _step(connection)
        except _Busy:
            time.sleep(PAUSE_S)
        except IntegrityError as error:
            _log.error("incidents cannot be copied", extra={"reason": str(error.orig)})
            with engine.begin() as connection:
                _store(connection, stage="differs")
        except Unavailable as error:
            if error.code != "database_timeout" or progress.stage in ("copying", "comparing"):
                raise
            time.sleep(PAUSE_S)  # readers hold the tables


def copy_if_small(engine: Engine) -> None:
    """Copy at once what takes seconds."""
    some = text("SELECT count(*) FROM (SELECT FROM incidents LIMIT :n) AS few")
    with engine.connect() as connection:
        if copy_progress(connection) is None:
            return
        n = int(connection.scalar(some, {"n": SMALL_ROWS}) or 0)
    if n < SMALL_ROWS:
        advance_copy(engine, SMALL_S)


def restart(engine: Engine) -> None:
    """Begin a copy anew that was found to differ."""
    with engine.begin() as connection:
        row = connection.execute(_CLAIM).one_or_none()
        if row is not None and row.stage == "differs":
            connection.execute(text("TRUNCATE incidents_next"))
            _store(connection, **_BEGINNING)


def _step(connection: Connection) -> None:
    """Do the next piece of work, in the caller's transaction."""
    long_statements(connection)
    claimed = connection.execute(_CLAIM).one_or_none()
    if claimed is None or claimed.stage == "differs":
        raise _Busy
    _STEPS[claimed.stage](connection, claimed)


def _copy_batch(connection: Connection, at: Row[Any]) -> None:
    region = connection.scalar(_NEXT_REGION, {"region": at.region})
    if region is None:
        _store(connection, stage="comparing", region=0)
        return
    connection.execute(text(f"SET LOCAL lock_timeout = '{INGEST_WAIT_S}s'"))
    # Nobody may change a row between its being read and its being stored here.
    transaction_lock(connection, INGEST_LOCK, region)
    begun = region == at.region
    after = {"at": at.after_at, "id": at.after_id} if begun else {"at": _LONG_AGO, "id": 0}
    last = connection.execute(_COPY, {"region": region, "n": BATCH_ROWS, **after}).one_or_none()
    n = 0 if last is None else last.n
    if last is None or n < BATCH_ROWS:
        _store(connection, **{**_BEGINNING, "region": region + 1, "copied": at.copied + n})
    else:
        place = {"after_at": last.occurred_at, "after_id": last.id}
        _store(connection, region=region, copied=at.copied + n, **place)


def _compare_region(connection: Connection, at: Row[Any]) -> None:
    region = connection.scalar(_NEXT_REGION, {"region": at.region})
    if region is None:
        # For the planner; afterwards uploads and autovacuum do it.
        connection.execute(text("ANALYZE incidents_next"))
        _store(connection, stage="swapping")
    elif connection.scalar(_SAME, {"region": region}):
        _store(connection, region=region + 1)
    else:
        _log.error("the copied incidents of a region differ", extra={"region": region})
        _store(connection, stage="differs", region=region)


def _swap(connection: Connection, _: Row[Any]) -> None:
    """Exchange the tables. No row is read; the old ones go, as an erasure would not find them there."""
    if not connection.scalar(_NO_UPLOAD_RUNS, {"lock": INGEST_LOCK}):
        raise _Busy
    connection.execute(text(f"SET LOCAL lock_timeout = {LOCK_WAIT_MS}"))
    connection.execute(text("LOCK TABLE incidents IN ACCESS EXCLUSIVE MODE"))
    connection.execute(
        text("SELECT setval('incident_ids', nextval(pg_get_serial_sequence('incidents', 'id')))")
    )
    for event in ("insert", "update", "delete", "truncate"):
        connection.execute(text(f"DROP TRIGGER mirror_{event} ON incidents"))
    connection.execute(text("DROP FUNCTION mirror_incidents()"))
    connection.execute(text("TRUNCATE incidents"))
    _rename(connection, "incidents", "incidents_before", lambda name: f"{name}_before")
    _rename(connection, "incidents_next", "incidents", lambda name: name.removesuffix("_next"))
    _store(connection, stage="dropping")


def _rename(connection: Connection, old: str, new: str, named: Callable[[str], str]) -> None:
    for name in connection.scalars(_INDEXES, {"table": old}).all():
        connection.execute(text(f'ALTER INDEX "{name}" RENAME TO "{named(name)}"'))
    connection.execute(text(f"ALTER TABLE {old} RENAME TO {new}"))


def _drop(connection: Connection, _: Row[Any]) -> None:
    """Drop one foreign key of the old table, or at last the table.

    One at a time: each needs an exclusive lock on a table that requests read all the time.
    """
    connection.execute(text(f"SET LOCAL lock_timeout = {LOCK_WAIT_MS}"))
    key = connection.scalars(_FOREIGN_KEYS).first()
    if key is not None:
        connection.execute(text(f'ALTER TABLE incidents_before DROP CONSTRAINT "{key}"'))
        return
    connection.execute(text("DROP TABLE incidents_before"))
    connection.execute(text("DELETE FROM incident_copy"))
    _log.info("incidents are in partitions")


_STEPS = {
    "copying": _copy_batch,
    "comparing": _compare_region,
    "swapping": _swap,
    "dropping": _drop,
}


def _store(connection: Connection, **values: object) -> None:
    assigned = ", ".join(f"{name} = :{name}" for name in values)
    connection.execute(text(f"UPDATE incident_copy SET {assigned}"), values)  # noqa: S608
