"""Temporary folders of reader processes, which do not outlive them.

Each process unpacks its file into a folder of its own and holds a lock on it, which the system releases
when the last holder ends. Folders without a holder are removed.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "hotslot-read-"
NEW_PREFIX = "hotslot-new-read-"
"""Prefix until the lock is held."""
NEW_FOR_S = 60.0
_log = logging.getLogger("hotslot.ingest")


@contextmanager
def parser_folder() -> Iterator[tuple[Path, int]]:
    """Yield a private folder and the descriptor whose lock protects it from sweeping.

    The process that works in it inherits the descriptor.
    """
    new = Path(tempfile.mkdtemp(prefix=NEW_PREFIX))  # 0700
    held = os.open(new, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(held, fcntl.LOCK_SH)
        folder = new.rename(new.with_name(PREFIX + new.name.removeprefix(NEW_PREFIX)))
        try:
            yield folder, held
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(held)


def sweep_parser_folders() -> None:
    """Remove this user's parser folders that no process holds."""
    n_swept = 0
    for folder in Path(tempfile.gettempdir()).glob("hotslot-*read-*"):
        with suppress(OSError):
            n_swept += _swept(folder)
    if n_swept:
        _log.warning("removed folders of killed readers", extra={"folders": n_swept})


def _swept(folder: Path) -> bool:
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        found = os.fstat(held)
        if found.st_uid != os.geteuid():
            return False
        if folder.name.startswith(NEW_PREFIX) and time.time() - found.st_mtime < NEW_FOR_S:
            return False
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder)
    finally:
        os.close(held)
    return True
