"""What surrounds every request: security headers, metrics, load shedding, a deadline.

Pure ASGI: a wrapper that buffers bodies would break streaming uploads and server-sent events.
"""

from __future__ import annotations

import logging
import math
import re
import time
from urllib.parse import urlsplit
from uuid import uuid4

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.metrics import IN_FLIGHT, REQUESTS, SECONDS, SHED
from app.api.problems import problem
from app.logs import REQUEST_ID
from app.storage.deadlines import answered_within

_PLAIN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_log = logging.getLogger("hotslot.api")
UNSHEDDABLE = ("/healthz", "/readyz", "/metrics")
QUICK_BODY_BYTES = 64 << 10
"""A request with a larger body, or one of unknown length, may take as long as its upload does."""
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:{tiles}; connect-src 'self'{tiles}; worker-src 'self' blob:; "
    "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""`tiles`: the one other host that the page may ask, or nothing."""
SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
)


def _security_policy(tiles_url: str | None) -> bytes:
    parts = urlsplit(tiles_url or "")
    tiles = f" {parts.scheme}://{parts.netloc}" if parts.netloc else ""
    return CONTENT_SECURITY_POLICY.format(tiles=tiles).encode()


class Surround:
    """Counts, times, sheds and dresses every HTTP request, and bounds its database waits."""

    def __init__(
        self,
        app: ASGIApp,
        max_concurrent: int,
        database_timeout_s: float,
        *,
        cross_origin: bool = False,
        tiles_url: str | None = None,
    ) -> None:
        self.app = app
        self.max_concurrent = max_concurrent
        self.database_timeout_s = database_timeout_s
        resources = b"cross-origin" if cross_origin else b"same-origin"
        self.headers = (
            *SECURITY_HEADERS,
            (b"content-security-policy", _security_policy(tiles_url)),
            (b"cross-origin-resource-policy", resources),
        )
        self.in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if self.in_flight >= self.max_concurrent and scope["path"] not in UNSHEDDABLE:
            SHED.inc()
            shed = problem(
                503, "too many requests at once", "overloaded", headers={"Retry-After": "1"}
            )
            await shed(scope, receive, send)
            return
        await self._counted(scope, receive, send)

    async def _counted(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        status = 500
        request_id = _request_id(scope)
        REQUEST_ID.set(request_id)

        async def dressed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), *self.headers]
                message["headers"].append((b"x-request-id", request_id.encode()))
                route = getattr(scope.get("route"), "path", "none")
                SECONDS.labels(route).observe(time.perf_counter() - started)
            await send(message)

        self.in_flight += 1
        IN_FLIGHT.inc()
        try:
            with answered_within(self.database_timeout_s if _is_quick(scope) else math.inf):
                await self.app(scope, receive, dressed)
        finally:
            self.in_flight -= 1
            IN_FLIGHT.dec()
            route = getattr(scope.get("route"), "path", "none")
            REQUESTS.labels(scope["method"], route, str(status)).inc()
            told = {
                "method": scope["method"],
                "route": route,
                "status": status,
                "seconds": round(time.perf_counter() - started, 4),
            }
            _log.log(
                logging.DEBUG if scope["path"] in UNSHEDDABLE else logging.INFO,
                "request",
                extra=told,
            )


def _request_id(scope: Scope) -> str:
    """The caller's own, when it is a plain word, so that logs of several services meet; or a new one."""
    given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
    return given if _PLAIN_ID.fullmatch(given) else uuid4().hex


def _is_quick(scope: Scope) -> bool:
    """Whether all of a request's work ought to fit into one deadline."""
    if scope["method"] in ("GET", "HEAD", "DELETE"):
        return True
    length = dict(scope["headers"]).get(b"content-length", b"")
    return length.isdigit() and int(length) <= QUICK_BODY_BYTES
