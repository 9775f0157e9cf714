"""Behind proxies: addresses in replies lead back through the proxy; only trusted ones are believed."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from starlette.requests import Request

from app.access.service import NewKey, create_key
from app.core.setting_values import check_root_path
from app.core.settings import Settings
from app.http.links import base_of, link, prefix_of, same_with
from app.http.middleware.proxies import Proxies
from app.main import create_app
from tests.support.services.asgi import answer, scope_of
from tests.support.services.served import served

__all__ = ["served"]

PROXY, STRANGER = "10.1.0.7", "198.51.100.9"
PREFIXES = st.lists(
    st.from_regex(r"[a-z0-9][a-z0-9_~-]{0,8}", fullmatch=True), min_size=0, max_size=3
).map(lambda parts: "".join(f"/{part}" for part in ["maps", *parts]))
PATHS = st.sampled_from(
    ["/", "/v1/regions", "/v1/regions/a b/incidents", "/v1/regions/x%2Fy", "/docs"]
)


class Seen:
    """An application that keeps the scope of its last request."""

    def __init__(self) -> None:
        self.scope = {}

    async def __call__(self, scope, receive, send):
        self.scope = scope
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


def seen(path="/", client=PROXY, root_path="", **headers: str):
    inner = Seen()
    headers = {"host": "inner:8000", **{k.replace("_", "-"): v for k, v in headers.items()}}
    asked = scope_of(
        path=path, headers=headers, client=(client, 5000), scheme="http", server=("inner", 8000)
    )
    reply = answer(Proxies(inner, root_path, ["10.1.0.0/16"]), asked)
    return inner.scope, reply


@given(PREFIXES, PATHS, st.booleans(), st.booleans())
def test_links_lead_back_whether_the_proxy_strips_or_not(prefix, path, strips, names_it):
    arrived = path if strips else prefix + path
    named = {"x_forwarded_prefix": prefix} if names_it else {}
    scope, _ = seen(
        arrived,
        root_path="" if names_it else prefix,
        x_forwarded_proto="https",
        x_forwarded_host="city.example",
        **named,
    )
    request = Request(scope)
    assert scope["path"] == path
    assert base_of(request) == f"https://city.example{prefix}"
    assert unquote(urlsplit(same_with(request)).path) == prefix + path


@given(PREFIXES, st.dictionaries(st.sampled_from("abc"), st.text("xyz &=é", min_size=1)))
def test_links_keep_their_parameters(prefix, query):
    scope, _ = seen("/v1/x", root_path=prefix)
    address = urlsplit(link(Request(scope), "/v1/y", left_out=None, **query))
    assert address.path == f"{prefix}/v1/y"
    assert parse_qs(address.query) == {name: [value] for name, value in query.items()}


def test_the_prefix_alone_is_the_page():
    _, reply = seen("/maps", root_path="/maps")
    assert (reply.status, reply.headers["location"]) == (307, "/maps/")
    scope, _ = seen("/mapsy", root_path="/maps")
    assert scope["path"] == "/mapsy"


LIES = {
    "x_forwarded_proto": "https",
    "x_forwarded_host": "evil.example",
    "x_forwarded_prefix": "/evil",
    "x_forwarded_for": "127.0.0.1",
}


def test_strangers_are_not_believed():
    scope, _ = seen(client=STRANGER, root_path="/maps", **LIES)
    assert scope["client"][0] == STRANGER
    assert base_of(Request(scope)) == "http://inner:8000/maps"


@pytest.mark.parametrize(
    ("chain", "origin"),
    [
        ("203.0.113.5", "203.0.113.5"),
        ("127.0.0.1, 203.0.113.5", "203.0.113.5"),  # what comes before may be made up
        ("203.0.113.5, 10.1.9.9", "203.0.113.5"),
        ("[2001:db8::7]:99, 10.1.9.9", "2001:db8::7"),
        ("203.0.113.5, unknown", PROXY),
        ("10.1.9.9", PROXY),
        ("", PROXY),
    ],
)
def test_the_address_is_the_last_that_no_proxy_of_ours_has(chain, origin):
    scope, _ = seen(x_forwarded_for=chain)
    assert scope["client"][0] == origin


@pytest.mark.parametrize("name", ["x_forwarded_host", "x_forwarded_prefix", "x_forwarded_proto"])
@pytest.mark.parametrize(
    "value", ["a b", "/..", "/a/../b", "//evil", "a\\b", "javascript:", "/v1", "@", ""]
)
def test_malformed_headers_change_nothing(name, value):
    scope, _ = seen(root_path="/maps", **{name: value})
    assert base_of(Request(scope)) == "http://inner:8000/maps"


def test_the_nearest_proxy_is_the_one_that_counts():
    scope, _ = seen(x_forwarded_proto="http, https", x_forwarded_host="evil.example, city.example")
    assert base_of(Request(scope)) == "https://city.example"


@pytest.mark.parametrize(
    "value", ["hotslot", "/v1", "/ogc/x", "/static", "/a b", "/..", "/a//b", "https://x"]
)
def test_root_paths_that_are_none(value):
    with pytest.raises(ValueError, match="root path"):
        check_root_path(value)


@pytest.mark.parametrize("value", ['["proxy.example"]', '["10.0.0.1/8"]'])
def test_proxies_that_are_no_addresses(monkeypatch, value):
    monkeypatch.setenv("HOTSLOT_TRUSTED_PROXIES", value)
    with pytest.raises(ValidationError, match="address or a network"):
        Settings()


@pytest.fixture(scope="module")
def behind(served, settings, engine):
    """The application under a prefix; requests come from a trusted proxy that serves TLS."""
    changed = settings.model_copy(
        update={"root_path": "/city/hotslot", "trusted_proxies": ["10.1.0.0/16"]}
    )
    app = create_app(changed, engine)
    headers = {
        "X-API-Key": create_key(engine, NewKey("all", ("admin",), rate_per_s=0)).text,
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "city.example",
    }
    with TestClient(app, client=(PROXY, 5000), headers=headers) as client:
        yield client


@pytest.mark.parametrize("under", ["", "/city/hotslot"])
def test_addresses_in_replies(behind, under):
    base = "https://city.example/city/hotslot/v1/regions/town/"
    tilejson = behind.get(f"{under}/v1/regions/town/tiles/tilejson.json?at=2020-01-10T23:00")
    assert tilejson.json()["tiles"][0].startswith(f"{base}tiles/{{z}}/{{x}}/{{y}}.png?at=")
    page = behind.get(f"{under}/v1/regions/town/incidents?limit=2&category=theft").json()
    assert page["next"].startswith(f"{base}incidents?limit=2&category=theft&cursor=")
    started = behind.post(
        f"{under}/v1/regions/town/training-runs", json={"model": "uniform", "validate": False}
    )
    where = started.headers["Location"]
    assert where == f"/city/hotslot/v1/regions/town/training-runs/{started.json()['id']}"
    assert behind.get(where).json()["id"] == started.json()["id"]


@pytest.mark.slow
def test_the_page_and_the_documentation_name_no_address_from_the_root(behind):
    for path in ("/", "/docs"):
        html = behind.get(f"/city/hotslot{path}").text
        assert re.findall(r"""(?:href|src)=["']/""", html) == []
        for name in re.findall(r'(?:href|src)="(static/[^"]+)"', html):
            assert behind.get(f"/city/hotslot/{name}").status_code == 200
    document = behind.get("/city/hotslot/openapi.json").json()
    assert document["servers"] == [{"url": "/city/hotslot"}]


def test_a_key_as_the_password_of_a_reading_request(behind):
    key = behind.headers["X-API-Key"]
    with TestClient(behind.app, client=(STRANGER, 5000)) as client:
        assert client.get("/v1/me", auth=("anyone", key)).status_code == 200
        assert client.get("/v1/me", auth=("anyone", "wrong")).status_code == 401
        assert client.get("/v1/me", headers={"Authorization": "Basic %%%"}).status_code == 401
        assert client.post("/v1/keys", auth=("anyone", key), json={}).status_code == 401
    assert prefix_of({}) == ""
