"""Add security headers, metrics, a log line and a deadline to every request.

Pure ASGI: a wrapper that buffers bodies would break streaming uploads and server-sent events.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Sequence
from functools import cache, lru_cache
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

from prometheus_client import Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.db.deadlines import answered_within
from app.core.logging import REQUEST_ID
from app.http.metrics import IN_FLIGHT, REQUESTS, SECONDS
from app.http.permissions import ALWAYS_SERVED

_PLAIN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_log = logging.getLogger("hotslot.api")
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:{tiles}; connect-src 'self'{tiles}; worker-src 'self' blob:; "
    "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors {ancestors}"
)
"""`tiles`: the one other host that the page may use, or an empty text; `ancestors`: who may frame it."""
SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


_NO_FRAME = (b"x-frame-options", b"DENY")


def _security_policy(tiles_url: str | None, ancestors: Sequence[str] = ()) -> bytes:
    parts = urlsplit(tiles_url or "")
    tiles = f" {parts.scheme}://{parts.netloc}" if parts.netloc else ""
    allowed = " ".join(ancestors) or "'none'"
    return CONTENT_SECURITY_POLICY.format(tiles=tiles, ancestors=allowed).encode()


class Observability:
    """Record metrics, add security headers and bound the database waits of every HTTP request."""

    def __init__(
        self,
        app: ASGIApp,
        database_timeout_s: float,
        *,
        cross_origin: bool = False,
        tiles_url: str | None = None,
        frame_ancestors: Sequence[str] = (),
    ) -> None:
        self.app = app
        self.database_timeout_s = database_timeout_s
        resources = b"cross-origin" if cross_origin else b"same-origin"
        every = (*SECURITY_HEADERS, (b"cross-origin-resource-policy", resources))
        policy = b"content-security-policy"
        self.headers = [*every, _NO_FRAME, (policy, _security_policy(tiles_url))]
        self.embedded = self.headers
        if frame_ancestors:
            self.embedded = [*every, (policy, _security_policy(tiles_url, frame_ancestors))]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "websocket":
            # `request_limits.py` refuses upgrades; a server that makes them gets here, and answers 403.
            _log.info("request", extra={"method": "GET", "status": 403, "upgrade": "websocket"})
            await send({"type": "websocket.close", "code": 1000, "reason": "no WebSockets here"})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        await self._counted(scope, receive, send)

    async def _counted(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        status = 500
        request_id = _request_id(scope)
        REQUEST_ID.set(request_id)

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                ours = self.embedded if _is_embedded(scope) else self.headers
                message["headers"] = [*message.get("headers", []), *ours]
                message["headers"].append((b"x-request-id", request_id.encode()))
                route = getattr(scope.get("route"), "path", "none")
                _seconds_of(route).observe(time.perf_counter() - started)
            await send(message)

        IN_FLIGHT.inc()
        try:
            with answered_within(self.database_timeout_s):
                await self.app(scope, receive, send_with_headers)
        finally:
            IN_FLIGHT.dec()
            route = getattr(scope.get("route"), "path", "none")
            _requests_of(scope["method"], route, status).inc()
            fields = {
                "method": scope["method"],
                "route": route,
                "status": status,
                "seconds": round(time.perf_counter() - started, 4),
            }
            _log.log(
                logging.DEBUG if scope["path"] in ALWAYS_SERVED else logging.INFO,
                "request",
                extra=fields,
            )


def _is_embedded(scope: Scope) -> bool:
    """Return whether the page is asked for as its map alone, which has nothing to click."""
    if scope["path"] != "/":
        return False
    query: bytes = scope["query_string"]
    return parse_qs(query).get(b"embed", [b""])[0] == b"1"


@cache
def _seconds_of(route: str) -> Histogram:
    """Cache the histogram of a route's template: its look-up takes longer than adding to it."""
    return SECONDS.labels(route)


@lru_cache(maxsize=1024)  # a client may send any method
def _requests_of(method: str, route: str, status: int) -> Counter:
    return REQUESTS.labels(method, route, str(status))


def _request_id(scope: Scope) -> str:
    """Use the caller's own id where it is a plain word, so that logs can be joined; else a new one."""
    given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
    return given if _PLAIN_ID.fullmatch(given) else uuid4().hex
