"""A stream of events ends as a whole reply when its caller may no longer see it."""

import asyncio

import pytest

from app.core.errors import PermissionRefused
from app.http.middleware import event_streams
from app.http.middleware.event_streams import STOPPING, EventStream
from tests.support.services.asgi import answered, saying, scope_of

END = {"type": "http.response.body", "body": b"", "more_body": False}


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(event_streams, "CHECK_EVERY_S", 0.01)


async def fine():
    pass


async def refused():
    raise PermissionRefused("revoked")


async def endless(_scope, _receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while True:
        await send({"type": "http.response.body", "body": b"e", "more_body": True})
        await asyncio.sleep(0.002)


def reply_of(app, check, scope=None):
    return asyncio.run(asyncio.wait_for(answered(EventStream(app, check), scope or scope_of()), 5))


def test_a_stream_that_ends_by_itself_passes_unchanged():
    messages = reply_of(saying(b"last"), refused).messages
    assert [message.get("body") for message in messages] == [None, b"last"]


def test_a_refused_caller_gets_a_whole_reply():
    messages = reply_of(endless, refused).messages
    assert messages[0]["status"] == 200
    assert messages[-1] == END
    assert all(message["more_body"] for message in messages[1:-1])


def test_a_service_that_stops_ends_its_streams():
    scope = scope_of()

    async def check():
        scope["state"][STOPPING] = True

    assert reply_of(endless, check, scope).messages[-1] == END


def test_the_reply_starts_before_it_ends():
    async def slow(_scope, _receive, send):
        await asyncio.sleep(0.1)
        await endless(None, None, send)

    types = [message["type"] for message in reply_of(slow, refused).messages]
    assert types[0] == "http.response.start"
    assert types[-1] == "http.response.body"


def test_a_failure_of_the_stream_is_not_swallowed():
    async def broken(_scope, _receive, _send):
        raise LookupError("run")

    with pytest.raises(LookupError, match="run"):
        reply_of(broken, fine)


def test_a_client_that_reads_nothing_holds_no_stream(monkeypatch):
    monkeypatch.setattr(event_streams, "LAST_S", 0.05)
    stopped = []

    async def stuck(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            await send({"type": "http.response.body", "body": b"e", "more_body": True})
        finally:
            stopped.append(True)

    async def run():
        async def send(message):
            if message["type"] == "http.response.body":
                await asyncio.sleep(60)

        await asyncio.wait_for(EventStream(stuck, refused)(scope_of(), None, send), 5)

    asyncio.run(run())
    assert stopped == [True]
