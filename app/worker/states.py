"""Assimilation by the worker: after uploads have come to rest, and at least every hour."""

from __future__ import annotations

import asyncio
import logging
import time

from sqlalchemy import Engine

from app.core.roles import UPKEEP_ACTOR, acting_as
from app.core.settings import Settings
from app.releases.store import last_uploads
from app.states.service import region_behind
from app.streets.store import without_shares
from app.worker.children import run_child

AT_LEAST_EVERY_S = 3600.0
MAX_AT_ONCE = 50
_log = logging.getLogger("hotslot.worker")


class StateWatch:
    """Finds regions whose forecasts are behind; one instance per worker.

    Any number of workers may look: the database lets one at a time assimilate a region, and the next one
    finds the state made.
    """

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self.engine = engine
        self.settings = settings
        self._seen: dict[int, tuple[int, float]] = {}
        """Last upload of each region, and when the region was looked at."""
        self._streets: set[tuple[str, str, str]] = set()
        """Regions, layers and champions whose shares of streets were asked for."""

    def look_again(self) -> None:
        """Look at all regions again: an assimilation has failed, or its process was killed."""
        self._seen.clear()
        self._streets.clear()

    def due(self) -> list[str]:
        """Return the ids of regions to assimilate now."""
        now = time.monotonic()
        with self.engine.connect() as connection:
            uploads = last_uploads(connection)
            bare = set(without_shares(connection))
        behind = []
        for key, upload, quiet_s in uploads:
            seen, looked_at = self._seen.get(key, (0, -AT_LEAST_EVERY_S))
            settled = upload != seen and quiet_s >= self.settings.state_quiet_s
            if not settled and now - looked_at < AT_LEAST_EVERY_S:
                continue
            self._seen[key] = (upload, now)
            # A transaction for each, because it holds the region's ledger of releases.
            with self.engine.begin() as connection, acting_as(UPKEEP_ACTOR):
                found = region_behind(connection, key)
            behind += [] if found is None else [found]
        behind += sorted({region for region, *_ in bare - self._streets} - {*behind})
        self._streets = bare
        return behind


async def assimilate_repeatedly(engine: Engine, settings: Settings) -> None:
    """Assimilate what is due, for as long as the worker lives."""
    watch = StateWatch(engine, settings)
    while True:
        try:
            due = await asyncio.to_thread(watch.due)
            for start in range(0, len(due), MAX_AT_ONCE):
                regions = ",".join(due[start : start + MAX_AT_ONCE])
                if await run_child(settings, "assimilate", regions):
                    watch.look_again()
        except Exception:
            # The loop must survive a temporary loss of the database; the next look catches up.
            _log.exception("assimilation failed")
        await asyncio.sleep(settings.state_tick_s)
