"""Count forecast reads and refused requests, and write them to the audit log once a minute.

An entry per read would make every read wait for a write, and an entry per refusal would let anybody fill
the log: refusals are counted by key (if known) and network, few of which get entries of their own. A
killed process loses at most a minute's counts; a stopped one writes before it ends.
"""

from __future__ import annotations

import ipaddress
import logging
import threading
from collections import Counter

from sqlalchemy import Engine

from app.audit import store as audit
from app.core.db.engine import translate_errors
from app.core.errors import Unavailable
from app.regions.store import list_regions

MAX_KINDS = 10_000
"""Distinct (actor, region, route) between two writes; others are counted together."""
MAX_REFUSED = 50
"""Distinct (actor, network) with entries of their own between two writes."""
OTHERS = ("several", audit.SERVICE_CHAIN, "more")
NOBODY = "nobody"
"""Sender of no key, or of an unknown one."""
Counts = Counter[tuple[str, str, str]]
_log = logging.getLogger("hotslot.audit")


class ReadCounter:
    """Count the reads and refusals of one process by actor, region and route."""

    def __init__(self) -> None:
        self._counts: Counts = Counter()
        self._refused: Counts = Counter()
        self._counting = threading.Lock()
        self._writing = threading.Lock()

    def note(self, actor: str, region_id: str, kind: str) -> None:
        """Count one read."""
        key = (actor, region_id, kind)
        with self._counting:
            if len(self._counts) >= MAX_KINDS and key not in self._counts:
                key = OTHERS
            self._counts[key] += 1

    def note_refusal(self, actor: str, host: str | None, request: str) -> None:
        """Count a request that was answered 401 or 403; `request` is its status, method and route."""
        key = (actor, _network(host), request)
        with self._counting:
            if key not in self._refused and len(self._refused) >= MAX_KINDS:
                key = (OTHERS[0], OTHERS[0], request)
            self._refused[key] += 1

    def write(self, engine: Engine) -> int:
        """Write the counts, one entry per actor and region; return the number of entries.

        Raises:
            Unavailable: the database is unavailable; the counts are not lost.
        """
        with self._writing:
            with self._counting:
                taken, self._counts = self._counts, Counter()
                refused, self._refused = self._refused, Counter()
            try:
                return _write(engine, taken, _few(refused))
            except BaseException:
                with self._counting:
                    self._counts.update(taken)
                    self._refused.update(refused)
                raise

    def write_if_possible(self, engine: Engine) -> None:
        """Write the counts; if the database is unavailable, keep them for the next time."""
        try:
            self.write(engine)
        except Unavailable as error:
            _log.warning(
                "counts for the audit log not written yet", extra={"reason": error.message}
            )


def _network(host: str | None) -> str:
    """Return the network (/24, or /48 of IPv6) by which refusals of an address are counted."""
    try:
        address = ipaddress.ip_address((host or "").partition("%")[0])
    except ValueError:
        return "unknown"
    length = 24 if address.version == 4 else 48
    return str(ipaddress.ip_network((address, length), strict=False))


def _few(refused: Counts) -> dict[tuple[str, str], Counter[str]]:
    """Group as {(actor, network): {request: count}}; those beyond `MAX_REFUSED` are counted together."""
    found: dict[tuple[str, str], Counter[str]] = {}
    for (actor, network, request), n in refused.most_common():
        who = (actor, network)
        if who not in found and len(found) >= MAX_REFUSED:
            who = (OTHERS[0], OTHERS[0])
        found.setdefault(who, Counter())[request] += n
    return found


def _write(engine: Engine, counts: Counts, refused: dict[tuple[str, str], Counter[str]]) -> int:
    """Write all entries in one transaction; chains are locked in order to prevent deadlocks."""
    if not counts and not refused:
        return 0
    by_reader: dict[tuple[str, str], Counter[str]] = {}
    with translate_errors(), engine.begin() as connection:
        known = {region.id for region in list_regions(connection)}
        for (actor, region_id, kind), n in counts.items():
            # Unknown regions get no chain of their own: anybody could invent them.
            chain = region_id if region_id in known else audit.SERVICE_CHAIN
            by_reader.setdefault((chain, actor), Counter())[kind] += n
        # The service's chain, "*", sorts before those of regions.
        for (actor, network), kinds in sorted(refused.items()):
            audit.record(connection, "refused", actor=actor, network=network, requests=dict(kinds))
        for (chain, actor), kinds in sorted(by_reader.items()):
            audit.record(connection, "forecast.read", chain=chain, actor=actor, reads=dict(kinds))
    return len(by_reader) + len(refused)
