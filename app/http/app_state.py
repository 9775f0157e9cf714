"""What every route needs, made once in the lifespan and handed over by dependency."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Annotated

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, Request
from sqlalchemy import Engine

from app.core.roles import Caller
from app.core.settings import Settings


def _check_ready(engine: Engine) -> None:
    # Only here, in the one thread of `Readiness`: with alembic, which nothing else of the API needs.
    from app.core.db.schema import check_ready

    check_ready(engine)


class Readiness:
    """Checks that requests can be served: in a thread of its own, once for all who ask meanwhile."""

    def __init__(self) -> None:
        self._aside = CapacityLimiter(1)
        self._checking: asyncio.Future[None] | None = None

    async def check(self, engine: Engine) -> None:
        """Pass when requests can be served.

        Raises:
            Unavailable: they cannot.
        """
        if self._checking is None or self._checking.done():
            checking = to_thread.run_sync(_check_ready, engine, limiter=self._aside)
            self._checking = asyncio.ensure_future(checking)
        await asyncio.shield(self._checking)


@dataclass(frozen=True)
class ApiState:
    """One per process."""

    settings: Settings
    engine: Engine
    uploads: CapacityLimiter
    """Uploads that may be read at the same time."""
    aside: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(1))
    """A thread that reads metrics while all others are at work."""
    followers: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(2))
    """Threads that look for a stream's next event."""
    readiness: Readiness = field(default_factory=Readiness)


def _state(request: Request) -> ApiState:
    state: ApiState = request.app.state.hotslot
    return state


State = Annotated[ApiState, Depends(_state)]


def _caller(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


CallerOf = Annotated[Caller, Depends(_caller)]
"""Who sends the request, as `app.access.middleware` found."""
