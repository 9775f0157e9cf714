"""Equal requests within a quarter of a second get equal replies, without being worked out again.

Under load nearly all of a cached reply's time goes into parsing its parameters. A reply that
carries an ETag is a pure function of request and model version; who is champion is asked every
`REPEAT_S` anyway, so keeping the whole reply for that long changes nothing that a client
could see. The key holds every header that access or content depend on. Requests that come while an
equal one is being worked out wait for its reply instead of asking for a thread each.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.db.deadlines import remaining_s

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
"""A reply is given again for so long; who is champion is not asked more often either."""
MAX_KEPT = 256
MAX_KEPT_BYTES = 32 << 20


@dataclass
class _Kept:
    until: float
    generation: int
    route: object
    messages: list[Message] = field(default_factory=list)

    @property
    def n_bytes(self) -> int:
        """Size of the body."""
        return sum(len(message.get("body", b"")) for message in self.messages)

    def serves(self, now_s: float, generation: int) -> bool:
        """Whether it may be given to a request that comes now."""
        return self.until > now_s and self.generation == generation


@dataclass(frozen=True)
class _Making:
    """A reply that is being worked out."""

    reply: _Kept
    done: asyncio.Future[_Kept | None]
    """Its result is the reply, or None where it cannot be repeated."""


class ForecastMemo:
    """Repeats GET replies of `/v1/regions/{region}/forecasts/` and `/tiles/` that have an ETag."""

    def __init__(self, app: ASGIApp, generation: Callable[[Scope], int]) -> None:
        self.app = app
        self.generation = generation
        self._kept: dict[tuple[object, ...], _Kept] = {}
        self._making: dict[tuple[object, ...], _Making] = {}
        self._n_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if not _is_forecast(scope):
            await self.app(scope, receive, send)
            return
        key = (
            scope["scheme"],  # with the host it is the address that TileJSON tells of its tiles
            scope["path"],
            scope["query_string"],
            *(pair for pair in scope["headers"] if pair[0] in KEYED_HEADERS),
        )
        now = time.monotonic()
        generation = self.generation(scope)
        kept = self._kept.get(key)
        if kept is None or not kept.serves(now, generation):
            making = self._making.get(key)
            kept = None
            if making is not None and making.reply.serves(now, generation):
                kept = await _within_request(making.done)
        if kept is not None:
            scope["route"] = kept.route
            for message in kept.messages:
                await send(dict(message))
            return
        await self._make(scope, receive, send, key, _Kept(now + REPEAT_S, generation, None))

    async def _make(
        self, scope: Scope, receive: Receive, send: Send, key: tuple[object, ...], kept: _Kept
    ) -> None:
        """Have a reply worked out; equal requests that come meanwhile wait for it."""
        making = _Making(kept, asyncio.get_running_loop().create_future())
        self._making[key] = making

        def finish() -> None:
            if making.done.done():
                return
            if self._making.get(key) is making:
                del self._making[key]
            repeatable = _repeatable(kept.messages)
            if repeatable:
                kept.route = scope.get("route")
                self._keep(key, kept)
            making.done.set_result(kept if repeatable else None)

        async def watching(message: Message) -> None:
            # A copy: outer layers add their headers to what is sent, at each repeat anew.
            kept.messages.append(dict(message))
            # Before the last part is sent: nobody waits for how slowly this client reads it.
            if message["type"] == "http.response.body" and not message.get("more_body"):
                finish()
            await send(message)

        try:
            await self.app(scope, receive, watching)
        finally:
            finish()

    def _keep(self, key: tuple[object, ...], kept: _Kept) -> None:
        self._forget(key)
        self._kept[key] = kept
        self._n_bytes += kept.n_bytes
        # All are kept equally long, so the first one in is the first to go out of date.
        while len(self._kept) > MAX_KEPT or self._n_bytes > MAX_KEPT_BYTES:
            self._forget(next(iter(self._kept)))

    def _forget(self, key: tuple[object, ...]) -> None:
        old = self._kept.pop(key, None)
        self._n_bytes -= old.n_bytes if old else 0


async def _within_request(done: asyncio.Future[_Kept | None]) -> _Kept | None:
    """Wait for a reply that another request is making; None where there is none in this one's time."""
    left_s = remaining_s()
    await asyncio.wait([done], timeout=None if left_s == math.inf else left_s)
    return done.result() if done.done() else None


def _is_forecast(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] != "GET":
        return False
    return is_forecast_path(scope["path"])


def is_forecast_path(path: str) -> bool:
    """Whether a path is one of a forecast's or a tile's."""
    return path.startswith("/v1/regions/") and ("/forecasts/" in path or "/tiles/" in path)


def _repeatable(messages: list[Message]) -> bool:
    """A whole reply of one body part that says what it is by an ETag."""
    if len(messages) != 2 or messages[0]["status"] not in (200, 304):
        return False
    if messages[1].get("more_body"):
        return False
    return any(name == b"etag" for name, _ in messages[0]["headers"])
