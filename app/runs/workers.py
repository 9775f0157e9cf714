"""Worker processes, on whatever machine: which of them are alive."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from app.core.db.tables import worker_processes

MAX_SILENCE_S = 24 * 3600.0


def note_worker(connection: Connection, worker: UUID) -> None:
    """Record that a worker process is alive now, by the database's clock."""
    beat = {"heartbeat_at": func.now()}
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


def count_workers(connection: Connection, stalled_s: float) -> int:
    """Count worker processes that were alive within the last `stalled_s` seconds."""
    living = worker_processes.c.heartbeat_at > _ago(stalled_s)
    query = select(func.count()).select_from(worker_processes).where(living)
    return int(connection.scalar(query) or 0)


def _ago(seconds: float) -> ColumnElement[datetime]:
    return func.now() - func.make_interval(0, 0, 0, 0, 0, 0, seconds)
