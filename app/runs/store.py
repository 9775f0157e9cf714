"""Rows of long-running work: training runs, backtests and sync runs share one life cycle.

queued -> running -> succeeded | failed | cancelled. Every claim raises `attempt`; a writer passes
its own attempt, and a write with an old one is refused (a worker that was frozen and resumes cannot
overwrite its successor's work).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID, uuid4

from sqlalchemy import Connection, Row, func, insert, select, update

from app.audit import store as audit
from app.core.db.locks import count_lock
from app.core.errors import Conflict, NotFound, QueueFull
from app.core.messages import Message
from app.core.processes.memory import peak_memory_bytes
from app.core.roles import current_actor
from app.runs.kinds import KINDS
from app.runs.queue import defer_job, drop_parts, fair_priority
from app.runs.words import columns_of, words

FINAL = ("succeeded", "failed", "cancelled")
UNFINISHED = ("queued", "running")
MAX_CALLER_CHARS = 300


class Superseded(Conflict):
    """Another worker has taken this run over; writes of this one are refused."""

    code = "superseded"


@dataclass(frozen=True)
class Run:
    """One training run, backtest or sync run."""

    id: UUID
    region_key: int
    status: str
    progress: float
    message: str
    request: dict[str, Any]
    attempt: int
    cancel_requested: bool
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    model_version: str | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] | None = None
    said: dict[str, Any] | None = None
    """What it is at, or how it ended, by code; None in rows of earlier versions."""
    job_id: int | None = None  # None: it runs in the terminal that asked for it

    @property
    def finished(self) -> bool:
        """Whether its status can no longer change."""
        return self.status in FINAL


def _as_run(row: Row[Any]) -> Run:
    return Run(**{k: value for k, value in row._mapping.items() if k in Run.__dataclass_fields__})


def check_room(connection: Connection, kind: str, region_key: int, limit: int) -> None:
    """Raise unless a region may have another unfinished run; concurrent requests wait meanwhile.

    Raises:
        QueueFull: `limit` of them are queued or running.
    """
    table = KINDS[kind].table
    count_lock(connection, region_key)
    waiting = select(func.count()).where(
        table.c.region_key == region_key, table.c.status.in_(UNFINISHED)
    )
    n = int(connection.scalar(waiting) or 0)
    if n >= limit:
        raise QueueFull(
            f"{n} {KINDS[kind].plural} of this region are queued or running, the limit is {limit}; "
            "wait until some have ended, or cancel some",
            limit=limit,
            asked=n + 1,
        )


def create_run(
    connection: Connection, kind: str, region_key: int, request: Mapping[str, Any]
) -> Run:
    """Create a queued run."""
    table = KINDS[kind].table
    row = connection.execute(
        insert(table)
        .values(
            id=uuid4(),
            region_key=region_key,
            request=dict(request),
            requested_by=current_actor.get()[:MAX_CALLER_CHARS],
            **words("run_queued"),
        )
        .returning(*table.c)
    ).one()
    return _as_run(row)


class RunRequest(Protocol):
    """What a run is requested with."""

    def to_json(self) -> dict[str, Any]:
        """Return the form that is stored in the run's row."""

    def audited(self) -> dict[str, Any]:
        """Return the form that is stored in the audit log."""


def request_run(
    connection: Connection,
    kind: str,
    region_key: int,
    request: RunRequest,
    priority: int | None = None,
) -> Run:
    """Create a run with its job and its audit entry.

    Args:
        priority: highest priority of the job, by default the kind's.
    """
    run = create_run(connection, kind, region_key, request.to_json())
    queue_run(connection, kind, run.id, region_key, priority)
    details = {"run": str(run.id), **request.audited()}
    audit.record_for(connection, f"{KINDS[kind].subject}.requested", region_key, **details)
    return run


def queue_run(
    connection: Connection, name: str, run_id: UUID, region_key: int, priority: int | None = None
) -> None:
    """Queue a job for a run."""
    kind = KINDS[name]
    first = kind.priority if priority is None else priority
    job_id = defer_job(
        connection,
        kind,
        run_id,
        lock=f"{name}:{region_key}" if kind.exclusive else None,
        priority=fair_priority(connection, kind, run_id, region_key, first)
        if kind.takes_turns
        else first,
    )
    table = kind.table
    connection.execute(update(table).where(table.c.id == run_id).values(job_id=job_id))


