"""Deadlines enforced on the client side of the connection.

`statement_timeout` is enforced by the server: it does not end a wait for an answer that never comes
(a silent proxy, a machine that vanished). So every wait for the database is bounded here too: by the
connection's own timeout, and by the deadline of the current request. A wait that takes too long closes
its connection, since the late answer could be taken for that of another query.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import psycopg
from psycopg.waiting import Ready
from sqlalchemy.pool import QueuePool

PING_TIMEOUT_S = 2.0
"""Limit for a pooled connection to prove that it is alive."""
GRACE_S = 0.5
"""Added to the server's own timeout, so that the server reports the timeout first."""
_request_ends_s: ContextVar[float] = ContextVar("request_ends_s", default=math.inf)


@contextmanager
def answered_within(seconds: float) -> Iterator[None]:
    """Set a common deadline for all database waits of the block; `math.inf` lifts an outer one."""
    token = _request_ends_s.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _request_ends_s.reset(token)


def remaining_s() -> float:
    """Return the seconds left until the request's deadline, at least 0."""
    return max(0.0, _request_ends_s.get() - time.monotonic())


class NoAnswerInTime(psycopg.OperationalError):
    """A wait took too long; the connection that waited is closed."""


class DeadlineConnection(psycopg.Connection[Any]):
    """A connection whose waits all end: after `timeout_s`, or at the request's deadline.

    Attributes:
        timeout_s: longest wait for one answer.
        long_work: inside `long_statements`, where the request's deadline does not apply.
    """

    timeout_s = math.inf
    long_work = False

    def limit_waits(self, seconds: float, *, long_work: bool = False) -> None:
        """Set how long the next waits may take."""
        self.timeout_s = seconds
        self.long_work = long_work

    def wait(self, gen: Generator[Any, Any, Any], *args: Any, **kwargs: Any) -> Any:
        """Wait for an answer.

        Raises:
            NoAnswerInTime: none came in time; the connection is closed.
        """
        limit_s = self.timeout_s if self.long_work else min(self.timeout_s, remaining_s())
        ends_s = time.monotonic() + limit_s
        return super().wait(self._bounded(gen, ends_s), *args, **kwargs)

    def _bounded(self, gen: Generator[Any, Any, Any], ends_s: float) -> Generator[Any, Any, Any]:
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if ready == Ready.NONE and time.monotonic() > ends_s:
                    self.pgconn.finish()
                    raise NoAnswerInTime("the server did not answer in time")
                wanted = gen.send(ready)
        except StopIteration as done:
            return done.value


class DeadlinePool(QueuePool):
    """A pool that stops queueing for a connection at the request's deadline."""

    _limit_s = math.inf

    @property
    def _timeout(self) -> float:
        return min(self._limit_s, remaining_s())

    @_timeout.setter
    def _timeout(self, seconds: float) -> None:
        self._limit_s = seconds
