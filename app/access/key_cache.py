"""The keys as a serving process knows them: read anew all the time, so that revocation is prompt.

A request is checked against a copy in memory. The copy is read again in the background every
`REFRESH_S`, asked for or not; one older than `MAX_AGE_S` is not used: the request waits for the
database, and is refused when that is away.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import Engine

from app.access.store import all_keys
from app.core.db.engine import translated
from app.core.roles import Caller, Key, key_id_of, verify_key

REFRESH_S = 1.0
MAX_AGE_S = 4.0
REREAD_EVERY_S = 0.05
"""A key that the copy does not know may have been made since: look again, but not all the time."""


@dataclass(frozen=True)
class Copy:
    """All keys as of a moment of the monotonic clock."""

    keys: dict[str, Key] = field(default_factory=dict)
    read_at: float = float("-inf")

    def age_s(self) -> float:
        """How old it is."""
        return time.monotonic() - self.read_at


class KeyRing:
    """The keys of one process; only `reread` and the future of `fresh` wait for the database."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.copy = Copy()
        self._keeping = threading.Lock()
        self._reading: Future[Copy] | None = None
        # A thread of its own: under load the request threads may all be at work.
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="keys")

    def close(self) -> None:
        """End its thread, and wait for a reading that is under way: it holds a connection."""
        self._reader.shutdown(wait=True, cancel_futures=True)

    def fresh(self) -> Future[Copy]:
        """Read the keys again; callers that come meanwhile share one reading.

        The future raises Unavailable when the database is away.
        """
        if self._reading is None or self._reading.done():
            self._reading = self._reader.submit(self._read)
        return self._reading

    def usable(self) -> bool:
        """Whether the copy is recent enough to decide by; starts a reading when it ages."""
        age_s = self.copy.age_s()
        if age_s > REFRESH_S:
            self.fresh()
        return age_s <= MAX_AGE_S

    def caller_of(self, text: str) -> Caller | None:
        """Who holds the key of this text; None when it is no active key."""
        key = self.copy.keys.get(key_id_of(text) or "")
        return key.caller() if verify_key(text, key, datetime.now(UTC)) and key else None

    def reread(self) -> None:
        """Read the keys in the calling thread: what is stored by now holds from here on."""
        self._read()

    def _read(self) -> Copy:
        started = time.monotonic()
        with translated(), self.engine.connect() as connection:
            read = Copy({key.id: key for key in all_keys(connection)}, started)
        with self._keeping:
            if read.read_at > self.copy.read_at:
                self.copy = read
        return self.copy
