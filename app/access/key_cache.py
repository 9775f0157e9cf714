"""A copy of all keys in each serving process, refreshed constantly so that revocation is prompt.

A request is checked against a copy in memory. The copy is refreshed in the background every
`REFRESH_S`; one older than `MAX_AGE_S` is not used: the request waits for the database, and is refused
if that is unavailable.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import Engine

from app.access.store import all_keys
from app.core.db.engine import translate_errors
from app.core.roles import Caller, Key, key_id_of, verify_key

REFRESH_S = 1.0
MAX_AGE_S = 4.0
REREAD_EVERY_S = 0.05
"""An unknown key may have been created since the last reading: read again, but not too often."""


@dataclass(frozen=True)
class Copy:
    """All keys as of a moment of the monotonic clock."""

    keys: dict[str, Key] = field(default_factory=dict)
    read_at: float = float("-inf")

    def age_s(self) -> float:
        """Return its age in seconds."""
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
        """End the reader thread; wait for a reading in progress, which holds a connection."""
        self._reader.shutdown(wait=True, cancel_futures=True)

    def fresh(self) -> Future[Copy]:
        """Read the keys again; concurrent callers share one reading.

        The future raises Unavailable if the database is unavailable.
        """
        if self._reading is None or self._reading.done():
            self._reading = self._reader.submit(self._read)
        return self._reading

    def usable(self) -> bool:
        """Return whether the copy is recent enough to decide by; refresh it in the background as it ages."""
        age_s = self.copy.age_s()
        if age_s > REFRESH_S:
            self.fresh()
        return age_s <= MAX_AGE_S

    def caller_of(self, text: str) -> Caller | None:
        """Return the holder of the key with this text, or None if it is not an active key."""
        key = self.copy.keys.get(key_id_of(text) or "")
        return key.caller() if verify_key(text, key, datetime.now(UTC)) and key else None

    def reread(self) -> None:
        """Read the keys in the calling thread, so that changes stored so far take effect now."""
        self._read()

    def _read(self) -> Copy:
        started = time.monotonic()
        with translate_errors(), self.engine.connect() as connection:
            read = Copy({key.id: key for key in all_keys(connection)}, started)
        with self._keeping:
            if read.read_at > self.copy.read_at:
                self.copy = read
        return self.copy
