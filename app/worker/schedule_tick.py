"""The clock of the schedules: each worker looks now and then which trainings are due."""

from __future__ import annotations

import asyncio
import logging

from sqlalchemy import Engine

from app.monitoring.schedules.service import tick
from app.runs.schedules import database_clock

_log = logging.getLogger("hotslot.worker")


async def queue_due_trainings(engine: Engine, every_s: float) -> None:
    """Queue what schedules ask for, for as long as the worker lives."""
    while True:
        try:
            count = await asyncio.to_thread(_look, engine)
            if count:
                _log.info("scheduled trainings queued", extra={"count": count})
        except Exception:
            # The clock must outlive a database that is away for a while; the next look catches up.
            _log.exception("looking for due trainings failed")
        await asyncio.sleep(every_s)


def _look(engine: Engine) -> int:
    with engine.connect() as connection:
        now = database_clock(connection)
    return len(tick(engine, now))
