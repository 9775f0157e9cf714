"""Retry through short database outages, so that a restart does not lose minutes of work."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from app.core.errors import Unavailable

OUTAGE_S = 60.0
"""A restart or a failover takes less."""
PAUSE_S = 1.0
Result = TypeVar("Result")


def retry_outages(
    work: Callable[[], Result], outage_s: float = OUTAGE_S, pause_s: float = PAUSE_S
) -> Result:
    """Run a single transaction, and retry for up to `outage_s` while the database is unavailable.

    Repeating a commit whose reply was lost is safe: a run's row can end only once.

    Raises:
        Unavailable: the outage lasted longer.
    """
    until = time.monotonic() + outage_s
    while True:
        try:
            return work()
        except Unavailable:
            if time.monotonic() >= until:
                raise
        time.sleep(pause_s)
