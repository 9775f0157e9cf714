"""Short absences of the database: work that took minutes must not be lost to a restart of seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from app.core.errors import Unavailable

OUTAGE_S = 60.0
"""A restart, or a standby that takes over, is done well before."""
PAUSE_S = 1.0
Result = TypeVar("Result")


def through_outage(
    work: Callable[[], Result], outage_s: float = OUTAGE_S, pause_s: float = PAUSE_S
) -> Result:
    """Do work that is one transaction; again while the database is away, for `outage_s` at most.

    A commit whose answer was lost is safe to repeat: a run's row takes an end only once.

    Raises:
        Unavailable: the database stayed away.
    """
    until = time.monotonic() + outage_s
    while True:
        try:
            return work()
        except Unavailable:
            if time.monotonic() >= until:
                raise
        time.sleep(pause_s)
