"""Keys by the page: the first one, one for a role and a region, renewal, revocation."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import expect

from app.main import create_app
from app.regions.service import add_region
from tests.support.page_texts import assert_accessible
from tests.support.services.serving import listening
from tests.support.services.site import Site

pytestmark = pytest.mark.browser
SITE = "bare_site"


@pytest.fixture(scope="module")
def bare_site(chromium_path, engine, settings) -> Iterator[Site]:
    """Two regions that hold nothing, and no key yet."""
    for region in ("north", "south"):
        add_region(engine, region, timezone="Europe/Madrid")
    with listening(create_app(settings, engine)) as url:
        yield Site(url, "north", settings.home)


def made_key(page, name: str, role: str) -> str:
    page.fill("[name=key-name]", name)
    assert page.is_checked(f"[name=role][value={role}]")
    page.click("#new-key button.primary")
    expect(page.locator("#key-once")).to_contain_text(name)
    return page.input_value("#key-text")


def who(site: Site, key: str) -> httpx.Response:
    return httpx.get(f"{site.url}/v1/me", headers={"X-API-Key": key})


def test_keys_from_the_first_to_the_last(open_seen):
    seen = open_seen(permissions=["clipboard-read", "clipboard-write"])
    page = seen.open("?tab=run")
    page.click("#keys-part > summary")
    expect(page.locator("#keys-part")).to_contain_text("The first key ends that")
    admin = made_key(page, "desk", "admin")
    assert "admin" in who(seen.site, admin).json()["roles"]
    # The page goes on with it.
    expect(page.locator("#key-list")).to_contain_text("this page")
    expect(page.locator("[name=key-name]")).to_have_value("")
    page.select_option("[name=scope]", "some")
    page.check("[name=key-region][value=south]")
    page.select_option("[name=expiry]", "30")
    wall = made_key(page, "wall map", "reader")
    page.click("#copy-key")
    expect(page.locator("#key-once")).to_contain_text("Key copied")
    assert page.evaluate("navigator.clipboard.readText()") == wall
    assert who(seen.site, wall).json()["regions"] == ["south"]
    assert_accessible(page, "#pane-run")
    line = page.locator("#key-list li", has_text="wall map")
    line.get_by_role("button", name="Renew").press("Enter")
    line.locator("input").fill("0")
    line.get_by_role("button", name="Renew").press("Enter")
    expect(page.locator("#key-text")).not_to_have_value(wall)
    renewed = page.input_value("#key-text")
    assert [who(seen.site, key).status_code for key in (wall, renewed)] == [401, 200]
    page.locator("#key-list li", has_text="wall map").get_by_role("button", name="Revoke").click()
    page.keyboard.press("Escape")
    page.locator("#key-list li", has_text="wall map").get_by_role("button", name="Revoke").click()
    page.keyboard.press("Enter")
    expect(page.locator("#key-list")).to_contain_text("Ended keys: 1")
    assert who(seen.site, renewed).status_code == 401
    assert admin not in page.content()
