"""Disk space of the embedded server: uploads are rejected before its disk is full.

A table that cannot grow is an error of one statement; a write-ahead log that cannot grow stops the
server, including reads. So some space is reserved for the log and for small writes.
"""

from __future__ import annotations

import shutil

from app.core.devserver.server import data_directory
from app.core.errors import Unavailable
from app.core.settings import Settings

RETRY_AFTER_S = 30


def require_room(settings: Settings) -> None:
    """Raise if the embedded server's disk is nearly full; external servers are not checked.

    Raises:
        Unavailable: less than `disk_reserve_bytes` is free.
    """
    if settings.database_url is not None:
        return
    if shutil.disk_usage(data_directory(settings.home)).free < settings.disk_reserve_bytes:
        raise Unavailable(
            "the database's disk is nearly full", retry_after_s=RETRY_AFTER_S, code="disk_full"
        )
