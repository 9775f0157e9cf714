"""Room for the embedded server: uploads end before its disk does.

A table that cannot grow is an error of one statement; a write-ahead log that cannot grow stops the
server, and reads with it. So some room is kept back for the log and for what is small.
"""

from __future__ import annotations

import shutil

from app.core.devserver.server import data_directory
from app.core.errors import Unavailable
from app.core.settings import Settings

RETRY_AFTER_S = 30


def require_room(settings: Settings) -> None:
    """Nothing when the embedded server's disk has room to spare; an external server's is its own.

    Raises:
        Unavailable: less than `disk_reserve_bytes` is free.
    """
    if settings.database_url is not None:
        return
    if shutil.disk_usage(data_directory(settings.home)).free < settings.disk_reserve_bytes:
        raise Unavailable(
            "the database's disk is nearly full", retry_after_s=RETRY_AFTER_S, code="disk_full"
        )
