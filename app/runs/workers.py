"""Worker processes, on whatever machine: which of them are alive."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, DateTime, delete, func, literal, select
from sqlalchemy.dialects.postgresql import insert

from app.core.db.tables import worker_processes

MAX_SILENCE_S = 24 * 3600.0
MAX_MACHINE_CHARS = 100


def note_worker(connection: Connection, worker: UUID, takes: str = "all") -> None:
    """Record that a worker process is alive now by the database's clock, and how far its own is off.

    Args:
        takes: which jobs it takes.
    """
    connection.execute(select(1))  # the transaction begins before this machine's clock is read
    ahead = literal(datetime.now(UTC), DateTime(timezone=True)) - func.clock_timestamp()
    beat = {
        "heartbeat_at": func.now(),
        "takes": takes,
        "clock_ahead_s": func.extract("epoch", ahead),
        "machine": socket.gethostname()[:MAX_MACHINE_CHARS],
    }
    connection.execute(
        insert(worker_processes)
        .values(id=worker, **beat)
        .on_conflict_do_update(index_elements=["id"], set_=beat)
    )


def forget_worker(connection: Connection, worker: UUID) -> None:
    """Remove a worker process that ends."""
    connection.execute(delete(worker_processes).where(worker_processes.c.id == worker))


def forget_lost_workers(connection: Connection) -> int:
    """Remove worker processes that have been silent for a day; return how many."""
    silent = worker_processes.c.heartbeat_at < _ago(MAX_SILENCE_S)
    return connection.execute(delete(worker_processes).where(silent)).rowcount


def count_workers(connection: Connection, stalled_s: float, *, takes: str | None = None) -> int:
    """Count worker processes that were alive within the last `stalled_s` seconds.

    Args:
        takes: only those that take these jobs.
    """
    living = worker_processes.c.heartbeat_at > _ago(stalled_s)
    query = select(func.count()).select_from(worker_processes).where(living)
    if takes is not None:
        query = query.where(worker_processes.c.takes == takes)
    return int(connection.scalar(query) or 0)


def _ago(seconds: float) -> ColumnElement[datetime]:
    return func.now() - func.make_interval(0, 0, 0, 0, 0, 0, seconds)
