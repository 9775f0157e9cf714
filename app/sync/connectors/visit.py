"""The time of one run: its deadline, retries, and signs of life while it reads and waits."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from app.core.errors import SourceFailed
from app.core.settings import Settings

NAP_S = 1.0
T = TypeVar("T")


class Broken(Exception):
    """A temporary failure; the source may say when to retry."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


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

    def tried(self, work: Callable[[], T], *temporary: type[Exception]) -> T:
        """Return what a piece of work returns, after retries.

        Args:
            temporary: errors beside `Broken` after which it is tried again.

        Raises:
            SourceFailed: it continued to fail, or the source asks to wait for too long.
        """
        attempt = 0
        errors: tuple[type[Exception], ...] = (Broken, *temporary)
        while True:
            try:
                return work()
            except errors as error:
                attempt += 1
                self._wait_after(error, attempt)

    def _wait_after(self, error: Exception, attempt: int) -> None:
        settings = self.settings
        reason = str(error) or type(error).__name__
        if attempt > settings.sync_max_retries:
            raise SourceFailed(f"gave up after {attempt} attempts: {reason}") from error
        asked_s = getattr(error, "retry_after_s", None)
        # Jitter, so that sources that failed together retry at different times.
        own_s = min(settings.sync_backoff_s * 2 ** (attempt - 1), settings.sync_max_wait_s)
        wait_s = own_s * random.uniform(0.5, 1.0) if asked_s is None else asked_s
        if wait_s > settings.sync_max_wait_s or time.monotonic() + wait_s > self.deadline:
            raise SourceFailed(
                f"the portal asks to wait {wait_s:.0f} s; the next run will retry", code="busy"
            ) from error
        self.wait(wait_s)
