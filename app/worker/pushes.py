"""Deliveries of subscriptions: the worker stores what is due, a child process sends it."""

from __future__ import annotations

import asyncio
import logging

from sqlalchemy import Engine

from app.core.settings import Settings
from app.subscriptions.planning import queue_deliveries
from app.worker.children import run_child

LIMIT_S = 600.0
"""A child that sends for longer is killed; what it had claimed is sent again later."""
_log = logging.getLogger("hotslot.worker")


async def push_repeatedly(engine: Engine, settings: Settings) -> None:
    """Store and send deliveries that are due, for as long as the worker lives; never beside a lane's jobs."""
    while True:
        try:
            if await asyncio.to_thread(queue_deliveries, engine):
                await run_child(settings, "push", "-", lambda: asyncio.sleep(LIMIT_S))
        except Exception:
            # The loop must survive a temporary loss of the database; the next look catches up.
            _log.exception("sending deliveries failed")
        await asyncio.sleep(settings.push_tick_s)
