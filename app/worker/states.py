"""Assimilation by the workers: after uploads have come to rest, and at least every hour.

Workers share the regions that are behind: each goes through them, the oldest first, and leaves out those that
another process has locked or has brought up to date.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Collection
from itertools import count

from sqlalchemy import Engine

from app.core.roles import UPKEEP_ACTOR, acting_as
from app.core.settings import Settings
from app.releases.store import last_uploads
from app.states.service import InWork, region_behind
from app.streets.store import without_shares
from app.worker.children import run_child
from app.worker.estimates import STATES_BYTES
from app.worker.run_process import LEFT
from app.worker.slots import STATES, Slots

AT_LEAST_EVERY_S = 3600.0
MAX_AT_ONCE = 25
"""Regions of one process; starting it takes less than bringing one up to date."""
LOOK_FOR_SLOTS_S = 2.0
_log = logging.getLogger("hotslot.worker")


class StateWatch:
    """Finds regions whose forecasts are behind; one instance per worker."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self.engine = engine
        self.settings = settings
        self._seen: dict[int, tuple[int, float]] = {}
        """Last upload of each region, and when the region was looked at."""
        self._keys: dict[str, int] = {}
        """Of regions that were behind."""
        self._streets: set[tuple[str, str, str]] = set()
        """Regions, layers and champions whose shares of streets were asked for."""

    def look_again(self, regions: Collection[str]) -> None:
        """Look at regions again: their assimilation has failed, or is another process's, which may fail."""
        for region in regions:
            self._seen.pop(self._keys.get(region, 0), None)
        self._streets = {one for one in self._streets if one[0] not in regions}

    def due(self) -> list[str]:
        """Return the ids of regions to assimilate now, the longest without an upload first."""
        now = time.monotonic()
        with self.engine.connect() as connection:
            uploads = last_uploads(connection)
            bare = set(without_shares(connection))
        behind = []
        for key, upload, quiet_s in sorted(uploads, key=lambda one: -one[2]):
            seen, looked_at = self._seen.get(key, (0, -AT_LEAST_EVERY_S))
            settled = upload != seen and quiet_s >= self.settings.state_quiet_s
            if not settled and now - looked_at < AT_LEAST_EVERY_S:
                continue
            try:
                # A transaction for each, because it holds the region's ledger of releases.
                with self.engine.begin() as connection, acting_as(UPKEEP_ACTOR):
                    found = region_behind(connection, key)
            except InWork:
                continue  # the next look sees whether it was brought up to date
            self._seen[key] = (upload, now)
            if found is not None:
                self._keys[found] = key
                behind.append(found)
        behind += sorted({region for region, *_ in bare - self._streets} - {*behind})
        self._streets = bare
        return behind


class Assimilation:
    """Brings regions up to date in child processes, the first beside the worker's slots."""

    def __init__(self, engine: Engine, settings: Settings, slots: Slots) -> None:
        self.settings = settings
        self.slots = slots
        self.watch = StateWatch(engine, settings)
        self._numbers = count(1)

    async def repeat(self) -> None:
        """Assimilate what is due, for as long as the worker lives."""
        while True:
            try:
                await self.work_through(await asyncio.to_thread(self.watch.due))
            except Exception:
                # The loop must survive a temporary loss of the database; the next look catches up.
                _log.exception("assimilation failed")
            await asyncio.sleep(self.settings.state_tick_s)

    async def work_through(self, regions: Collection[str]) -> None:
        """Assimilate regions in order, in as many processes as slots and memory allow."""
        due = deque(regions)
        size = min(MAX_AT_ONCE, -(-len(due) // self.slots.n))
        working: set[asyncio.Task[None]] = set()
        try:
            while due or working:
                async with self.slots.lock:
                    while due and self.slots.may_start_states(STATES_BYTES):
                        batch = [due.popleft() for _ in range(min(size, len(due)))]
                        working.add(self._start(batch))
                if not working:
                    await asyncio.sleep(0)  # the last has ended, and its place is about to be free
                    continue
                wait_s = LOOK_FOR_SLOTS_S if due else None
                done, working = await asyncio.wait(
                    working, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED
                )
                for ended in done:
                    ended.result()
        finally:
            for task in working:
                task.cancel()
            await asyncio.gather(*working, return_exceptions=True)

    def _start(self, regions: list[str]) -> asyncio.Task[None]:
        place = -next(self._numbers)
        self.slots.hold(place, STATES, STATES_BYTES)
        task = asyncio.create_task(self._assimilate(regions))
        task.add_done_callback(lambda _: self.slots.release(place))
        return task

    async def _assimilate(self, regions: list[str]) -> None:
        status = await run_child(self.settings, "assimilate", ",".join(regions))
        if status:
            self.watch.look_again(regions)
        if status not in (0, LEFT):
            _log.warning("assimilation failed", extra={"status": status})
