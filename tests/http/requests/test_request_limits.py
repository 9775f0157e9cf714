"""What a request, a body and a key may cost: refused before the work, with the time to come back."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import numpy as np
import pytest
import shapely
from starlette.types import Message

from app.core.errors import InvalidInput, LimitExceeded, RateLimited
from app.core.roles import Caller, Role
from app.geo.grid import build_grid
from app.geo.overlaps import CellIndex
from app.geo.study_area import StudyArea
from app.http.body_stream import BodyStream
from app.http.middleware import rate_limit
from app.http.middleware.body_limits import BodyLimits
from app.http.middleware.rate_limit import (
    REFUSED_PER_S,
    REFUSED_PER_S_OF_ONE,
    SLOW_NO_S,
    Brake,
    RateLimiter,
    address_of,
)

READER = frozenset({Role.READER})


def test_the_refusals_of_one_sender_wait_for_each_other_and_not_those_of_others(monkeypatch):
    waits_s: list[float] = []

    async def note(seconds: float) -> None:
        waits_s.append(seconds)
        await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=0)

    async def refuse(brake: Brake, *senders: str) -> None:
        await asyncio.gather(*(brake.wait(sender) for sender in senders))

    monkeypatch.setattr(rate_limit.asyncio, "sleep", note)
    brake = Brake()
    asyncio.run(refuse(brake, *["flood"] * 20, "other"))
    assert waits_s[19] == pytest.approx(20 / REFUSED_PER_S_OF_ONE)
    assert waits_s[20] == pytest.approx(max(SLOW_NO_S, 21 / REFUSED_PER_S))
    asyncio.run(refuse(brake, "flood"))
    assert waits_s[21] == pytest.approx(1 / REFUSED_PER_S_OF_ONE)  # nobody waits for what has gone
    assert brake.n_waiting == 0


def test_a_bucket_fills_at_its_rate(monkeypatch):
    now = 100.0
    monkeypatch.setattr(rate_limit.time, "monotonic", lambda: now)
    limiter = RateLimiter(per_s=2.0, burst=5)
    caller = Caller("a", READER)

    def taken() -> int:
        for n in range(1000):
            try:
                limiter.charge(caller)
            except RateLimited:
                return n
        return 1000

    assert taken() == 5
    now += 1.5
    assert taken() == 3
    now += 3600
    assert taken() == 5
    limiter.charge(Caller("b", READER))
    assert RateLimiter(0, 1).charge(caller) is None
    own = Caller("c", READER, rate_per_s=0.1)
    for _ in range(5):
        limiter.charge(own)
    with pytest.raises(RateLimited) as refused:
        limiter.charge(own)
    assert refused.value.retry_after_s == 10


def test_quiet_callers_are_forgotten_and_busy_ones_are_not(monkeypatch):
    monkeypatch.setattr(rate_limit, "MAX_TRACKED", 10)
    now = 0.0
    monkeypatch.setattr(rate_limit.time, "monotonic", lambda: now)
    limiter = RateLimiter(per_s=1.0, burst=2)
    for n in range(9):
        limiter.charge(Caller(f"{n}", READER))
    now = 60.0
    limiter.charge(Caller("busy", READER))
    limiter.charge(Caller("new", READER))
    assert set(limiter._uses) == {"busy", "new"}
    for n in range(100):
        limiter.charge(Caller(f"{n}", READER))
    assert len(limiter._uses) == 10


def test_addresses_of_one_subscriber_are_one():
    def of(host):
        return address_of({"client": (host, 1)})

    assert of("2001:db8::1") == of("2001:db8::ffff:1") != of("2001:db8:0:1::1")
    assert of("192.0.2.1") != of("192.0.2.2")
    assert of("::ffff:192.0.2.1") != of("::ffff:192.0.2.2")


@pytest.mark.slow
def test_a_key_over_its_rate_is_told_when_to_come_back(guarded):
    key = guarded.make("reader", rate_per_s=0.001)
    statuses = [guarded.ask("GET", "/v1/me", key) for _ in range(guarded.settings.rate_limit_burst)]
    assert {reply.status_code for reply in statuses} == {200}
    refused = guarded.ask("GET", "/v1/me", key)
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert int(refused.headers["retry-after"]) > 0
    assert guarded.ask("GET", "/v1/me", guarded.keys["reader"]).status_code == 200
    assert guarded.ask("GET", "/healthz", key).status_code == 200


class Sent:
    """An application behind `BodyLimits`, and what came of one request."""

    def __init__(self, chunks: list[bytes | float], **headers: str) -> None:
        self.chunks = list(chunks)
        self.headers = [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]
        self.seen: bytes | None = None
        self.status = 0
        self.n_received = 0

    async def app(self, _scope, receive, send) -> None:
        message = await receive()
        self.seen = message["body"]
        assert message["more_body"] is False
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def receive(self) -> Message:
        self.n_received += 1
        if not self.chunks:
            return {"type": "http.disconnect"}
        chunk = self.chunks.pop(0)
        if isinstance(chunk, float):
            await asyncio.sleep(chunk)
            chunk = b"."
        return {"type": "http.request", "body": chunk, "more_body": chunk != b""}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]

    def scope(self):
        return {"type": "http", "method": "POST", "headers": self.headers, "state": {}}


def passed(sent: Sent, **limits) -> Sent:
    bodies = BodyLimits(sent.app, **{"max_bytes": 100, "idle_s": 0.2, **limits})
    asyncio.run(bodies(sent.scope(), sent.receive, sent.send))
    assert bodies.held_bytes == 0
    return sent


def test_bodies_come_whole_or_not_at_all():
    assert passed(Sent([b"ab", b"cd", b""])).seen == b"abcd"
    large = passed(Sent([b"x" * 60, b"x" * 60, b""]))
    assert (large.status, large.seen) == (413, None)
    declared = passed(Sent([b"x"], content_length="101"))
    assert (declared.status, declared.n_received) == (413, 0)
    huge = passed(Sent([b"x"], content_length="9" * 400))
    assert (huge.status, huge.n_received) == (413, 0)
    assert passed(Sent([b"ab", 1.0])).status == 408
    assert passed(Sent([0.15] * 50)).status == 408
    gone = passed(Sent([b"ab"]))
    assert (gone.status, gone.seen) == (0, None)


def test_all_bodies_together_have_a_bound():
    async def run() -> list[int]:
        held = [Sent([b"x" * 90, 0.3, b""]) for _ in range(2)]
        third = Sent([b"x" * 90, b""])
        late = Sent([b"x" * 90, b""])
        bodies = BodyLimits(held[0].app, max_bytes=100, idle_s=1.0)
        tasks = [asyncio.create_task(bodies(s.scope(), s.receive, s.send)) for s in held]
        await asyncio.sleep(0.1)
        await bodies(third.scope(), third.receive, third.send)
        await asyncio.gather(*tasks)
        await bodies(late.scope(), late.receive, late.send)
        return [*(s.status for s in held), third.status, late.status]

    assert asyncio.run(run()) == [200, 200, 503, 200]


def test_an_upload_that_drips_is_ended(settings):
    slow = settings.model_copy(update={"body_idle_timeout_s": 0.1, "body_min_bytes_per_s": 1000.0})

    async def drip():
        for _ in range(100):
            await asyncio.sleep(0.03)
            yield b"x"

    async def flow():
        for _ in range(10):
            await asyncio.sleep(0.03)
            yield b"x" * 1000

    async def read(chunks) -> int:
        request = SimpleNamespace(stream=lambda: chunks)
        stream, n = BodyStream(request, slow), 0
        while (chunk := await stream._next()) is not None:
            n += len(chunk)
        return n

    assert asyncio.run(read(flow())) == 10_000
    with pytest.raises(InvalidInput, match="slower than"):
        asyncio.run(read(drip()))


@pytest.mark.parametrize(
    ("body", "by_keys"),
    [
        (b"[" * 200_000, (422, "limit_exceeded")),
        (b'{"a":' * 100_000, (422, "limit_exceeded")),
        (b"\xff\xfe\x00", (400, "bad_request")),
        (
            b'{"name":"x","roles":["reader"],"rate_per_s":' + b"9" * 5000 + b"}",
            (400, "bad_request"),
        ),
        (b'{"name":"\\ud800","roles":["reader"]}', (422, "invalid_input")),
        (b"null", (422, "invalid_input")),
    ],
)
def test_strange_bodies_are_refused(guarded, body, by_keys):
    headers = {"Content-Type": "application/json"}
    for path in ("/v1/keys", "/v1/regions", "/v1/regions/here/forecasts/areas"):
        reply = guarded.ask("POST", path, guarded.keys["admin"], content=body, headers=headers)
        expected = by_keys if path == "/v1/keys" else (422, "invalid_input")
        assert (reply.status_code, reply.json()["code"]) == expected, reply.text


def test_a_body_beyond_the_limit_is_refused_before_it_is_parsed(guarded):
    large = json.dumps({"incidents": ["x" * guarded.settings.max_json_bytes]})
    url = "/v1/regions/here/forecasts/score"
    reply = guarded.ask("POST", url, guarded.keys["reader"], content=large)
    assert (reply.status_code, reply.json()["code"]) == (413, "too_large")
    assert guarded.ask("POST", url, content=large).status_code == 401


@pytest.mark.slow
def test_areas_of_too_many_lists_are_refused_before_they_are_made(guarded):
    """One list more than allowed, in a body well below the limit in bytes."""
    limit = 600_000
    shell = b'{"areas":[%s]}'
    most = shell % b",".join([b"[]"] * (limit - 2))
    assert len(most) < guarded.settings.max_json_bytes
    url, key = "/v1/regions/here/forecasts/areas", guarded.keys["reader"]
    headers = {"Content-Type": "application/json"}
    body = shell % b",".join([b"{}"] * (limit - 1))
    refused = guarded.ask("POST", url, key, content=body, headers=headers)
    assert (refused.status_code, refused.json()["limit"]) == (422, limit), refused.text
    assert refused.json()["asked"] == limit + 1
    allowed = guarded.ask("POST", url, key, content=most, headers=headers)
    assert "limit" not in allowed.json(), "of the body's shape it is said that it is wrong"


@pytest.mark.parametrize("route", ["areas", "score"])
def test_unknown_members_are_not_listed_by_the_thousand(guarded, route):
    body = b"{%s}" % b",".join(b'"%d":0' % n for n in range(50_000))
    headers = {"Content-Type": "application/json"}
    url, key = f"/v1/regions/here/forecasts/{route}", guarded.keys["reader"]
    refused = guarded.ask("POST", url, key, content=body, headers=headers)
    assert (refused.status_code, refused.json()["asked"]) == (422, 50_000), refused.text
    assert "errors" not in refused.json()


def test_stars_of_many_corners_are_refused_before_they_are_cut():
    """Valid, and below the limits of corners: cutting it into rows of cells took minutes."""
    area = StudyArea(shapely.box(480_000, 5_449_000, 500_000, 5_461_000), "EPSG:32610")
    index = CellIndex(area, build_grid(area, 250.0))

    def star(n: int, depth: float) -> shapely.Polygon:
        turn, far = np.arange(n) * 2 * np.pi / n, np.where(np.arange(n) % 2, 1.0, depth)
        x_m, y_m = 490_000 + far * 9_000 * np.cos(turn), 5_455_000 + far * 5_500 * np.sin(turn)
        return shapely.Polygon(np.column_stack([x_m, y_m]))

    with pytest.raises(LimitExceeded, match="cross rows"):
        index.overlap(np.array([star(20_000, 0.1)]))
    assert index.overlap(np.array([star(20_000, 0.999)])).area_km2.sum() > 150