def get_run(connection: Connection, kind: str, run_id: UUID, region_key: int | None = None) -> Run:
    """Return one run.

    Raises:
        NotFound: no such run (in that region).
    """
    table = KINDS[kind].table
    query = select(table).where(table.c.id == run_id)
    if region_key is not None:
        query = query.where(table.c.region_key == region_key)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"no such {'training run' if kind == 'train' else kind}: {run_id}")
    return _as_run(row)


def list_runs(connection: Connection, kind: str, region_key: int, limit: int = 50) -> list[Run]:
    """List a region's newest runs."""
    table = KINDS[kind].table
    query = (
        select(table)
        .where(table.c.region_key == region_key)
        .order_by(table.c.created_at.desc())
        .limit(limit)
    )
    return [_as_run(row) for row in connection.execute(query)]


def latest_with(
    connection: Connection,
    kind: str,
    region_key: int,
    path: tuple[str, str],
    *,
    on_release: bool = False,
) -> UUID | None:
    """Return a region's newest finished run whose result has `path[1]` in its member `path[0]`.

    Args:
        on_release: only runs that were limited to a release.
    """
    table = KINDS[kind].table
    query = (
        select(table.c.id)
        .where(table.c.region_key == region_key, table.c.status == "succeeded")
        .where(table.c.result[path[0]].has_key(path[1]))
        .order_by(table.c.finished_at.desc())
        .limit(1)
    )
    if on_release:
        query = query.where(table.c.request.has_key("release"))
    found: UUID | None = connection.scalar(query)
    return found


def claim_run(connection: Connection, kind: str, run_id: UUID) -> Run | None:
    """Claim a run for this worker and raise its attempt; return None if it is already finished."""
    table = KINDS[kind].table
    row = connection.execute(
        update(table)
        .where(table.c.id == run_id, table.c.status.in_(UNFINISHED))
        .values(
            status="running",
            attempt=table.c.attempt + 1,
            started_at=func.now(),
            heartbeat_at=func.now(),
            **words("run_started"),
        )
        .returning(*table.c)
    ).one_or_none()
    return None if row is None else _as_run(row)


def count_failure(connection: Connection, kind: str, run_id: UUID) -> int:
    """Count a failed attempt of the run's own making; return how many there were (0: no such run)."""
    table = KINDS[kind].table
    query = (
        update(table)
        .where(table.c.id == run_id)
        .values(failures=table.c.failures + 1)
        .returning(table.c.failures)
    )
    return int(connection.scalar(query) or 0)


def heartbeat(
    connection: Connection,
    kind: str,
    run: Run,
    progress: float,
    said: Message,
    details: str | None = None,
) -> bool:
    """Write progress; returns whether the caller asked to cancel.

    Args:
        said: what the run is at.
        details: the row's English text, where it says more.

    Raises:
        Superseded: the run no longer belongs to this attempt.
    """
    values = {"progress": progress, **columns_of(said, details), "heartbeat_at": func.now()}
    return _write(connection, kind, run, values)


def _write(connection: Connection, kind: str, run: Run, values: Mapping[str, Any]) -> bool:
    """Change a running run's row; return whether it was asked to stop."""
    table = KINDS[kind].table
    asked = connection.scalar(
        update(table)
        .where(table.c.id == run.id, table.c.attempt == run.attempt, table.c.status == "running")
        .values(**values)
        .returning(table.c.cancel_requested)
    )
    if asked is None:
        raise Superseded(f"run {run.id} was taken over or ended")
    return bool(asked)


def finish_run(
    connection: Connection,
    kind: str,
    run: Run,
    status: str,
    said: Message,
    details: str | None = None,
    **values: Any,
) -> None:
    """End a run and delete its parts; `values` are further columns (model_version, metrics, result).

    If it succeeded, the memory of this process, which has worked on it, is recorded.

    Args:
        said: how it ended.
        details: the row's English text, where it says more.

    Raises:
        Superseded: the run no longer belongs to this attempt.
    """
    if status == "succeeded":
        values |= {"progress": 1.0, "peak_memory_bytes": peak_memory_bytes()}
    ended = {"status": status, **columns_of(said, details), "finished_at": func.now()}
    _write(connection, kind, run, {**values, **ended})
    drop_parts(connection, KINDS[kind], run.id)
