"""Equal requests within a quarter of a second get equal replies, without being worked out again.

Under load nearly all of a cached reply's time goes into parsing its parameters. A reply that
carries an ETag is a pure function of request and model version; who is champion is asked every
`CHAMPION_TTL_S` anyway, so keeping the whole reply for that long changes nothing that a client
could see. The key holds every header that access or content depend on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.services.forecast import CHAMPION_TTL_S

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


class ForecastMemo:
    """Repeats GET replies of `/v1/regions/{region}/forecasts/` and `/tiles/` that have an ETag."""

    def __init__(self, app: ASGIApp, generation: Callable[[Scope], int]) -> None:
        self.app = app
        self.generation = generation
        self._kept: dict[tuple[object, ...], _Kept] = {}
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
        kept = self._kept.get(key)
        now = time.monotonic()
        generation = self.generation(scope)
        if kept is not None and kept.until > now and kept.generation == generation:
            scope["route"] = kept.route
            for message in kept.messages:
                await send(dict(message))
            return
        await self._watched(
            scope, receive, send, key, _Kept(now + CHAMPION_TTL_S, generation, None)
        )

    async def _watched(
        self, scope: Scope, receive: Receive, send: Send, key: tuple[object, ...], kept: _Kept
    ) -> None:
        async def watching(message: Message) -> None:
            # A copy: outer layers add their headers to what is sent, at each repeat anew.
            kept.messages.append(dict(message))
            await send(message)

        await self.app(scope, receive, watching)
        if _repeatable(kept.messages):
            kept.route = scope.get("route")
            self._forget(key)
            self._kept[key] = kept
            self._n_bytes += kept.n_bytes
            # All are kept equally long, so the first one in is the first to go out of date.
            while len(self._kept) > MAX_KEPT or self._n_bytes > MAX_KEPT_BYTES:
                self._forget(next(iter(self._kept)))

    def _forget(self, key: tuple[object, ...]) -> None:
        old = self._kept.pop(key, None)
        self._n_bytes -= old.n_bytes if old else 0


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
