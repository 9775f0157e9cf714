"""The composition root: create the application from settings."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from fastapi import FastAPI
from sqlalchemy import Engine
from starlette.middleware.cors import CORSMiddleware
from starlette.types import Scope

from app import __version__
from app.access import routes as keys
from app.access.callers import AccessControl
from app.access.key_cache import REFRESH_S, KeyRing
from app.access.middleware import Access
from app.access.read_counter import ReadCounter
from app.access.service import require_keys_for_others
from app.audit import routes as audit
from app.core.db.engine import open_engine
from app.core.db.replica import RoutedEngine, with_replica
from app.core.errors import Unavailable
from app.core.logging import configure_logging
from app.core.private_files import write_privately
from app.core.processes.memory import freeze_garbage_collector, limit_malloc_arenas
from app.core.settings import Settings
from app.data_quality import routes as data_report
from app.erasure import routes as privacy
from app.evaluation.backtests import routes as backtests
from app.evaluation.fairness import routes as fairness
from app.evaluation.worth import routes as worth
from app.forecasts import routes as forecasts
from app.forecasts import series_routes as forecast_series
from app.forecasts import tile_routes as tiles
from app.forecasts.areas import routes as forecast_areas
from app.forecasts.evaluations import routes as evaluations
from app.forecasts.explain import routes as forecast_explain
from app.forecasts.replies.shared_replies import SWEEP_EVERY_S as SHARED_SWEEP_EVERY_S
from app.forecasts.service import ForecastService
from app.forecasts.streets import routes as forecast_streets
from app.forecasts.warmup import CHECK_EVERY_S, ChampionWarmup
from app.forecasts.zones import routes as forecast_zones
from app.http import basemap, static
from app.http.app_state import ApiState
from app.http.fair_shares import ADMIN_TURNS, Places
from app.http.middleware.body_limits import BodyLimits
from app.http.middleware.chunking import Chunking
from app.http.middleware.compression import Compression
from app.http.middleware.early_response import EarlyResponse
from app.http.middleware.fair_queue import FairQueue
from app.http.middleware.head_requests import HeadRequests
from app.http.middleware.observability import Observability
from app.http.middleware.proxies import Proxies
from app.http.middleware.rate_limit import RateLimiter
from app.http.middleware.response_cache import ResponseCache
from app.http.permissions import RouteTable
from app.http.problems import add_problem_handlers, internal_error
from app.http.protocol import allow_connections
from app.incidents import routes as incidents
from app.incidents.kinds import routes as kinds
from app.monitoring import routes as operations
from app.monitoring import system_routes as system
from app.ogc import coverage_routes as ogc_coverages
from app.ogc import incident_routes as ogc_incidents
from app.ogc import qgis_routes as ogc_qgis
from app.ogc import routes as ogc
from app.openapi import HotslotApi
from app.presence import routes as presence
from app.readers.folders import sweep_parser_folders
from app.readers.isolated import end_all
from app.region_edits import routes as region_edits
from app.regions import layer_routes as layers
from app.regions import routes as regions
from app.register import routes as register
from app.states import routes as states
from app.streets import routes as streets
from app.subscriptions import routes as subscriptions
from app.sync import routes as sync
from app.training import routes as training

if TYPE_CHECKING:
    from app.access.oidc import TokenVerifier

PARTS = (
    system,
    regions,
    layers,
    region_edits,
    incidents,
    kinds,
    presence,
    operations,
    register,
    privacy,
    fairness,
    sync,
    subscriptions,
    data_report,
    training,
    forecasts,
    forecast_explain,
    forecast_series,
    forecast_areas,
    forecast_streets,
    forecast_zones,
    tiles,
    evaluations,
    ogc_incidents,
    ogc_coverages,
    ogc_qgis,
    ogc,
    states,
    streets,
    backtests,
    worth,
    keys,
    audit,
    basemap,
    static,
)
SPARE_THREADS = 2
"""Threads for work outside the fair queue: parsing bodies, serving public files."""
KEYLESS_BURST_S = 8.0
SWEEP_EVERY_S = 600.0
"""Interval of deleting folders of killed reader processes."""
CORS_HEADERS = ("Authorization", "Content-Type", "Idempotency-Key", "If-None-Match", "X-API-Key")
CORS_EXPOSED = (
    "ETag",
    "Link",
    "Location",
    "Retry-After",
    "X-Hotslot-Model-Version",
    "X-Hotslot-State",
)


def create_app(settings: Settings, engine: Engine | None = None) -> HotslotApi:
    """Create the HTTP application; it opens its own engine unless one is given.

    Raises:
        UndeclaredRoute: a route does not declare who may use it.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        basemap.check_basemap(settings.basemap)
        own = with_replica(engine or open_engine(settings), settings)
        require_keys_for_others(own, settings)
        threads = settings.request_threads + ADMIN_TURNS + SPARE_THREADS
        anyio.to_thread.current_default_thread_limiter().total_tokens = threads
        uploads = anyio.CapacityLimiter(settings.max_concurrent_uploads)
        forecasts = ForecastService(own, settings)
        app.state.hotslot = ApiState(settings, own, uploads, state_made=forecasts.forget_champion)
        app.state.forecasts = forecasts
        ahead = _repeated(ChampionWarmup(forecasts).warm_up_if_possible, CHECK_EVERY_S)
        sharing = _repeated(forecasts.shared.refresh_if_possible, SHARED_SWEEP_EVERY_S)
        sweeping = _repeated(sweep_parser_folders, SWEEP_EVERY_S)
        async with (
            _gate(own, settings) as app.state.gate,
            ahead as app.state.warmed_up,
            sharing,
            sweeping,
        ):
            try:
                yield
            finally:
                end_all()
        if isinstance(own, RoutedEngine):
            own.replica.engine.dispose()
        if engine is None:
            own.dispose()

    app = HotslotApi(
        title="hotslot",
        version=__version__,
        summary="Forecasts where crime concentrates in which hour of the week.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    add_problem_handlers(app)
    app.add_exception_handler(Exception, internal_error)
    for part in PARTS:
        # `include_router` would build each route anew, at the first request that it might match.
        app.router.routes.extend(part.router.routes)
    table = app.table = RouteTable(app.routes)
    _add_middleware(app, settings, table)
    return app


def _add_middleware(app: FastAPI, settings: Settings, table: RouteTable) -> None:
    """Add middleware, the innermost first."""
    app.add_middleware(Compression)
    app.add_middleware(FairQueue, database_timeout_s=settings.database_timeout_s)
    app.add_middleware(ResponseCache, generation=promotions_seen)
    app.add_middleware(
        BodyLimits, max_bytes=settings.max_json_bytes, idle_s=settings.body_idle_timeout_s
    )
    app.add_middleware(Access, table=table)
    app.add_middleware(HeadRequests)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "HEAD", "POST", "PUT", "DELETE"],
            allow_headers=CORS_HEADERS,
            expose_headers=CORS_EXPOSED,
        )
    app.add_middleware(
        Observability,
        database_timeout_s=settings.database_timeout_s,
        cross_origin=bool(settings.cors_origins),
        tiles_url=settings.page_tiles_url,
        frame_ancestors=settings.page_frame_ancestors,
    )
    app.add_middleware(EarlyResponse)
    app.add_middleware(Chunking)
    app.add_middleware(Proxies, root_path=settings.root_path, trusted=settings.trusted_proxies)


