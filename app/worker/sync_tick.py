"""The clock of the sources: each worker looks now and then which ones are due."""

from __future__ import annotations

import asyncio
import logging

from sqlalchemy import Engine

from app.sync.schedule import queue_due

_log = logging.getLogger("hotslot.worker")


async def queue_due_syncs(engine: Engine, every_s: float) -> None:
    """Queue due runs, for as long as the worker lives."""
    while True:
        try:
            count = await asyncio.to_thread(queue_due, engine)
            if count:
                _log.info("syncs queued", extra={"count": count})
        except Exception:
            # The clock must outlive a database that is away for a while; the next look tells.
            _log.exception("looking for due sources failed")
        await asyncio.sleep(every_s)
