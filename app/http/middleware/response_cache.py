"""Cache whole replies of forecasts for a quarter of a second.

Under load nearly all of a reply's time goes into parsing its parameters. A reply with an ETag is a pure
function of request and model version; the champion is looked up only every `REPEAT_S` anyway, so
caching the whole reply for that long changes nothing that a client could see. The key contains every
header that access or content depend on. Requests that come while an equal one is being computed wait
for its reply instead of taking a thread each.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.db.deadlines import remaining_s
from app.http.middleware.proxies import PREFIX

KEYED_HEADERS = frozenset(
    (
        b"accept",
        b"accept-encoding",
        b"authorization",
        b"cookie",
        b"host",
        b"if-none-match",
        b"x-api-key",
    )
)
REPEAT_S = 0.25
"""How long a reply is repeated; the champion is not looked up more often either."""
MAX_ENTRIES = 256
MAX_BYTES = 32 << 20


@dataclass
class _Entry:
    until: float
    generation: int
    route: object
    messages: list[Message] = field(default_factory=list)

    @property
    def n_bytes(self) -> int:
        """Return the size of the body."""
        return sum(len(message.get("body", b"")) for message in self.messages)

    def serves(self, now_s: float, generation: int) -> bool:
        """Return whether a request that comes now may get this reply."""
        return self.until > now_s and self.generation == generation


@dataclass(frozen=True)
class _Pending:
    """A reply that is being computed."""

    reply: _Entry
    done: asyncio.Future[_Entry | None]
    """Its result is the reply, or None where it may not be repeated."""


class ResponseCache:
    """Repeat GET replies of `/v1/regions/{region}/forecasts/` and `/tiles/` that have an ETag."""

    def __init__(self, app: ASGIApp, generation: Callable[[Scope], int]) -> None:
        self.app = app
        self.generation = generation
        self._entries: dict[tuple[object, ...], _Entry] = {}
        self._pending: dict[tuple[object, ...], _Pending] = {}
        self._n_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if not _is_forecast(scope):
            await self.app(scope, receive, send)
            return
        key = (
            scope["scheme"],  # with host and prefix it is part of the URLs in TileJSON
            scope.get(PREFIX),
            scope["path"],
            scope["query_string"],
            *(pair for pair in scope["headers"] if pair[0] in KEYED_HEADERS),
        )
        now = time.monotonic()
        generation = self.generation(scope)
        entry = self._entries.get(key)
        if entry is None or not entry.serves(now, generation):
            pending = self._pending.get(key)
            entry = None
            if pending is not None and pending.reply.serves(now, generation):
                entry = await _within_request(pending.done)
        if entry is not None:
            scope["route"] = entry.route
            for message in entry.messages:
                await send(dict(message))
            return
        await self._compute(scope, receive, send, key, _Entry(now + REPEAT_S, generation, None))

    async def _compute(
        self, scope: Scope, receive: Receive, send: Send, key: tuple[object, ...], entry: _Entry
    ) -> None:
        """Compute a reply; equal requests that come meanwhile wait for it."""
        pending = _Pending(entry, asyncio.get_running_loop().create_future())
        self._pending[key] = pending

        def finish() -> None:
            if pending.done.done():
                return
            if self._pending.get(key) is pending:
                del self._pending[key]
            repeatable = _repeatable(entry.messages)
            if repeatable:
                entry.route = scope.get("route")
                self._store(key, entry)
            pending.done.set_result(entry if repeatable else None)

        async def watching(message: Message) -> None:
            # A copy: outer layers add their headers to what is sent, at each repeat anew.
            entry.messages.append(dict(message))
            # Before the last part is sent: nobody waits for how slowly this client reads it.
            if message["type"] == "http.response.body" and not message.get("more_body"):
                finish()
            await send(message)

        try:
            await self.app(scope, receive, watching)
        finally:
            finish()

    def _store(self, key: tuple[object, ...], entry: _Entry) -> None:
        self._forget(key)
        self._entries[key] = entry
        self._n_bytes += entry.n_bytes
        # All are cached equally long, so the oldest entry expires first.
        while len(self._entries) > MAX_ENTRIES or self._n_bytes > MAX_BYTES:
            self._forget(next(iter(self._entries)))

    def _forget(self, key: tuple[object, ...]) -> None:
        old = self._entries.pop(key, None)
        self._n_bytes -= old.n_bytes if old else 0


async def _within_request(done: asyncio.Future[_Entry | None]) -> _Entry | None:
    """Wait for a reply that another request computes; None if it is not ready in time."""
    left_s = remaining_s()
    await asyncio.wait([done], timeout=None if left_s == math.inf else left_s)
    return done.result() if done.done() else None


def _is_forecast(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] != "GET":
        return False
    return is_forecast_path(scope["path"])


def is_forecast_path(path: str) -> bool:
    """Return whether a path belongs to a forecast or a tile."""
    return path.startswith("/v1/regions/") and ("/forecasts/" in path or "/tiles/" in path)


def _repeatable(messages: list[Message]) -> bool:
    """Return whether a reply is complete, in one message, with an ETag."""
    if len(messages) != 2 or messages[0]["status"] not in (200, 304):
        return False
    if messages[1].get("more_body"):
        return False
    return any(name == b"etag" for name, _ in messages[0]["headers"])
