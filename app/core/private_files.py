"""Private files: the home folder, which no other user of the machine may read."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from app.core.errors import InvalidInput

OTHERS = 0o077
OURS = (
    *("backtests", "cache", "worker.beat", "push.key"),
    *("postgres.lock", "postgres.users", "postgres.password"),
)
"""What hotslot writes into its home beside the embedded server's folder, which has a mode of its own."""
_TOP = ("bin", "boot", "dev", "etc", "home", "lib", "opt", "run", "srv", "usr", "var", "var/lib")
_SYSTEM = frozenset(Path("/", name) for name in ("", *_TOP))
_log = logging.getLogger("hotslot.home")


def write_privately() -> None:
    """Let this process and its children create files that only their own user can read."""
    os.umask(OTHERS)


def private_folder(path: Path) -> None:
    """Create a folder that only its user can enter; missing parents are created open to all."""
    missing = [parent for parent in path.parents if not parent.exists()]
    for parent in reversed(missing):
        parent.mkdir(exist_ok=True)
        parent.chmod(0o755)
    path.mkdir(mode=0o700, exist_ok=True)


def close_folder(home: Path, passing_group: int | None = None) -> None:
    """Close a home to other users, including one that an older version left open.

    Args:
        passing_group: members of this group may traverse the folder, but not list it.

    Raises:
        InvalidInput: the folder belongs to the system or to everybody.
    """
    found = home.stat()
    if home in _SYSTEM or found.st_mode & stat.S_ISVTX:
        raise InvalidInput(f"HOTSLOT_HOME {home} is shared; name a folder of its own", field="home")
    wanted = 0o700 if passing_group is None else 0o710
    if stat.S_IMODE(found.st_mode) == wanted and passing_group in (None, found.st_gid):
        return
    try:
        if passing_group is not None:
            os.chown(home, -1, passing_group)
        home.chmod(wanted)
        for path in _ours(home):
            mode = path.lstat().st_mode
            if not stat.S_ISLNK(mode) and mode & OTHERS:
                path.chmod(stat.S_IMODE(mode) & ~OTHERS)
    except OSError as error:
        _log.warning(
            "other users may read the home folder: this user lacks the right to restrict it",
            extra={"home": str(home), "reason": error.strerror},
        )


def open_lock(path: Path) -> int:
    """Open a lock file of the home, refusing to follow a link."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _ours(home: Path) -> Iterator[Path]:
    for path in (home / name for name in OURS):
        if path.exists() and not path.is_symlink():
            yield path
            if path.is_dir():
                yield from path.rglob("*")
