"""The composition root: settings in, a served application out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from sqlalchemy import Engine
from starlette.types import Scope

from app.api import (
    backtests,
    forecast_series,
    forecasts,
    incidents,
    mappings,
    privacy,
    regions,
    static,
    sync,
    system,
    tiles,
    training,
)
from app.api.compression import Compressed
from app.api.memo import ForecastMemo
from app.api.middleware import Surround
from app.api.problems import DOCUMENTED, add_problem_handlers, internal_error
from app.api.state import ApiState
from app.config import Settings
from app.services.forecast import ForecastService
from app.storage.database import open_engine


def create_app(settings: Settings, engine: Engine | None = None) -> FastAPI:
    """The HTTP application; it opens its own engine unless it is given one."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        own = engine or open_engine(settings)
        app.state.hotslot = ApiState(settings, own, ForecastService(own, settings))
        yield
        if engine is None:
            own.dispose()

    app = FastAPI(
        title="hotslot",
        version="0.1.0",
        summary="Forecasts where crime concentrates in which hour of the week.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        responses=DOCUMENTED,
    )
    add_problem_handlers(app)
    app.add_exception_handler(Exception, internal_error)
    app.add_middleware(Compressed)
    app.add_middleware(ForecastMemo, generation=promotions_seen)
    app.add_middleware(
        Surround,
        max_concurrent=settings.max_concurrent_requests,
        database_timeout_s=settings.database_timeout_s,
    )
    parts = (
        system,
        regions,
        incidents,
        mappings,
        privacy,
        sync,
        training,
        forecasts,
        forecast_series,
        tiles,
        backtests,
    )
    for part in parts:
        app.include_router(part.router)
    app.include_router(static.router)
    return app


def promotions_seen(scope: Scope) -> int:
    """Rises with each promotion that this process makes, which ends what its memo keeps."""
    state: ApiState = scope["app"].state.hotslot
    return state.forecasts.promotions_seen


def create_served_app() -> FastAPI:
    """What uvicorn's processes call: settings from the environment."""
    return create_app(Settings())
