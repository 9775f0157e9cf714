"""Hold what every route needs: created once in the lifespan, injected as a dependency."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, Request
from sqlalchemy import Engine

from app.core.roles import Caller
from app.core.settings import Settings


def _check_ready(engine: Engine) -> None:
    # Imported here, in the one thread of `Readiness`: alembic, which nothing else of the API needs.
    from app.core.db.schema import check_ready

    check_ready(engine)


class Readiness:
    """Check that requests can be served, in a separate thread; simultaneous callers share a check."""

    def __init__(self) -> None:
        self._aside = CapacityLimiter(1)
        self._checking: asyncio.Future[None] | None = None

    async def check(self, engine: Engine) -> None:
        """Raise unless requests can be served.

        Raises:
            Unavailable: the database cannot be reached or its schema is not current.
        """
        if self._checking is None or self._checking.done():
            checking = to_thread.run_sync(_check_ready, engine, limiter=self._aside)
            self._checking = asyncio.ensure_future(checking)
        await asyncio.shield(self._checking)


@dataclass(frozen=True)
class ApiState:
    """State of one process."""

    settings: Settings
    engine: Engine
    uploads: CapacityLimiter
    """Uploads that may be read at the same time."""
    aside: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(1))
    """A spare thread, so that metrics can be read while all others are busy."""
    followers: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(2))
    """Threads that poll for the next event of a stream."""
    readiness: Readiness = field(default_factory=Readiness)
    state_made: Callable[[str], None] = lambda _region: None
    """Called with a region's id when this process has made a state: the next reply shows it."""


def _state(request: Request) -> ApiState:
    state: ApiState = request.app.state.hotslot
    return state


State = Annotated[ApiState, Depends(_state)]


def _caller(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


CallerOf = Annotated[Caller, Depends(_caller)]
"""The caller, as `app.access.middleware` has identified them."""
