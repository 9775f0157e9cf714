"""Remembered replies: equal requests at once are worked out once, and nobody waits for a slow reader."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send

from app.core.db.deadlines import answered_within
from app.http.middleware.response_cache import ResponseCache

ETAG = (b"etag", b'"1"')


class Route:
    """A forecast's route that counts how often it is asked and answers when it is let."""

    def __init__(self, *headers: tuple[bytes, bytes]) -> None:
        self.headers = list(headers)
        self.n_asked = 0
        self.let = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.n_asked += 1
        await self.let.wait()
        await send({"type": "http.response.start", "status": 200, "headers": self.headers})
        await send({"type": "http.response.body", "body": b"density"})


async def ask(memo: ResponseCache, *, key: bytes = b"a", reads: bool = True) -> bytes:
    """Ask for one window's density; returns the body."""
    got = bytearray()

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            got.extend(message["body"])
            if not reads:
                await asyncio.Event().wait()

    scope = {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "path": "/v1/regions/r/forecasts/density",
        "query_string": b"window=1",
        "headers": [(b"x-api-key", key)],
    }
    with answered_within(5.0):
        await memo(scope, asyncio.Event().wait, send)  # type: ignore[arg-type]
    return bytes(got)


@pytest.mark.parametrize(("headers", "n_asked"), [((ETAG,), 1), ((), 21)])
def test_equal_requests_at_once_are_worked_out_once(headers, n_asked):
    """Unless the reply does not say what it is: then each gets its own (the first once, then all)."""

    async def run() -> None:
        route = Route(*headers)
        memo = ResponseCache(route, lambda _scope: 0)
        asked = [asyncio.create_task(ask(memo)) for _ in range(21)]
        await asyncio.sleep(0)
        assert route.n_asked == 1
        route.let.set()
        assert await asyncio.gather(*asked) == [b"density"] * 21
        assert route.n_asked == n_asked

    asyncio.run(run())


def test_another_key_and_another_generation_get_their_own():
    async def run() -> None:
        generation = 0
        route = Route(ETAG)
        memo = ResponseCache(route, lambda _scope: generation)
        asked = [asyncio.create_task(ask(memo, key=key)) for key in (b"a", b"b", b"a")]
        await asyncio.sleep(0)
        assert route.n_asked == 2
        generation = 1
        asked.append(asyncio.create_task(ask(memo)))
        await asyncio.sleep(0)
        assert route.n_asked == 3
        route.let.set()
        await asyncio.gather(*asked)

    asyncio.run(run())


def test_nobody_waits_for_a_client_that_does_not_read_or_has_gone():
    async def run() -> None:
        route = Route(ETAG)
        memo = ResponseCache(route, lambda _scope: 0)
        first = asyncio.create_task(ask(memo, reads=False))
        second = asyncio.create_task(ask(memo))
        await asyncio.sleep(0)
        route.let.set()
        assert await asyncio.wait_for(second, 30.0) == b"density"
        assert not first.done()
        first.cancel()

        gone = Route(ETAG)
        memo = ResponseCache(gone, lambda _scope: 0)
        first = asyncio.create_task(ask(memo))
        second = asyncio.create_task(ask(memo))
        await asyncio.sleep(0)
        first.cancel()
        gone.let.set()
        assert await asyncio.wait_for(second, 30.0) == b"density"
        assert gone.n_asked == 2

    asyncio.run(run())
