"""What every reply carries, and what the log and the metrics say of it."""

import logging
from types import SimpleNamespace

import pytest
from pydantic import ValidationError

from app.core.db.deadlines import remaining_s
from app.core.settings import Settings
from app.http.metrics import IN_FLIGHT, REQUESTS, SECONDS
from app.http.middleware.observability import Observability
from tests.support.services.asgi import answer, saying, scope_of


def watched(app, **options):
    return Observability(app, 5.0, **options)


def requests(route, status, method="GET"):
    return REQUESTS.labels(method, route, str(status))._value.get()


def scope_at(route, path="/v1/x", **headers):
    return scope_of(path=path, route=SimpleNamespace(path=route), headers=headers)


def policy_of(headers):
    parts = headers["content-security-policy"].split("; ")
    return dict(part.split(" ", 1) for part in parts)


def test_headers_forbid_what_a_page_of_ours_never_does():
    headers = answer(watched(saying(b"x", content_type="text/html")), scope_of()).headers
    policy = policy_of(headers)
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == "'self'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["content-type"] == "text/html"


def test_the_host_of_the_tiles_is_the_only_other_one():
    tiles = "https://tiles.example:8443/{z}/{x}/{y}.png?key=secret"
    headers = answer(watched(saying(), tiles_url=tiles, cross_origin=True), scope_of()).headers
    policy = policy_of(headers)
    assert policy["img-src"] == "'self' data: blob: https://tiles.example:8443"
    assert policy["connect-src"] == "'self' https://tiles.example:8443"
    named = [name for name, sources in policy.items() if "tiles.example" in sources]
    assert named == ["img-src", "connect-src"]
    assert headers["cross-origin-resource-policy"] == "cross-origin"


@pytest.mark.parametrize(
    ("path", "query", "may"),
    [
        ("/", "embed=1", True),
        ("/", "region=a&embed=1&theme=dark", True),
        ("/", "region=a", False),
        ("/", "embed=0&embed=1", False),
        ("/docs", "embed=1", False),
    ],
)
def test_only_the_map_alone_may_be_framed_and_only_by_named_sites(path, query, may):
    sites = ["https://desk.example", "http://wall.example:8080"]
    for allowed in (sites, []):
        scope = scope_of(path=path, query_string=query.encode())
        headers = answer(watched(saying(), frame_ancestors=allowed), scope).headers
        framed = may and bool(allowed)
        expected = " ".join(sites) if framed else "'none'"
        assert policy_of(headers)["frame-ancestors"] == expected
        assert headers.get("x-frame-options") == (None if framed else "DENY")
    for wrong in ("*", "https://*.example", "desk.example", "https://desk.example; script-src *"):
        with pytest.raises(ValidationError, match="origin"):
            Settings(page_frame_ancestors=[wrong])


@pytest.mark.parametrize(
    ("given", "is_taken"),
    [("run-7.b_2", True), ("a" * 64, True), ("a" * 65, False), ("a b", False), ('x"y', False)],
)
def test_a_callers_id_is_used_only_if_it_is_a_plain_word(given, is_taken):
    found = answer(watched(saying()), scope_at("/r", **{"x-request-id": given})).headers
    assert (found["x-request-id"] == given) is is_taken
    assert len(found["x-request-id"]) > 8


def test_requests_are_counted_by_route_and_status_not_by_path():
    before = requests("/v1/{id}", 418)
    timed = SECONDS.labels("/v1/{id}")._sum.get()
    for path in ("/v1/a", "/v1/b"):
        answer(watched(saying(status=418)), scope_at("/v1/{id}", path))
    assert requests("/v1/{id}", 418) == before + 2
    assert SECONDS.labels("/v1/{id}")._sum.get() > timed
    assert IN_FLIGHT._value.get() == 0


def test_a_request_that_fails_counts_as_an_error_and_is_logged(caplog):
    async def broken(_scope, _receive, _send):
        raise LookupError("cell")

    caplog.set_level(logging.INFO, "hotslot.api")
    before = requests("/broken", 500)
    with pytest.raises(LookupError):
        answer(watched(broken), scope_at("/broken"))
    assert requests("/broken", 500) == before + 1
    assert IN_FLIGHT._value.get() == 0
    assert (caplog.records[-1].status, caplog.records[-1].route) == (500, "/broken")


def test_health_checks_do_not_fill_the_log(caplog):
    caplog.set_level(logging.INFO, "hotslot.api")
    answer(watched(saying()), scope_of(path="/healthz"))
    assert caplog.records == []


def test_the_database_has_the_services_time():
    left = []

    async def app(scope, receive, send):
        left.append(remaining_s())
        await saying()(scope, receive, send)

    answer(watched(app), scope_of())
    assert left[0] == pytest.approx(5.0, abs=0.5)


def test_a_websocket_is_closed():
    reply = answer(watched(saying()), {"type": "websocket"})
    assert [message["type"] for message in reply.messages] == ["websocket.close"]
