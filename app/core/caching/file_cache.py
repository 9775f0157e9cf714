"""A cache in private files that several processes share, bounded by bytes and shared fairly.

Every owner has a folder. A file is written aside and renamed, so that no reader sees half of it; it begins
with a digest of its name and content, by which damaged and exchanged files are refused. Nothing depends
on the cache: with a full disk or a folder that cannot be written, everything goes on without it.
"""

from __future__ import annotations

import contextlib
import hashlib
import heapq
import itertools
import logging
import os
import shutil
import time
from collections.abc import Collection, Iterator
from pathlib import Path

DIGEST_BYTES = 32
TOUCH_AFTER_S = 60.0
IDLE_S = 6 * 3600.0
"""Files that nobody has read for so long are deleted."""
RETRY_S = 60.0
"""How long nothing is written after a failure."""
UNSWEPT_SHARE = 8
"""A process writes at most the limit divided by this between two sweeps."""
_log = logging.getLogger("hotslot.cache")
_count = itertools.count()


class FileCache:
    """Contents under names, in a folder for each owner; used by threads and processes at once.

    Args:
        folder: its own; whatever else lies in it is deleted.
        limit_bytes: of all processes together, enforced by `sweep`; 0: there is no cache.
        reserve_bytes: nothing is written where the disk has less free space.
    """

    def __init__(self, folder: Path, limit_bytes: int, reserve_bytes: int = 0) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes
        self.reserve_bytes = reserve_bytes
        self._unswept_bytes = 0
        self._no_writes_until_s = 0.0
        self._has_failed = False

    def get(self, owner: str, name: str) -> bytes | None:
        """Return what is stored, or None if there is nothing or it is damaged."""
        if not self.limit_bytes:
            return None
        path = self.folder / owner / name
        try:
            with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
                stored = file.read()
                if time.time() - os.fstat(file.fileno()).st_mtime > TOUCH_AFTER_S:
                    os.utime(file.fileno())
        except OSError:
            return None
        content = stored[DIGEST_BYTES:]
        if stored[:DIGEST_BYTES] != _digest(owner, name, content):
            _log.warning("a damaged file of the shared cache was refused", extra={"file": name})
            _delete(path)
            return None
        return content

    def put(self, owner: str, name: str, content: bytes) -> None:
        """Store a content if that is possible."""
        size = DIGEST_BYTES + len(content)
        if self._unswept_bytes + size > self.limit_bytes // UNSWEPT_SHARE:
            return
        if time.monotonic() < self._no_writes_until_s:
            return
        self._unswept_bytes += size
        aside = self.folder / owner / f"{os.getpid()}-{next(_count)}.tmp"
        try:
            for folder in (self.folder, aside.parent):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(aside, flags, 0o600), "wb") as file:
                file.write(_digest(owner, name, content) + content)
            aside.rename(aside.with_name(name))
        except OSError as error:
            _delete(aside)
            if not isinstance(error, FileNotFoundError):  # else the folder was dropped meanwhile
                self._fail(error.strerror or str(error))

    def _fail(self, reason: str) -> None:
        """Write nothing for a while, and say so once."""
        self._no_writes_until_s = time.monotonic() + RETRY_S
        if not self._has_failed:
            _log.warning(
                "the shared cache cannot be written; serving goes on without it",
                extra={"folder": str(self.folder), "reason": reason},
            )
        self._has_failed = True

    def discard(self, owner: str, name: str) -> None:
        """Delete a content."""
        _delete(self.folder / owner / name)

    def drop(self, begin: str = "") -> None:
        """Delete the folders of owners that begin like this; without it all."""
        for folder in self.folder.glob(f"{begin}*"):
            shutil.rmtree(folder, ignore_errors=True)

    def sweep(self, owners: Collection[str]) -> None:
        """Delete what belongs to others than these owners, what is idle, and what is too much.

        The owner with the most bytes loses what was used longest ago.
        """
        if not self.limit_bytes:
            self.drop()
            return
        self._unswept_bytes = 0
        try:
            if self.folder.exists() and _free_bytes(self.folder) < self.reserve_bytes:
                self._fail("the disk is nearly full")
            found = {owner: list(files) for owner, files in self._swept(owners)}
        except OSError as error:
            self._fail(error.strerror or str(error))
            return
        for files in found.values():
            files.sort(reverse=True)  # the one used longest ago at the end
        size_of = {owner: sum(size for _, size, _ in files) for owner, files in found.items()}
        most = [(-size, owner) for owner, size in size_of.items()]
        heapq.heapify(most)
        total = sum(size_of.values())
        while total > self.limit_bytes:
            size, owner = heapq.heappop(most)
            _, freed, path = found[owner].pop()
            _delete(path)
            total -= freed
            heapq.heappush(most, (size + freed, owner))

    def _swept(
        self, owners: Collection[str]
    ) -> Iterator[tuple[str, list[tuple[float, int, Path]]]]:
        """Yield owners and their files (time of use, size, path) after deleting others' and idle ones."""
        if not self.folder.exists():
            return
        for folder in self.folder.iterdir():
            if folder.name in owners:
                yield folder.name, list(_files_in(folder))
            elif folder.is_dir() and not folder.is_symlink():
                shutil.rmtree(folder, ignore_errors=True)
            else:
                _delete(folder)


def _files_in(folder: Path) -> Iterator[tuple[float, int, Path]]:
    now = time.time()
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):  # another process has deleted it
                stat = entry.stat(follow_symlinks=False)
                limit_s = RETRY_S if entry.name.endswith(".tmp") else IDLE_S
                if now - stat.st_mtime > limit_s:
                    _delete(Path(entry.path))
                else:
                    yield stat.st_mtime, stat.st_size, Path(entry.path)


def _digest(owner: str, name: str, content: bytes) -> bytes:
    return hashlib.sha256(f"{owner}/{name}\n".encode() + content).digest()


def _delete(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def _free_bytes(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
