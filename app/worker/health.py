"""Health check of the worker, for container engines: `python -m app.worker.health`.

The worker touches a file every few seconds from its event loop; one that hangs does not. Loss of the
database is not a reason to restart a worker.
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
    """Return the file whose modification time is the worker's last heartbeat."""
    return settings.home / "worker.beat"


def beat(settings: Settings) -> None:
    """Touch the heartbeat file; create its folder if needed."""
    path = beat_file(settings)
    try:
        private_folder(path.parent)
        path.touch(mode=0o600)
    except OSError as error:
        _log.warning(
            "writing the heartbeat file failed", extra={"file": str(path), "reason": str(error)}
        )


def is_alive(settings: Settings) -> bool:
    """Return whether the last heartbeat is younger than `FRESH_S`."""
    try:
        return time.time() - beat_file(settings).stat().st_mtime < FRESH_S
    except FileNotFoundError:
        return False


if __name__ == "__main__":
    sys.exit(0 if is_alive(Settings()) else 1)
