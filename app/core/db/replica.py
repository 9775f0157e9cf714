"""Reads from a replica, but only where it knows all that has been done.

What callers do is recorded in the audit log in the same transaction (`app/audit/store.py`), and the heads of
its chains only grow. So a replica whose head of a region is no older than the primary's knows every act in
that region, of whatever caller and process. Each read asks both; whatever is in doubt is read from the
primary. What this process writes without an entry is known by its place in the write-ahead log.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, Row, event, text
from sqlalchemy.exc import SQLAlchemyError

from app.core.db.engine import engine_on, unavailable
from app.core.errors import HotslotError, Unavailable
from app.core.settings import Settings

REST_S = 5.0
"""A replica that failed is not asked again for so long."""
_ACTS = """
    (SELECT coalesce(sum(seq), 0)::bigint FROM audit_heads
     WHERE CAST(:region AS text) IS NULL OR chain IN (:region, '*')) AS acts,
    (SELECT encode(sha256(string_agg(value, ''::bytea ORDER BY name)), 'hex') FROM secrets)
        AS installation
"""
_PLACE = "SELECT (pg_current_wal_flush_lsn() - '0/0')::bigint AS place"
_PLACE_OF_WRITE = text(_PLACE)
_OF_PRIMARY = text(_PLACE + "," + _ACTS)
_OF_REPLICA = text(
    "SELECT pg_is_in_recovery() AS is_replica,"
    " coalesce((pg_last_wal_replay_lsn() - '0/0')::bigint, 0) AS place,"
    " coalesce(date_part('epoch', clock_timestamp() - pg_last_xact_replay_timestamp()), 0)"
    " AS age_s," + _ACTS
)
_log = logging.getLogger("hotslot.database")


@dataclass
class _Reading:
    """A request that may read from the replica, until it writes."""

    region: str | None
    has_written: bool = False


_reading: ContextVar[_Reading | None] = ContextVar("reading", default=None)


@contextmanager
def may_read_replica(region: str | None) -> Iterator[None]:
    """Let the block's reads use the replica, if there is one.

    Args:
        region: id of the only region that is read; None: any.
    """
    token = _reading.set(_Reading(region))
    try:
        yield
    finally:
        _reading.reset(token)


class Replica:
    """A replica, and what reads of it need; one per process, shared by its threads."""

    def __init__(self, engine: Engine, max_lag_s: float) -> None:
        self.engine = engine
        self.max_lag_s = max_lag_s
        self.n_served = 0
        """Connections to the replica that were given out."""
        self._lock = threading.Lock()
        self._rests_until = 0.0
        self._fault: str | None = None
        self._needed = 0
        """Place in the log after the last write of this process."""
        event.listen(engine, "handle_error", self._on_error)

    def note_write(self, connection: Connection) -> None:
        """Record that a transaction of this process was committed by this connection to the primary."""
        place = int(connection.scalar(_PLACE_OF_WRITE) or 0)
        with self._lock:
            self._needed = max(self._needed, place)

    def connect(self, primary: Callable[[], Connection], region: str | None) -> Connection | None:
        """Return a connection to the replica, or None where the primary must be read.

        Args:
            primary: opens a connection to the primary.
        """
        if time.monotonic() < self._rests_until:
            return None
        needed = self._needed
        with primary() as connection:
            known = position(connection, region)
        try:
            return self._checked(known, needed, region)
        except (HotslotError, SQLAlchemyError, psycopg.Error) as error:
            self._rest(str(error))
            return None

    def _checked(self, known: Row[Any], needed: int, region: str | None) -> Connection | None:
        connection = self.engine.connect()
        try:
            found = position(connection, region, of_replica=True)
            connection.rollback()  # what is read next must see no older snapshot
            fault = fault_of(known, found, self.max_lag_s)
            if fault is not None:
                self._rest(fault)
            elif found.place >= needed and found.acts >= known.acts:
                self._recovered()
                self.n_served += 1
                return connection
        except BaseException:
            connection.close()
            raise
        connection.close()
        return None

    def _rest(self, fault: str) -> None:
        """Leave the replica alone for a while; log a fault once, not at each read."""
        self._rests_until = time.monotonic() + REST_S
        with self._lock:
            is_new, self._fault = self._fault is None, fault
        if is_new:
            _log.warning("reads go to the primary", extra={"reason": " ".join(fault.split())})

    def _recovered(self) -> None:
        with self._lock:
            was, self._fault = self._fault, None
        if was is not None:
            _log.info("reads go to the replica again")

    def _on_error(self, context: Any) -> None:
        """Answer 503 where the replica fails in the middle of a read; the next one uses the primary."""
        error = context.original_exception
        if context.is_pre_ping:
            return
        found = unavailable(error)
        if isinstance(error, psycopg.errors.SerializationFailure):
            message = "the replica ended a read because of a change; try again"
            found = Unavailable(message, retry_after_s=1, code="replica_conflict")
        if found is not None:
            self._rest(str(error))
            raise found


def position(connection: Connection, region: str | None, *, of_replica: bool = False) -> Row[Any]:
    """Return how far a server is: its place in the write-ahead log, acts recorded, its installation."""
    asked = _OF_REPLICA if of_replica else _OF_PRIMARY
    return connection.execute(asked, {"region": region}).one()


def fault_of(known: Row[Any], found: Row[Any], max_lag_s: float) -> str | None:
    """Return why a server cannot serve as the primary's replica, or None."""
    if not found.is_replica:
        return "HOTSLOT_READ_DATABASE_URL is not a replica: it can be written"
    if found.installation != known.installation:
        return "HOTSLOT_READ_DATABASE_URL is a replica of another database"
    # On a primary without commits the last one is old, but nothing is missing.
    if found.place < known.place and found.age_s > max_lag_s:
        return f"the replica is {found.age_s:.0f} s behind"
    return None


class RoutedEngine(Engine):
    """The primary's engine; `connect` reads from the replica inside `may_read_replica`.

    What `begin` begins may write: it, and what its request reads later, uses the primary.
    """

    def __init__(self, primary: Engine, replica: Replica) -> None:
        super().__init__(primary.pool, primary.dialect, primary.url)
        self.replica = replica

    def connect(self) -> Connection:
        """Open a connection to the replica if this request may, and it knows enough; else the primary."""
        now = _reading.get()
        if now is None or now.has_written:
            return super().connect()
        return self.replica.connect(super().connect, now.region) or super().connect()

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """Begin a transaction on the primary."""
        now = _reading.get()
        if now is not None:
            now.has_written = True
        with super().connect() as connection:
            with connection.begin():
                yield connection
            self.replica.note_write(connection)


def with_replica(primary: Engine, settings: Settings) -> Engine:
    """Return the engine that the API reads and writes by; the primary's own without a replica.

    Nothing is connected yet: a replica that is down, or is none, is not used and does not stop the service.

    Raises:
        InvalidInput: the replica's address is not PostgreSQL's.
    """
    if settings.read_database_url is None:
        return primary
    address = settings.read_database_url.get_secret_value()
    engine = engine_on(address, settings, "read_database_url")
    return RoutedEngine(primary, Replica(engine, settings.read_max_lag_s))
