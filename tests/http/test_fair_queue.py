"""A turn is held until the reply starts, an upload's until it ends; waits are bounded."""

import asyncio
import math

import pytest

from app.core.db.deadlines import answered_within, remaining_s
from app.core.roles import Caller
from app.http.fair_shares import Turns
from app.http.middleware.fair_queue import LONG_FACTOR, QUICK_BODY_BYTES, FairQueue
from tests.support.services.asgi import answered, saying, scope_of

TIMEOUT_S = 20.0


def request(turns, method="GET", *, uploads=False, **headers):
    state = {"turns": turns, "caller": Caller("key", frozenset()), "streams_body": uploads}
    return scope_of(
        method, headers={k.replace("_", "-"): v for k, v in headers.items()}, state=state
    )


def run(app, scope, timeout_s=TIMEOUT_S, left_s=TIMEOUT_S):
    async def within():
        with answered_within(left_s):
            return await answered(FairQueue(app, timeout_s), scope)

    return asyncio.run(within())


@pytest.mark.parametrize(("uploads", "held_while_sending"), [(False, 0), (True, 1)])
def test_a_turn_ends_as_the_reply_starts_and_an_uploads_at_its_end(uploads, held_while_sending):
    turns, held = Turns(4), []

    async def app(_scope, _receive, send):
        held.append(turns.n_taken)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        held.append(turns.n_taken)
        await send({"type": "http.response.body", "body": b""})

    run(app, request(turns, uploads=uploads))
    assert held == [1, held_while_sending]
    assert turns.n_taken == 0


def test_a_request_that_fails_gives_its_turn_back():
    async def broken(_scope, _receive, _send):
        raise LookupError("cell")

    turns = Turns(4)
    with pytest.raises(LookupError):
        run(broken, request(turns))
    assert turns.held == {}


def test_who_waits_too_long_is_told_when_to_come_back():
    turns = Turns(1)
    turns.enter("other")
    reply = run(saying(b"never"), request(turns), left_s=0.05)
    assert reply.status == 503
    assert int(reply.headers["retry-after"]) > 0
    assert turns.held == {"other": 1}


def test_a_request_without_turns_passes():
    assert run(saying(b"events"), request(None)).body == b"events"


@pytest.mark.parametrize(
    ("method", "uploads", "headers", "left_s"),
    [
        ("GET", False, {}, 5.0),
        ("POST", False, {"content_length": "2"}, TIMEOUT_S),
        ("POST", False, {"content_length": str(QUICK_BODY_BYTES + 1)}, TIMEOUT_S * LONG_FACTOR),
        ("POST", False, {"transfer_encoding": "chunked"}, TIMEOUT_S * LONG_FACTOR),
        ("POST", True, {"content_length": "2"}, math.inf),
    ],
)
def test_the_database_may_take_as_long_as_the_body_deserves(method, uploads, headers, left_s):
    found = []

    async def app(_scope, _receive, send):
        found.append(remaining_s())
        await saying()(_scope, _receive, send)

    run(app, request(Turns(4), method, uploads=uploads, **headers), left_s=5.0)
    assert found[0] == pytest.approx(left_s, abs=1.0)
