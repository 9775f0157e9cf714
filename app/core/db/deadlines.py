"""Deadlines that hold on our side of the wire.

`statement_timeout` is the server's: it does not end a wait for an answer that never comes (a proxy
that went quiet, a machine that vanished behind one). So every wait for the database is bounded here
too: by the connection's patience, and by the end of the request that is being answered. A wait that
takes too long closes its connection, for the answer could still arrive and be taken for another's.
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

PING_PATIENCE_S = 2.0
"""For a pooled connection to show that it is alive."""
GRACE_S = 0.5
"""What the server gets beyond its own timeout, so that it is the one who tells."""
_request_ends_s: ContextVar[float] = ContextVar("request_ends_s", default=math.inf)


@contextmanager
def answered_within(seconds: float) -> Iterator[None]:
    """Bound all database waits of the block together; `math.inf` lifts an outer bound."""
    token = _request_ends_s.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _request_ends_s.reset(token)


def remaining_s() -> float:
    """Seconds until the request's end, at least 0."""
    return max(0.0, _request_ends_s.get() - time.monotonic())


class NoAnswerInTime(psycopg.OperationalError):
    """A wait took too long; the connection that waited is closed."""


class PatientConnection(psycopg.Connection[Any]):
    """A connection whose every wait ends: after `patience_s`, or at the request's end.

    Attributes:
        patience_s: longest wait for one answer.
        long_work: inside `long_statements`; the request's end does not count then.
    """

    patience_s = math.inf
    long_work = False

    def be_patient(self, seconds: float, *, long_work: bool = False) -> None:
        """Set how long the next waits may take."""
        self.patience_s = seconds
        self.long_work = long_work

    def wait(self, gen: Generator[Any, Any, Any], *args: Any, **kwargs: Any) -> Any:
        """Wait for an answer.

        Raises:
            NoAnswerInTime: none came in time; the connection is closed.
        """
        limit_s = self.patience_s if self.long_work else min(self.patience_s, remaining_s())
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
    """A pool whose queue is left when the request's time is up."""

    _limit_s = math.inf

    @property
    def _timeout(self) -> float:
        return min(self._limit_s, remaining_s())

    @_timeout.setter
    def _timeout(self, seconds: float) -> None:
        self._limit_s = seconds
