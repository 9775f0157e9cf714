"""A cache bounded by bytes, safe between threads."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


class BoundedCache:
    """Keeps what was used last, up to a number of bytes."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        self._items: OrderedDict[Hashable, tuple[object, int]] = OrderedDict()
        self._lock = threading.Lock()
        self._making: dict[Hashable, tuple[threading.Lock, int]] = {}

    def get(self, key: Hashable, kind: type[T]) -> T | None:
        """What is kept under a key, or None."""
        with self._lock:
            found = self._items.get(key)
            if found is None:
                return None
            self._items.move_to_end(key)
        value = found[0]
        return value if isinstance(value, kind) else None

    def put(self, key: Hashable, value: object, n_bytes: int) -> None:
        """Keep a value; older ones make room. One larger than the whole cache is not kept."""
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
        """Forget a value."""
        with self._lock:
            _, n_bytes = self._items.pop(key, (None, 0))
            self.used_bytes -= n_bytes

    def discard_where(self, chosen: Callable[[tuple[Hashable, ...]], bool]) -> None:
        """Forget the values whose keys are tuples that are chosen."""
        with self._lock:
            keys = [key for key in self._items if isinstance(key, tuple) and chosen(key)]
        for key in keys:
            self.discard(key)

    def get_or_make(
        self, key: Hashable, kind: type[T], make: Callable[[], T], size: Callable[[T], int]
    ) -> T:
        """The kept value, or a new one that is kept from now on.

        Many threads that want the same value at once wait for the one that makes it. What `make`
        raises, its own caller gets; the next one tries again.
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


class BriefMemory:
    """Values that hold for some seconds, safe between threads."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], tuple[float, object]] = {}
        self._lock = threading.Lock()

    def keep(self, what: str, name: str, value: object, seconds: float) -> None:
        """Keep a value for so long."""
        with self._lock:
            self._kept[what, name] = (time.monotonic() + seconds, value)

    def recall(self, what: str, name: str, kind: type[T]) -> T | None:
        """The value, or None when its time is over."""
        with self._lock:
            kept = self._kept.get((what, name))
        if kept is None or kept[0] <= time.monotonic() or not isinstance(kept[1], kind):
            return None
        return kept[1]

    def forget(self, what: str, name: str) -> None:
        """Drop a value before its time."""
        with self._lock:
            self._kept.pop((what, name), None)

    def names(self, what: str) -> list[str]:
        """The names that values of one kind are kept under; those out of date are dropped."""
        now = time.monotonic()
        with self._lock:
            late = [
                key for key, (until, _) in self._kept.items() if key[0] == what and until <= now
            ]
            for key in late:
                del self._kept[key]
            return [name for kind, name in self._kept if kind == what]
