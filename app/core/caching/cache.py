"""Thread-safe caches: one bounded by bytes and shared fairly by its users, one by time."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from app.core.roles import current_actor

T = TypeVar("T")
User = tuple[str, Hashable]
IDLE_S = 600.0
"""What nobody has used for so long goes before what its users have too much of."""
MAX_BRIEF = 10_000
"""Names in a cache by time from which on expired ones are removed."""


@dataclass(slots=True)
class _Item:
    value: object
    n_bytes: int
    user: User
    used_s: float


class BoundedCache:
    """Cache the most recently used values, up to a number of bytes that its users share.

    A user is a caller together with what the second part of a key names: a region or a grid. In a full
    cache the user with the most bytes loses what it used longest ago, except for the last thing it used:
    thousands of requests by one caller, or for one region, throw out each other's results, not those of
    others. What several use counts for the one with the fewest bytes.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        self._items: OrderedDict[Hashable, _Item] = OrderedDict()
        self._of: dict[User, OrderedDict[Hashable, int]] = {}
        """{user: {key: bytes}}, both the least recently used first."""
        self._bytes: dict[User, int] = {}
        self._lock = threading.Lock()
        self._making: dict[Hashable, tuple[threading.Lock, int]] = {}

    def get(self, key: Hashable, kind: type[T]) -> T | None:
        """Return the value cached under a key, or None."""
        with self._lock:
            found = self._items.get(key)
            if found is None:
                return None
            self._use(key, found)
        return found.value if isinstance(found.value, kind) else None

    def put(self, key: Hashable, value: object, n_bytes: int) -> None:
        """Cache a value and evict others; a value larger than the whole cache is not cached."""
        if n_bytes > self.limit_bytes:
            return
        with self._lock:
            self._remove(key)
            item = _Item(value, n_bytes, _user_of(key), time.monotonic())
            self._items[key] = item
            self.used_bytes += n_bytes
            self._charge(key, item)
            while self.used_bytes > self.limit_bytes:
                self._remove(self._dispensable())

    def discard(self, key: Hashable) -> None:
        """Remove a value."""
        with self._lock:
            self._remove(key)

    def discard_where(self, chosen: Callable[[tuple[Hashable, ...]], bool]) -> None:
        """Remove all values whose keys are tuples for which `chosen` is true."""
        with self._lock:
            keys = [key for key in self._items if isinstance(key, tuple) and chosen(key)]
        for key in keys:
            self.discard(key)

    def _use(self, key: Hashable, item: _Item) -> None:
        item.used_s = time.monotonic()
        self._items.move_to_end(key)
        user = _user_of(key)
        if self._bytes.get(user, 0) + item.n_bytes < self._bytes[item.user]:
            self._release(key, item)
            item.user = user
            self._charge(key, item)
        else:
            self._of[item.user].move_to_end(key)

    def _charge(self, key: Hashable, item: _Item) -> None:
        self._of.setdefault(item.user, OrderedDict())[key] = item.n_bytes
        self._bytes[item.user] = self._bytes.get(item.user, 0) + item.n_bytes

    def _release(self, key: Hashable, item: _Item) -> None:
        keys = self._of[item.user]
        del keys[key]
        self._bytes[item.user] -= item.n_bytes
        if not keys:
            del self._of[item.user], self._bytes[item.user]

    def _remove(self, key: Hashable) -> None:
        item = self._items.pop(key, None)
        if item is not None:
            self.used_bytes -= item.n_bytes
            self._release(key, item)

    def _dispensable(self) -> Hashable:
        """Return the key to evict next."""
        oldest, item = next(iter(self._items.items()))
        if item.used_s < time.monotonic() - IDLE_S:
            return oldest
        user = max(self._of, key=self._spare_bytes)
        return next(iter(self._of[user])) if self._spare_bytes(user) else oldest

    def _spare_bytes(self, user: User) -> int:
        """Return the bytes that a user has beside what it used last."""
        keys = self._of[user]
        return self._bytes[user] - keys[next(reversed(keys))]

    def get_or_make(
        self, key: Hashable, kind: type[T], make: Callable[[], T], size: Callable[[T], int]
    ) -> T:
        """Return the cached value, or compute and cache it.

        Concurrent callers wait for the one that computes it. An exception of `make` reaches only its
        own caller; the next caller tries again.
        """
        found = self.get(key, kind)
        if found is not None:
            return found
        with self._sole_maker(key):
            found = self.get(key, kind)
            if found is None:
                found = make()
                self.put(key, found, size(found))
            return found

    @contextmanager
    def _sole_maker(self, key: Hashable) -> Iterator[None]:
        with self._lock:
            lock, waiting = self._making.get(key, (threading.Lock(), 0))
            self._making[key] = (lock, waiting + 1)
        try:
            with lock:
                yield
        finally:
            with self._lock:
                lock, waiting = self._making[key]
                if waiting == 1:
                    del self._making[key]
                else:
                    self._making[key] = (lock, waiting - 1)


def _user_of(key: Hashable) -> User:
    """Return whom a value counts for when the present caller uses it."""
    named = key[1] if isinstance(key, tuple) and len(key) > 1 else None
    return current_actor.get(), named


class TTLCache:
    """Cache values for some seconds each; `what` is a namespace of names."""

    def __init__(self) -> None:
        self._items: dict[tuple[str, str], tuple[float, object]] = {}
        self._room = MAX_BRIEF
        self._lock = threading.Lock()

    def keep(self, what: str, name: str, value: object, seconds: float) -> None:
        """Cache a value for so many seconds."""
        now = time.monotonic()
        with self._lock:
            self._items[what, name] = (now + seconds, value)
            if len(self._items) > self._room:
                self._items = {key: one for key, one in self._items.items() if one[0] > now}
                self._room = max(MAX_BRIEF, 2 * len(self._items))

    def recall(self, what: str, name: str, kind: type[T]) -> T | None:
        """Return the value, or None once it has expired."""
        with self._lock:
            item = self._items.get((what, name))
        if item is None or item[0] <= time.monotonic() or not isinstance(item[1], kind):
            return None
        return item[1]

    def forget(self, what: str, name: str) -> None:
        """Remove a value before it expires."""
        with self._lock:
            self._items.pop((what, name), None)

    def names(self, what: str) -> list[str]:
        """Return the names of a namespace, and remove those that have expired."""
        now = time.monotonic()
        with self._lock:
            expired = [
                key for key, (until, _) in self._items.items() if key[0] == what and until <= now
            ]
            for key in expired:
                del self._items[key]
            return [name for kind, name in self._items if kind == what]
