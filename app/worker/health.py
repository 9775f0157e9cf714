"""Whether the worker of this home lives: `python -m app.worker.health`, for container engines.

The worker touches a file every few seconds from its event loop, between two looks at the queue; one
that hangs does not. A database that is away is no reason to restart a worker.
"""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path

from app.core.private_files import private_folder
from app.core.settings import Settings

FRESH_S = 60.0
_log = logging.getLogger("hotslot.worker")


def beat_file(settings: Settings) -> Path:
    """The file whose time of change is the worker's last sign of life."""
    return settings.home / "worker.beat"


def beat(settings: Settings) -> None:
    """Give a sign of life; a worker of another machine's database may be the first to need a home."""
    path = beat_file(settings)
    try:
        private_folder(path.parent)
        path.touch(mode=0o600)
    except OSError as error:
        _log.warning("no sign of life", extra={"file": str(path), "reason": str(error)})


def is_alive(settings: Settings) -> bool:
    """Whether the last sign of life is younger than `FRESH_S`."""
    try:
        return time.time() - beat_file(settings).stat().st_mtime < FRESH_S
    except FileNotFoundError:
        return False


if __name__ == "__main__":
    sys.exit(0 if is_alive(Settings()) else 1)
