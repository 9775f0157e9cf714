"""Behind Debian's nginx, with TLS and under a prefix: the page, its links, the documentation, the client."""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import expect

from hotslot_client import Client
from tests.ecosystem.pictures import keep_page

pytestmark = [pytest.mark.slow, pytest.mark.browser]
SITE = "proxied"


@pytest.fixture(scope="module")
def ask(proxied):
    headers = {"X-API-Key": proxied.keys["analyst"]}
    with httpx.Client(verify=proxied.trusted, headers=headers, timeout=60) as client:
        yield client


@pytest.fixture
def seen(proxied, open_seen):
    """A page whose every request must stay under the prefix."""
    found = open_seen(ignore_https_errors=True)
    prefix = urlsplit(proxied.url).path
    found.page.add_init_script(
        f"sessionStorage.setItem('hotslot-key{prefix}', '{proxied.keys['analyst']}')"
    )
    return found


def test_the_page_works_through_the_proxy(seen, proxied):
    failed = []
    seen.page.on("response", lambda reply: reply.status >= 400 and failed.append(reply.url))
    page = seen.open(f"?region={proxied.region}&at=2019-12-27T23:00&tab=forecast")
    expect(page.locator("body")).to_have_attribute("data-load", "done")
    expect(page.locator("#region")).to_have_value(proxied.region)
    page.reload()
    expect(page.locator("body")).to_have_attribute("data-load", "done")
    keep_page(page, "nginx.png")
    assert page.url.startswith(f"{proxied.url}/?region=")
    page.goto(proxied.url)  # without its slash
    assert page.url.startswith(f"{proxied.url}/")
    assert failed == []
    assert len(seen.requests) > 50


def test_the_documentation_asks_for_the_prefix(seen, proxied):
    page = seen.page
    page.goto(f"{proxied.url}/docs")
    expect(page.locator(".swagger-ui .info .title")).to_contain_text("hotslot")
    expect(page.locator(".swagger-ui .servers option").first).to_have_text("/city/hotslot")


def test_links_lead_back_through_the_proxy(ask, proxied):
    tiles = ask.get(
        f"{proxied.url}/v1/regions/town/tiles/tilejson.json", params={"at": "2019-12-27T23:00"}
    ).json()["tiles"][0]
    assert tiles.startswith(f"{proxied.url}/v1/regions/town/tiles/")
    tile = ask.get(tiles.format(z=0, x=0, y=0))
    assert (tile.status_code, tile.headers["content-type"]) == (200, "image/png")
    first = ask.get(f"{proxied.url}/v1/regions/town/incidents", params={"limit": 3}).json()
    second = ask.get(first["next"]).json()
    assert len(second["features"]) == 3
    assert {f["id"] for f in first["features"]}.isdisjoint(f["id"] for f in second["features"])


def test_without_a_key_nobody_is_localhost(proxied):
    """The proxy connects from this machine, where no key is needed while there is none."""
    reply = httpx.get(f"{proxied.url}/v1/regions", verify=proxied.trusted)
    assert (reply.status_code, reply.json()["code"]) == (401, "unauthenticated")


def test_the_client_under_the_prefix(proxied):
    transport = httpx.HTTPTransport(verify=proxied.trusted)
    with Client(proxied.url, api_key=proxied.keys["reader"], transport=transport) as client:
        assert list(client.regions()["id"]) == ["town"]
        assert len(client.density("town", at="2019-12-27T23:00")) > 100
