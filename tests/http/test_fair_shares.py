"""Callers who hold all that they can, on a real server: the others are served, administration too."""

from __future__ import annotations

import logging
import socket
import time
from collections import Counter
from contextlib import ExitStack
from datetime import timedelta

import pytest

from app.regions.service import add_region
from tests.support.services.live import live, status_of, tracebacks

BUNDLE = "/static/vendor/swagger-ui/swagger-ui-bundle.js"
SCORE = "/v1/regions/here/forecasts/score"


@pytest.fixture(scope="module", autouse=True)
def region(engine):
    add_region(engine, "here", timezone="UTC")


@pytest.fixture
def served(settings, engine):
    with live(
        settings,
        engine,
        max_concurrent_requests=24,
        rate_limit_burst=40,
        body_idle_timeout_s=600.0,  # else a busy machine ends what `dripping` holds
    ) as found:
        yield found


def dripping(served, key):
    """A request that holds its place: its body does not come."""
    return served.line("POST", SCORE, key, "Content-Type: application/json", "Content-Length: 99")


@pytest.mark.slow
def test_slow_readers_without_a_key_take_nobodys_place(served, caplog):
    caplog.set_level(logging.INFO)
    reader = served.key("reader")
    with ExitStack() as held:
        for _ in range(60):
            line = held.enter_context(served.line("GET", BUNDLE))
            line.sendall(f"GET {BUNDLE} HTTP/1.1\r\nHost: x\r\n\r\n".encode() * 3)
        time.sleep(0.3)
        statuses = Counter(served.ask("GET", "/v1/me", reader).status_code for _ in range(50))
        statuses += Counter(served.ask("GET", path).status_code for path in ("/", BUNDLE, "/docs"))
        for _ in range(20):
            line = served.line("GET", BUNDLE)
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            line.close()
    assert statuses == {200: 53}
    time.sleep(0.3)
    assert tracebacks(caplog.records) == []


def test_one_key_holds_a_third_and_administration_is_served_when_all_is_full(served):
    admin, reader, late = served.key("admin"), served.key("reader"), served.key("reader")
    keys = [served.key("reader") for _ in range(12)]
    with ExitStack() as held:
        lines = [held.enter_context(dripping(served, reader)) for _ in range(24)]
        # Refusals of one sender wait for each other.
        _until(lambda: sum(map(_silent, lines)) <= 8)
        refused = [line for line in lines if not _silent(line)]
        assert 24 - len(refused) == 8
        assert {status_of(line) for line in refused} == {429}
        assert served.ask("GET", "/v1/me", late).status_code == 200
        statuses = []
        for key in keys:
            statuses.append(served.ask("GET", "/v1/me", key).status_code)
            for _ in range(8):
                held.enter_context(dripping(served, key))
        assert statuses == sorted(statuses), "served until all is full, then refused"
        assert set(statuses) == {200, 503}
        _until(lambda: served.ask("GET", "/v1/me", late).status_code == 503)
        full = served.ask("GET", "/v1/me", late)
        assert (full.status_code, full.json()["code"]) == (503, "overloaded")
        assert int(full.headers["retry-after"]) > 0
        for _ in range(5):
            assert served.ask("GET", "/v1/keys", admin).status_code == 200
        assert served.ask("DELETE", f"/v1/keys/{late[4:16]}", admin).status_code == 200
        assert served.ask("GET", "/readyz").status_code == 200
    _until(lambda: served.ask("GET", "/v1/me", reader).status_code == 200)


def _silent(line) -> bool:
    line.setblocking(False)
    try:
        line.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    finally:
        line.settimeout(10)
    return False


def _until(holds, within_s=30.0):
    end = time.monotonic() + within_s
    while not holds() and time.monotonic() < end:
        time.sleep(0.05)
    assert holds()


@pytest.fixture
def events(served):
    run = served.ask(
        "POST", "/v1/regions/here/training-runs", served.key("admin"), json={"model": "uniform"}
    ).json()
    return f"/v1/regions/here/training-runs/{run['id']}/events"


