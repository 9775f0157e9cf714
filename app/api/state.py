"""What every route needs, made once in the lifespan and handed over by dependency."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from anyio import CapacityLimiter
from fastapi import Depends, Request
from sqlalchemy import Engine

from app.config import Settings
from app.domain.access import Caller
from app.services.forecast import ForecastService


@dataclass(frozen=True)
class ApiState:
    """One per process."""

    settings: Settings
    engine: Engine
    forecasts: ForecastService
    uploads: CapacityLimiter
    """Uploads that may be read at the same time."""
    aside: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(1))
    """A thread that answers how the service is while all others are at work."""


def _state(request: Request) -> ApiState:
    state: ApiState = request.app.state.hotslot
    return state


State = Annotated[ApiState, Depends(_state)]


def _caller(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


CallerOf = Annotated[Caller, Depends(_caller)]
"""Who sends the request, as `app.api.access` found."""
