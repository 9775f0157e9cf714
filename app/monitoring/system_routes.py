"""Health, metrics, docs and the map page."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from html import escape

from anyio import to_thread
from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app.core.roles import Role
from app.core.settings import Settings
from app.http.app_state import State
from app.http.permissions import allow, public
from app.http.problems import DOCUMENTED
from app.http.static import WEB, StaticReplies
from app.monitoring.metrics import refresh_metrics
from app.monitoring.schemas import Status

WARM_UP_S = 2.0
"""Health checks commonly wait for 4 s or longer."""
router = APIRouter(tags=["system"], responses=DOCUMENTED)
_replies = StaticReplies()
_DOCS = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>hotslot API</title>
<link rel="icon" href="static/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="static/vendor/swagger-ui/swagger-ui.css"></head>
<body><div id="swagger-ui"></div>
<script src="static/vendor/swagger-ui/swagger-ui-bundle.js"></script>
<script src="static/docs.js"></script></body></html>
"""


@router.get("/healthz")
@public
async def healthz() -> Status:
    """Report that the process answers; does not use the database."""
    return Status(status="ok")


@router.get("/readyz")
@public
async def readyz(request: Request, state: State) -> Status:
    """Check that requests can be served: the database answers and its schema is current.

    A process that has just started replies when it has loaded the newest champions, after 2 s at the latest.
    """
    await state.readiness.check(state.engine)
    with suppress(TimeoutError):
        await asyncio.wait_for(request.app.state.warmed_up.wait(), WARM_UP_S)
    return Status(status="ready")


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
@allow(Role.READER)
async def metrics(state: State) -> Response:
    """Export Prometheus metrics."""
    await to_thread.run_sync(
        refresh_metrics, state.engine, state.settings.job_stalled_s, limiter=state.aside
    )
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


@router.get("/docs", include_in_schema=False)
@public
async def docs() -> HTMLResponse:
    """Show the API's documentation; all of its files are served from here."""
    return HTMLResponse(_DOCS)


@router.get("/", include_in_schema=False)
@public
async def page(request: Request, state: State) -> Response:
    """Show the map page; its head names what lies beneath the cells, if anything does."""
    metas = _metas(state.settings)
    read = partial(_page, metas)
    changed = (WEB / "index.html").stat().st_mtime_ns
    return await _replies.reply(request, (metas, changed), read, "text/html")


def _metas(settings: Settings) -> str:
    """Return the tags of the head that carry settings to the page."""
    beneath = "/basemap" if settings.basemap else settings.page_tiles_url
    if beneath is None:
        return ""
    name = "basemap" if settings.basemap else "tiles"
    attribution = escape(settings.page_tiles_attribution)
    tag = f'<meta name="{name}" content="{escape(beneath)}" data-attribution="{attribution}">'
    return tag + "\n"


def _page(metas: str) -> bytes:
    html = (WEB / "index.html").read_text(encoding="utf-8")
    return html.replace("</head>", f"{metas}</head>", 1).encode()