def _ends(line, within_s) -> bool:
    """Whether a stream ends, and as a whole reply does."""
    line.settimeout(within_s)
    last = b""
    try:
        while part := line.recv(4096):
            last = (last + part)[-5:]
            if last == b"0\r\n\r\n":
                return True
    except TimeoutError:
        return False
    return False


@pytest.mark.slow
def test_streams_of_events_are_apart_and_bounded(served, events):
    admin, keys = served.key("admin"), [served.key("reader") for _ in range(2)]
    for key in keys:
        assert served.ask("GET", "/v1/me", key).status_code == 200
    with ExitStack() as held:
        lines = {
            key: [held.enter_context(served.line("GET", events, key)) for _ in range(32)]
            for key in keys
        }
        for key in keys:
            assert Counter(map(status_of, lines[key])) == {200: 8, 429: 24}
        for key in (served.key("analyst"), *keys):
            assert served.ask("GET", "/v1/regions/here", key).status_code == 200
        assert served.ask("GET", "/").status_code == 200
        assert served.ask("DELETE", f"/v1/keys/{keys[0][4:16]}", admin).status_code == 200


@pytest.mark.slow
def test_a_stream_ends_with_its_key(served, events):
    admin = served.key("admin")
    ways = {
        "revoked": served.key("reader"),
        "expires": served.key("reader", expires_days=timedelta(seconds=2) / timedelta(days=1)),
        "rotated": served.key("reader"),
        "stays": served.key("reader"),
    }
    with ExitStack() as held:
        lines = {
            why: held.enter_context(served.line("GET", events, key)) for why, key in ways.items()
        }
        assert {why: status_of(line) for why, line in lines.items()} == dict.fromkeys(ways, 200)
        served.ask("DELETE", f"/v1/keys/{ways['revoked'][4:16]}", admin)
        url = f"/v1/keys/{ways['rotated'][4:16]}/rotate"
        served.ask("POST", url, admin, json={"grace_hours": 0})
        ended = {why: _ends(line, 30 if why != "stays" else 0.5) for why, line in lines.items()}
    assert ended == {"revoked": True, "expires": True, "rotated": True, "stays": False}


def test_a_stream_ends_when_the_service_stops(settings, engine, caplog):
    with ExitStack() as held:
        with live(settings, engine) as served:
            key = served.key("admin")
            run = served.ask(
                "POST", "/v1/regions/here/training-runs", key, json={"model": "uniform"}
            ).json()
            events = f"/v1/regions/here/training-runs/{run['id']}/events"
            line = held.enter_context(served.line("GET", events, key))
            assert status_of(line) == 200
            started = time.monotonic()
        assert time.monotonic() - started < 30
        assert _ends(line, 30)
    assert tracebacks(caplog.records) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/audit", 403),
        ("/v1/regions/here/forecasts/density?catgory=x", 422),
        ("/v1/regions/here/forecasts/density?window=9999", 422),
        ("/v1/nowhere", 404),
    ],
)
def test_refused_requests_of_a_key_count(served, path, status):
    key = served.key("reader", rate_per_s=0.01)
    assert served.ask("GET", "/v1/me", key).status_code == 200
    found = Counter(served.ask("GET", path, key).status_code for _ in range(60))
    assert found == {status: 39, 429: 21}
    assert served.ask("GET", "/v1/me", key).status_code == 429
    assert served.ask("GET", "/v1/me", served.key("reader")).status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/v1/me", "/v1/nowhere", "/v1/audit"])
def test_refused_requests_without_a_key_count_by_address(settings, engine, path):
    with live(settings, engine, rate_limit_keyless_per_s=1.0) as served:
        reader = served.key("reader")
        found = Counter(served.ask("GET", path).status_code for _ in range(80))
        assert found[429] >= 20
        assert served.ask("GET", "/v1/me", reader).status_code == 200, (
            "a good key is not held to it"
        )
        assert served.ask("GET", "/healthz").status_code == 200


