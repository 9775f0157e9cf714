"""Forecast reads for the audit log: counted in memory, written together once a minute.

An entry per read would make every read wait for a write. What a killed process had not written yet,
at most a minute's counts, is lost; a process that is stopped writes before it goes.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter

from sqlalchemy import Engine

from app.domain.errors import Unavailable
from app.storage import audit
from app.storage.database import translated
from app.storage.regions import list_regions

MAX_KINDS = 10_000
"""Different (actor, region, route) between two writings; what goes beyond is counted together."""
OTHERS = ("several", audit.SERVICE_CHAIN, "more")
Counts = Counter[tuple[str, str, str]]
_log = logging.getLogger("hotslot.audit")


class ReadCounter:
    """Counts the reads of one process by actor, region and route."""

    def __init__(self) -> None:
        self._counts: Counts = Counter()
        self._counting = threading.Lock()
        self._writing = threading.Lock()

    def note(self, actor: str, region_id: str, kind: str) -> None:
        """Count one read."""
        key = (actor, region_id, kind)
        with self._counting:
            if len(self._counts) >= MAX_KINDS and key not in self._counts:
                key = OTHERS
            self._counts[key] += 1

    def write(self, engine: Engine) -> int:
        """Write what was counted, an entry for each actor and region; returns how many entries.

        Raises:
            Unavailable: the database is away; the counts are kept.
        """
        with self._writing:
            with self._counting:
                taken, self._counts = self._counts, Counter()
            try:
                return _write(engine, taken)
            except BaseException:
                with self._counting:
                    self._counts.update(taken)
                raise

    def write_if_possible(self, engine: Engine) -> None:
        """The same; a database that is away gets the counts the next time."""
        try:
            self.write(engine)
        except Unavailable as error:
            _log.warning("forecast reads not written yet", extra={"reason": error.message})


def _write(engine: Engine, counts: Counts) -> int:
    """All entries in one transaction; chains are locked in order, so that writers never deadlock."""
    if not counts:
        return 0
    by_reader: dict[tuple[str, str], Counter[str]] = {}
    with translated(), engine.begin() as connection:
        known = {region.id for region in list_regions(connection)}
        for (actor, region_id, kind), n in counts.items():
            # Names that are no regions get no chain of their own: anybody could make them up.
            chain = region_id if region_id in known else audit.SERVICE_CHAIN
            by_reader.setdefault((chain, actor), Counter())[kind] += n
        for (chain, actor), kinds in sorted(by_reader.items()):
            audit.record(connection, "forecast.read", chain=chain, actor=actor, reads=dict(kinds))
    return len(by_reader)
