"""What every route needs, made once in the lifespan and handed over by dependency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy import Engine

from app.config import Settings
from app.services.forecast import ForecastService


@dataclass(frozen=True)
class ApiState:
    """One per process."""

    settings: Settings
    engine: Engine
    forecasts: ForecastService


def _state(request: Request) -> ApiState:
    state: ApiState = request.app.state.hotslot
    return state


State = Annotated[ApiState, Depends(_state)]
