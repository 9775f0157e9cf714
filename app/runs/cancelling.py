"""Requests to stop runs."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Connection, func, select, update

from app.core.errors import Conflict
from app.runs.kinds import KINDS
from app.runs.queue import drop_waiting_job
from app.runs.store import Run, get_run
from app.runs.words import words


def is_cancelling(connection: Connection, kind: str, run_id: UUID) -> bool:
    """Return whether a running run has been asked to stop."""
    table = KINDS[kind].table
    query = select(table.c.cancel_requested).where(
        table.c.id == run_id, table.c.status == "running"
    )
    return bool(connection.scalar(query))


def request_cancel(connection: Connection, kind: str, run: Run) -> Run:
    """Cancel a queued run at once, or ask a running one to stop.

    Raises:
        Conflict: it is already finished.
    """
    table = KINDS[kind].table
    ended = connection.execute(
        update(table)
        .where(table.c.id == run.id, table.c.status == "queued")
        .values(status="cancelled", **words("run_cancelled_early"), finished_at=func.now())
        .returning(table.c.job_id)
    ).one_or_none()
    if ended is not None:
        drop_waiting_job(connection, ended.job_id)
    else:
        asked = connection.execute(
            update(table)
            .where(table.c.id == run.id, table.c.status == "running")
            .values(cancel_requested=True)
        ).rowcount
        if not asked:
            raise Conflict(f"run {run.id} is already finished", code="already_finished")
    return get_run(connection, kind, run.id)
