"""Read bodies other than uploads completely and within limits before a route sees them.

A route would read them completely anyway; here their size, pace and total memory are limited, so that
neither a large body nor a slow one affects other requests.
"""

from __future__ import annotations

import asyncio
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.errors import HotslotError, InvalidInput, Unavailable
from app.http.json_body import check_containers
from app.http.problems import problem_of

PLAIN_BYTES, PLAIN_CONTAINERS = 2 << 20, 10_000
"""Limits of bodies that are parsed on the event loop."""
BODILESS = frozenset(("GET", "HEAD", "OPTIONS"))
WHOLE_BODY_FACTOR = 4
"""Limit for a whole body, in idle timeouts."""


class ClientLeft(Exception):
    """The client disconnected in the middle of its body."""


class BodyLimits:
    """Read and replay the bodies of requests.

    Args:
        max_bytes: of one large body; all that are in use may have twice as many.
        idle_s: how long a client may send nothing.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, idle_s: float) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.idle_s = idle_s
        self.held_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        is_ours = scope["type"] == "http" and scope["method"] not in BODILESS
        if not is_ours or scope.get("state", {}).get("streams_body"):
            await self.app(scope, receive, send)
            return
        is_large = scope.get("state", {}).get("large_body", False)
        limit = self.max_bytes if is_large else min(self.max_bytes, PLAIN_BYTES)
        body = bytearray()
        try:
            try:
                self._check(declared_bytes(scope), 0, limit)
                await self._read(receive, body, limit)
                if not is_large:
                    check_containers(body, PLAIN_CONTAINERS)
            except HotslotError as refusal:
                await problem_of(refusal)(scope, receive, send)
                return
            except ClientLeft:
                return
            await self.app(scope, _replay(bytes(body), receive), send)
        finally:
            self.held_bytes -= len(body)

    async def _read(self, receive: Receive, body: bytearray, limit: int) -> None:
        end = time.monotonic() + WHOLE_BODY_FACTOR * self.idle_s
        more = True
        while more:
            wait_s = min(self.idle_s, end - time.monotonic())
            try:
                message = await asyncio.wait_for(receive(), wait_s)
            except TimeoutError as error:
                raise InvalidInput(
                    "timed out waiting for the request body", code="timeout"
                ) from error
            if message["type"] == "http.disconnect":
                raise ClientLeft
            chunk: bytes = message.get("body", b"")
            self._check(len(body) + len(chunk), len(chunk), limit)
            body += chunk
            self.held_bytes += len(chunk)
            more = message.get("more_body", False)

    def _check(self, n_bytes: int, added: int, limit: int) -> None:
        if n_bytes > limit:
            raise InvalidInput(f"the body is larger than {limit} bytes", code="too_large")
        if self.held_bytes + added > 2 * self.max_bytes:
            raise Unavailable(
                "too many large bodies at once; retry later", retry_after_s=2, code="overloaded"
            )


def declared_bytes(scope: Scope) -> int:
    """Return the declared size of a body; 0 where there is none."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value[:20])
    return 0


def has_unknown_length(scope: Scope) -> bool:
    """Return whether a body is sent in chunks of unknown number."""
    return any(name == b"transfer-encoding" for name, _ in scope["headers"])


def _replay(body: bytes, receive: Receive) -> Receive:
    """Let the route receive the body at once, then what the connection sends."""
    sent = False

    async def again() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
