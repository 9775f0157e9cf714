"""Thread-safe caches: one bounded by bytes, one by time."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


class BoundedCache:
    """Cache the most recently used values, up to a number of bytes."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        self._items: OrderedDict[Hashable, tuple[object, int]] = OrderedDict()
        self._lock = threading.Lock()
        self._making: dict[Hashable, tuple[threading.Lock, int]] = {}

    def get(self, key: Hashable, kind: type[T]) -> T | None:
        """Return the value cached under a key, or None."""
        with self._lock:
            found = self._items.get(key)
            if found is None:
                return None
            self._items.move_to_end(key)
        value = found[0]
        return value if isinstance(value, kind) else None

    def put(self, key: Hashable, value: object, n_bytes: int) -> None:
        """Cache a value and evict older ones; a value larger than the whole cache is not cached."""
        if n_bytes > self.limit_bytes:
            return
        with self._lock:
            old = self._items.pop(key, None)
            if old is not None:
                self.used_bytes -= old[1]
            self._items[key] = (value, n_bytes)
            self.used_bytes += n_bytes
            while self.used_bytes > self.limit_bytes:
                _, (_, size) = self._items.popitem(last=False)
                self.used_bytes -= size

    def discard(self, key: Hashable) -> None:
        """Remove a value."""
        with self._lock:
            _, n_bytes = self._items.pop(key, (None, 0))
            self.used_bytes -= n_bytes

    def discard_where(self, chosen: Callable[[tuple[Hashable, ...]], bool]) -> None:
        """Remove all values whose keys are tuples for which `chosen` is true."""
        with self._lock:
            keys = [key for key in self._items if isinstance(key, tuple) and chosen(key)]
        for key in keys:
            self.discard(key)

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


class TTLCache:
    """Cache values for some seconds each; `what` is a namespace of names."""

    def __init__(self) -> None:
        self._items: dict[tuple[str, str], tuple[float, object]] = {}
        self._lock = threading.Lock()

    def keep(self, what: str, name: str, value: object, seconds: float) -> None:
        """Cache a value for so many seconds."""
        with self._lock:
            self._items[what, name] = (time.monotonic() + seconds, value)

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