def test_endless_queries_and_headers_are_refused_early(served):
    key = served.key("reader")
    many = "&".join(f"a{n}" for n in range(9_000))
    for path in ("/v1/me", "/", "/v1/nowhere", "/static/page.js", "/v1/regions/here"):
        reply = served.ask("GET", f"{path}?{many}", key)
        assert (reply.status_code, reply.json()["code"]) == (422, "limit_exceeded"), path
    headers = {f"x-{n}": "1" for n in range(200)}
    assert served.ask("GET", "/v1/me", key, headers=headers).status_code == 431
    long = served.ask("GET", "/v1/regions/here/forecasts/density?category=" + "x" * 40_000, key)
    assert long.status_code == 422


UPGRADE = (
    "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)  # fmt: skip


@pytest.mark.parametrize("path", ["/", "/v1/me", "/nowhere", "/healthz", "/static/page.js"])
def test_upgrades_to_websockets_are_refused_with_one_line(served, path, caplog):
    caplog.set_level(logging.INFO)
    key = served.key("reader")
    caplog.clear()
    for asked_with in (key, None):
        with served.line("GET", path, asked_with, *UPGRADE) as line:
            needs_key = path == "/v1/me" and asked_with is None
            assert status_of(line) == (401 if needs_key else 400)
    time.sleep(0.1)
    lines = [r for r in caplog.records if r.name not in ("httpx", "uvicorn.access")]
    assert len(lines) <= 2, [r.getMessage() for r in lines]
    assert tracebacks(caplog.records) == []


def test_other_upgrades_are_ignored(served):
    more = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
    with served.line("GET", "/healthz", None, *more) as line:
        assert status_of(line) == 200


def test_upgrades_count_like_other_requests(settings, engine):
    with live(settings, engine, rate_limit_keyless_per_s=1.0) as served:
        found = []
        for _ in range(30):
            with served.line("GET", "/v1/me", None, *UPGRADE) as line:
                found.append(status_of(line))
        assert 429 in found


def test_too_many_connections_end_the_idle_ones(served, monkeypatch):
    monkeypatch.setattr("app.http.protocol.MAX_CONNECTIONS", 30)
    reader = served.key("reader")
    assert served.ask("GET", "/v1/me", reader).status_code == 200
    with ExitStack() as held:
        for _ in range(100):
            line = held.enter_context(socket.create_connection(served.address))
            line.sendall(b"GET / HT")
        time.sleep(0.2)
        assert len(served.server.server_state.connections) <= 31
        assert served.ask("GET", "/v1/me", reader).status_code == 200


def test_a_slow_body_leaves_its_request_the_time_that_work_takes(settings, engine):
    """The database's deadline began with the request: a body that took as long left nothing of it."""
    with live(settings, engine, database_timeout_s=3.0) as served:
        admin, body = served.key("admin"), b'{"minimum_count": 5}'
        more = ("Content-Type: application/json", f"Content-Length: {len(body)}")
        with served.line(
            "PUT", "/v1/regions/here/learning-policy", admin, *more, body=body[:5]
        ) as line:
            time.sleep(3.5)
            line.sendall(body[5:])
            assert status_of(line) == 200


def test_requests_that_wait_on_one_connection_are_few(served):
    """uvicorn kept all that was sent: memory without end, for requests that nobody had answered yet."""
    asked = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    with socket.create_connection(served.address) as line:
        line.settimeout(5)
        line.sendall(20 * asked)
        _until(lambda: line.recv(1 << 16, socket.MSG_PEEK).count(b"HTTP/1.1 200 ") == 20)
    with served.line("GET", BUNDLE) as line:
        with pytest.raises(OSError):  # noqa: PT011, PT012  broken pipe or reset, as the system likes
            for _ in range(200):
                line.sendall(1000 * asked)
        kept = served.server.server_state.connections
        assert sum(len(connection.pipeline) for connection in kept) <= 32
    assert served.ask("GET", "/healthz").status_code == 200
