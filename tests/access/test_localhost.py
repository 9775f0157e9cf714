"""Without keys: this machine itself and nobody else; on public addresses not at all."""

from __future__ import annotations

import asyncio

import pytest
from fastapi.testclient import TestClient
from starlette.types import Message

from app.access.callers import check_local
from app.access.service import NewKey, create_key, require_keys_for_others
from app.core.errors import HotslotError, InvalidInput
from app.core.roles import is_loopback, is_remote
from app.main import create_app
from tests.support.services.service import short_serve


def scope(server="127.0.0.1", client="127.0.0.1", method="GET", **headers: str):
    given = {"host": "127.0.0.1:8000", **{k.replace("_", "-"): v for k, v in headers.items()}}
    return {
        "type": "http",
        "method": method,
        "server": (server, 8000),
        "client": (client, 5000),
        "headers": [(k.encode(), v.encode()) for k, v in given.items()],
    }


GOOD = [
    scope(),
    scope(server="::1", client="::1", host="[::1]:8000"),
    scope(host="localhost:8000"),
    scope(server="::ffff:127.0.0.1", client="::ffff:127.0.0.1"),
    scope(method="POST", origin="http://127.0.0.1:8000", sec_fetch_site="same-origin"),
    scope(method="POST"),
    scope(host="testserver"),
]
BAD = [
    (scope(server="192.0.2.7"), "unauthenticated"),
    (scope(client="192.0.2.7"), "unauthenticated"),
    (scope(server="::ffff:192.0.2.7"), "unauthenticated"),
    (scope(server="fe80::1%eth0"), "unauthenticated"),
    (scope(x_forwarded_for="203.0.113.9"), "unauthenticated"),
    (scope(forwarded="for=203.0.113.9"), "unauthenticated"),
    (scope(host="rebound.example:8000"), "wrong_host"),
    (scope(host="127.0.0.1.rebound.example"), "wrong_host"),
    (scope(host="127.0.0.1@rebound.example"), "wrong_host"),
    (scope(host=""), "wrong_host"),
    (scope(host="[::"), "wrong_host"),
    (scope(method="POST", origin="https://elsewhere.example"), "cross_site"),
    (scope(method="POST", origin="null"), "cross_site"),
    (scope(method="POST", origin="http://127.0.0.1:9000"), "cross_site"),
    (scope(method="DELETE", sec_fetch_site="cross-site"), "cross_site"),
]


@pytest.mark.parametrize("asked", GOOD)
def test_this_machine_needs_no_key(settings, asked):
    check_local(asked, settings)


@pytest.mark.parametrize(("asked", "code"), BAD)
def test_others_do(settings, asked, code):
    with pytest.raises(HotslotError) as refused:
        check_local(asked, settings)
    assert refused.value.code == code


def test_addresses():
    assert all(map(is_loopback, ["127.0.0.1", "127.9.9.9", "::1", "localhost", "::ffff:127.0.0.1"]))
    assert not any(map(is_loopback, ["0.0.0.0", "::", "10.0.0.1", "localhost.example", "", "*"]))
    assert all(map(is_remote, ["0.0.0.0", "192.0.2.1", "fe80::1%eth0", "::"]))
    assert not any(map(is_remote, ["127.0.0.1", "::1", "/run/hotslot.sock", "testserver"]))


def asked_of(app, connection) -> int:
    """Status of GET /v1/regions over a connection of the given ends, past every server's own tricks."""
    statuses: list[int] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    request = {
        **connection, "path": "/v1/regions", "raw_path": b"/v1/regions", "query_string": b"",
        "scheme": "http", "http_version": "1.1", "root_path": "",
    }  # fmt: skip

    async def run() -> None:
        async with app.router.lifespan_context(app):
            await app(request, receive, send)

    asyncio.run(run())
    return statuses[0]


@pytest.mark.slow
def test_a_first_key_made_elsewhere_counts_from_its_first_use(engine, settings):
    """Its holder was taken for this machine itself, with all roles, for as long as the copy was young."""
    with TestClient(create_app(settings, engine)) as client:
        assert client.get("/v1/me").json()["open"] is True
        key = create_key(engine, NewKey("first", ["reader"]))
        found = client.get("/v1/me", headers={"X-API-Key": key.text}).json()
        assert (found["open"], found["roles"]) == (False, ["reader"])
        assert client.get("/v1/me").status_code == 401
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM api_keys")


@pytest.mark.slow
def test_the_first_key_closes_open_access_for_good(engine, settings):
    """A server started on all addresses behind our back still serves nobody without a key."""
    app = create_app(settings, engine)
    assert asked_of(app, scope()) == 200
    assert asked_of(app, scope(server="192.0.2.7", client="192.0.2.9")) == 401
    closed = create_app(settings.model_copy(update={"access": "keys"}), engine)
    assert asked_of(closed, scope()) == 401
    with TestClient(app) as client:
        assert client.get("/v1/me").json()["open"] is True
        first = client.post("/v1/keys", json={"name": "a", "roles": ["admin"], "expires_days": 1})
        assert client.get("/v1/me").status_code == 401
        headers = {"X-API-Key": first.json()["key"]}
        assert client.delete(f"/v1/keys/{first.json()['id']}", headers=headers).status_code == 200
        assert client.get("/v1/me").status_code == 401
        assert client.get("/v1/me", headers=headers).status_code == 401


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "hotslot.example"])
def test_a_public_address_needs_an_active_key(engine, settings, host):
    """Runs after the one above: its only key is revoked."""
    public = settings.model_copy(update={"host": host})
    with pytest.raises(InvalidInput, match="hotslot key create"):
        require_keys_for_others(engine, public)
    with pytest.raises(InvalidInput), TestClient(create_app(public, engine)):
        pass
    require_keys_for_others(engine, settings)


@pytest.mark.slow
def test_serve_refuses_a_public_address_and_says_why(engine, settings):
    environment = {
        "HOTSLOT_DATABASE_URL": settings.database_url.get_secret_value(),
        "HOTSLOT_HOME": str(settings.home),
    }
    refused = short_serve(environment, "--host", "0.0.0.0")
    assert refused.returncode == 2
    assert "hotslot key create" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_with_a_key_a_public_address_will_do(engine, settings):
    create_key(engine, NewKey("first", ["admin"]))
    require_keys_for_others(engine, settings.model_copy(update={"host": "0.0.0.0"}))
