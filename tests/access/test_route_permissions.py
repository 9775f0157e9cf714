"""Every route x every role: what is declared, what is enforced, and that nothing else is open."""

from __future__ import annotations

import re

import pytest
from fastapi import APIRouter
from starlette.routing import Route

from app.core.roles import Role, with_included
from app.http.permissions import RouteTable, UndeclaredRoute, rule_of
from app.main import PARTS, create_app

ROUTES = [
    (method, route)
    for part in PARTS
    for route in part.router.routes
    if isinstance(route, Route)
    for method in sorted(route.methods or ())
]
PUBLIC = {
    "/", "/docs", "/healthz", "/readyz", "/static/{path:path}", "/ogc/conformance",
    "/ogc/tileMatrixSets", "/ogc/tileMatrixSets/WebMercatorQuad",
}  # fmt: skip
"""Routes that ask no key: none may show anything of a region."""
READER = {
    "me", "metrics", "list_all", "show", "density", "hotspots", "edited_zones", "zones", "samples", "series",
    "areas",    "score", "describe", "tile", "cap", "calibration", "report", "events", "models", "model",
    "schedule", "alarms", "live_scores", "basemap",
    "fairness", "show_policy", "card", "show_layer", "layer_areas",
    "streets", "lines", "explain", "worth", "list_filed",
    "landing", "collections", "describe_collection", "items", "item", "position", "area", "cube",
    "tilesets", "tileset", "project_file", "style",
}  # fmt: skip
"""All that a reader's key opens: a new route does not join them unnoticed."""


def path_of(route: Route, region: str = "here") -> str:
    path = route.path.replace("{region}", region)
    return re.sub(r"\{(\w+)(:\w+)?\}", lambda m: "1" if m[1] in "zxy" else "x", path)


def names(routes=ROUTES) -> list[str]:
    return [f"{method} {route.path}" for method, route in routes]


@pytest.mark.parametrize(("method", "route"), ROUTES, ids=names())
def test_every_route_by_every_role(guarded, method, route):
    rule = rule_of(route)
    path = path_of(route)
    nobody = guarded.ask(method, path)
    if rule.roles is None:
        assert route.path in PUBLIC
        assert nobody.status_code not in (401, 403)
        return
    assert nobody.status_code == 401
    assert nobody.headers["content-type"] == "application/problem+json"
    assert "ApiKey" in nobody.headers["www-authenticate"]
    assert guarded.ask(method, path, "hsk_000000000000_" + "A" * 43).status_code == 401
    for role in Role:
        reply = guarded.ask(method, path, guarded.keys[role])
        may = bool(with_included([role]) & rule.roles)
        assert (reply.status_code not in (401, 403)) == may, (role, reply.text)
        if not may:
            assert reply.json()["code"] == "forbidden"


@pytest.mark.parametrize(("method", "route"), ROUTES, ids=names())
def test_every_route_by_a_key_confined_to_one_region(guarded, method, route):
    rule = rule_of(route)
    if rule.roles is None:
        return
    key = guarded.keys["admin here"]
    if "{region}" in route.path:
        assert guarded.ask(method, path_of(route, "here"), key).status_code not in (401, 403)
        for other in ("there", "nowhere", "here%20", "HERE"):
            refused = guarded.ask(method, path_of(route, other), key)
            assert (refused.status_code, refused.json().get("field")) == (403, "region"), other
    else:
        assert (guarded.ask(method, path_of(route), key).status_code == 403) != rule.confined


def test_a_reader_gets_no_further_than_this(guarded):
    opened = {r.name for _, r in ROUTES if Role.READER in (rule_of(r).roles or ())}
    assert opened == READER
    changing = [
        (method, r.path)
        for method, r in ROUTES
        if method not in ("GET", "HEAD") and Role.READER in (rule_of(r).roles or ())
    ]
    assert {path.rsplit("/", 1)[1] for _, path in changing} == {"areas", "score", "zones"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "//v1/regions", 404),
        ("GET", "/v1//regions", 404),
        ("GET", "/v1/regions/", 404),
        ("GET", "/V1/regions", 404),
        ("GET", "/v1/regions/here/incidents/", 405),
        ("GET", "/v1/regions/here/../here/incidents", 401),
        ("GET", "/v1/regions/here%2Fincidents", 401),
        ("GET", "/v1/./regions", 401),
        ("GET", "/static/../v1/regions/here/incidents", 401),
        ("GET", "/static/%2e%2e/config.py", 404),
        ("GET", "/static/..%2f..%2fconfig.py", 404),
        ("HEAD", "/v1/regions/here/incidents", 405),
        ("OPTIONS", "/v1/regions/here/incidents", 405),
        ("PATCH", "/v1/keys", 405),
        ("TRACE", "/v1/keys", 405),
        ("GET", "/v1/regions/here/incidents%0A", 401),
        ("GET", "/v1/keys;x=1", 404),
    ],
)
def test_no_spelling_of_a_path_goes_round_the_rules(guarded, method, path, status):
    reply = guarded.ask(method, path)
    assert reply.status_code == status, reply.text


def test_a_route_that_declares_nothing_stops_the_service():
    router = APIRouter()

    @router.get("/v1/forgotten")
    def forgotten() -> str:
        return "open to all"

    with pytest.raises(UndeclaredRoute, match="/v1/forgotten"):
        RouteTable(router.routes)


def test_the_list_of_regions_is_cut_to_the_key(guarded):
    def listed(key: str) -> list[str]:
        return [r["id"] for r in guarded.ask("GET", "/v1/regions", key).json()["regions"]]

    assert listed(guarded.keys["reader"]) == ["here", "there"]
    assert listed(guarded.keys["reader here"]) == ["here"]
    me = guarded.ask("GET", "/v1/me", guarded.keys["reader here"]).json()
    assert (me["roles"], me["regions"], me["open"]) == (["reader"], ["here"], False)


def test_a_bearer_header_takes_a_key_too(guarded):
    for scheme in ("Bearer", "bearer"):
        headers = {"Authorization": f"{scheme} {guarded.keys['reader']}"}
        assert guarded.client.get("/v1/me", headers=headers).status_code == 200
    assert guarded.client.get("/v1/me", headers={"Authorization": "Basic eA=="}).status_code == 401


def test_other_sites_get_nothing_unless_they_are_named(guarded):
    origin = {"Origin": "https://elsewhere.example"}
    asked = guarded.ask("GET", "/v1/me", guarded.keys["reader"], headers=origin)
    assert "access-control-allow-origin" not in asked.headers
    assert asked.headers["cross-origin-resource-policy"] == "same-origin"
    named = create_app(
        guarded.settings.model_copy(update={"cors_origins": ["https://map.example"]}),
        guarded.engine,
    )
    with type(guarded.client)(named) as client:
        asking = {
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "x-api-key",
        }
        ok = client.options("/v1/me", headers={"Origin": "https://map.example", **asking})
        assert ok.headers["access-control-allow-origin"] == "https://map.example"
        refused = client.options("/v1/me", headers={**origin, **asking})
        assert "access-control-allow-origin" not in refused.headers


def test_every_reply_wears_the_security_headers(guarded):
    for path in ("/", "/v1/me", "/v1/nothing", "/healthz"):
        headers = guarded.ask("GET", path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe-eval" not in headers["content-security-policy"]
