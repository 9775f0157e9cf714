"""The composition root: settings in, a served application out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from sqlalchemy import Engine

from app.api import backtests, forecasts, incidents, regions, system, training
from app.api.middleware import Surround
from app.api.problems import add_problem_handlers, internal_error
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
    )
    add_problem_handlers(app)
    app.add_exception_handler(Exception, internal_error)
    app.add_middleware(Surround, max_concurrent=settings.max_concurrent_requests)
    for part in (system, regions, incidents, training, forecasts, backtests):
        app.include_router(part.router)
    app.mount("/static", StaticFiles(directory=system.WEB), name="static")
    return app


def create_served_app() -> FastAPI:
    """What uvicorn's processes call: settings from the environment."""
    return create_app(Settings())