@asynccontextmanager
async def _gate(engine: Engine, settings: Settings) -> AsyncIterator[AccessControl]:
    """Provide access control, and write counted reads to the audit log repeatedly."""
    limiter = RateLimiter(settings.rate_limit_per_s, settings.rate_limit_burst)
    keyless_per_s = settings.rate_limit_keyless_per_s
    addresses = RateLimiter(keyless_per_s, math.ceil(KEYLESS_BURST_S * keyless_per_s))
    places = Places.of(settings)
    tokens = _token_verifier(settings)
    gate = AccessControl(
        settings, KeyRing(engine), tokens, limiter, ReadCounter(), addresses, places
    )

    def write_reads() -> None:
        gate.reads.write_if_possible(engine)

    def read_keys() -> None:
        if gate.ring.copy.keys:  # without keys, each allowed request checks for new ones
            with suppress(Unavailable):  # requests that need keys report it
                gate.ring.reread()

    try:
        async with (
            _repeated(write_reads, settings.audit_reads_every_s),
            _repeated(read_keys, REFRESH_S),
        ):
            yield gate
    finally:
        await asyncio.to_thread(write_reads)
        await asyncio.to_thread(gate.ring.close)
        if tokens is not None:
            tokens.close()


def _token_verifier(settings: Settings) -> TokenVerifier | None:
    if settings.oidc_issuer is None:
        return None
    # Imported here because its libraries (httpx, PyJWT) would slow down every start.
    from app.access.oidc import TokenVerifier

    return TokenVerifier(settings)


@asynccontextmanager
async def _repeated(work: Callable[[], None], every_s: float) -> AsyncIterator[asyncio.Event]:
    """Do the work now and then every `every_s` in a thread, until the block ends.

    Yields an event that is set when the work has been tried once.
    """
    stopping, tried_once = asyncio.Event(), asyncio.Event()

    async def repeat() -> None:
        while not stopping.is_set():
            try:
                await asyncio.to_thread(work)
            finally:
                tried_once.set()
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), every_s)

    repeating = asyncio.create_task(repeat())
    try:
        yield tried_once
    finally:
        stopping.set()
        await repeating


def promotions_seen(scope: Scope) -> int:
    """Return the number of promotions by this process, which invalidates its response cache."""
    service: ForecastService = scope["app"].state.forecasts
    return service.promotions_seen


def create_served_app() -> HotslotApi:
    """Create the application in a uvicorn process, with settings from the environment."""
    limit_malloc_arenas()
    allow_connections()
    write_privately()
    settings = Settings()
    configure_logging(settings)
    app = create_app(settings)
    freeze_garbage_collector()
    return app
