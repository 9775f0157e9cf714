"""The time of one run: its deadline, and signs of life while it reads and waits."""

from __future__ import annotations

import time
from collections.abc import Callable

from app.core.errors import SourceFailed
from app.core.settings import Settings

NAP_S = 1.0


class Visit:
    """One run's look at a source.

    Args:
        alive: called at least once a second while waiting and reading; may raise to end the run.
    """

    def __init__(self, settings: Settings, alive: Callable[[], None]) -> None:
        self.settings = settings
        self.alive = alive
        self.deadline = time.monotonic() + settings.sync_deadline_s

    def check(self) -> None:
        """Show that the run is alive.

        Raises:
            SourceFailed: its deadline has passed.
        """
        if time.monotonic() > self.deadline:
            raise SourceFailed(
                "the run's deadline has passed; the next run continues", code="deadline"
            )
        self.alive()

    def wait(self, wait_s: float) -> None:
        """Wait, showing that the run is alive."""
        until = time.monotonic() + wait_s
        while (rest_s := until - time.monotonic()) > 0:
            self.alive()
            time.sleep(min(rest_s, NAP_S))
