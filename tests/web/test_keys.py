"""The page where keys are asked for: entering one, what each role sees, what a refusal says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import expect

from app.access.service import NewKey, create_key
from app.main import create_app
from app.training.service import TrainingRequest
from app.worker.jobs import run_now
from tests.support.page_texts import content_of
from tests.support.services.serving import listening
from tests.support.services.site import Site

pytestmark = pytest.mark.browser
SITE = "keyed_site"
PARTS = (
    "#drop",
    "#columns-part",
    "#report-part",
    "#start-training",
    "#schedule-part",
    "#new-region",
    "#keys-part",
)


@dataclass
class KeyedSite(Site):
    """A service that wants keys, and one of each role."""

    keys: dict[str, str]


@pytest.fixture(scope="module")
def keyed_site(chromium_path, engine, settings, town, town_csv) -> Iterator[KeyedSite]:
    request = TrainingRequest(model="pooled-kde", seed=0, validate=False)
    assert run_now(engine, settings, town, request, lambda *_: None).status == "succeeded"
    roles = ("reader", "analyst", "ingester", "trainer", "admin")
    keys = {role: create_key(engine, NewKey(role, (role,))).text for role in roles}
    wall = NewKey("dispatch wall map", ("reader",), (town,))
    keys["wall"] = create_key(engine, wall).text
    with listening(create_app(settings, engine)) as url:
        yield KeyedSite(url, town, town_csv, keys)


def entered(seen, key: str):
    page = seen.page
    page.goto(seen.site.url)
    page.wait_for_selector("#key-dialog[open]")
    page.fill("#key-input", key)
    page.keyboard.press("Enter")
    # The browser itself logs the request without a key that was refused.
    seen.errors[:] = [line for line in seen.errors if "401" not in line]
    return page


def test_a_wrong_key_is_refused_in_words_and_a_good_one_opens_the_page(open_seen):
    seen = open_seen()
    page = entered(seen, "hsk_000000000000_no")
    expect(page.locator("#key-status")).to_contain_text("unknown")
    seen.errors[:] = [line for line in seen.errors if "401" not in line]
    page.fill("#key-input", seen.site.keys["wall"])
    page.keyboard.press("Enter")
    expect(page.locator("#total")).to_contain_text("incidents expected")
    expect(page.locator("#key")).to_have_text("Key: dispatch wall map")
    assert page.get_attribute("#key", "title") == "reader"
    assert page.evaluate("Object.keys(localStorage).length + document.cookie.length") == 0
    assert seen.site.keys["wall"] not in page.url
    page.reload()
    expect(page.locator("#total")).to_contain_text("incidents expected")


def test_a_reader_sees_why_the_rest_is_not_for_them(open_seen):
    seen = open_seen(accept_downloads=True)
    page = entered(seen, seen.site.keys["reader"])
    expect(page.locator("#total")).to_contain_text("incidents expected")
    page.click("#tab-run")
    expect(page.locator("#pane-run")).to_contain_text("needs the role trainer")
    assert page.locator("#drop, #start-training, #new-region").count() == 0
    page.click("#tab-trust")
    page.wait_for_selector("#outcomes")
    assert page.is_disabled("#outcomes")
    page.click("#tab-take")
    with page.expect_download() as got:
        page.click("#downloads a[download$='.csv']")
    assert content_of(got.value).startswith(b"id,")


def test_only_analysts_see_the_data_in_the_week_strip(open_seen):
    for role, may_see in (("reader", False), ("trainer", False), ("analyst", True)):
        seen = open_seen()
        page = entered(seen, seen.site.keys[role])
        expect(page.locator("#total")).to_contain_text("incidents expected")
        page.goto(f"{seen.site.url}/?region=town&strip=data")
        expect(page.locator("#strip [role=gridcell]")).to_have_count(168)
        assert page.is_visible("#strip-views") == may_see, role
        assert page.is_visible("#strip-note") == may_see, role
        assert any("/hour-of-week" in url for url in seen.requests) == may_see, role


def test_each_role_gets_its_controls(open_seen):
    shown = {
        "analyst": {"#report-part", "#schedule-part"},
        "ingester": {"#drop", "#columns-part"},
        "trainer": {"#start-training", "#schedule-part"},
        "admin": set(PARTS),
    }
    for role, expected in shown.items():
        seen = open_seen()
        page = entered(seen, seen.site.keys[role])
        expect(page.locator("#key")).to_contain_text(role)
        page.click("#tab-run")
        page.wait_for_selector("#holds")
        found = {part for part in PARTS if page.locator(part).count() == 1}
        assert (role, found) == (role, expected)


def test_a_schedule_is_set_by_trainers_only(open_seen):
    for role, may_set in (("analyst", False), ("trainer", True)):
        seen = open_seen()
        page = entered(seen, seen.site.keys[role])
        page.click("#tab-run")
        page.click("#schedule-part > summary")
        expect(page.locator("#schedule-part")).to_contain_text("only when somebody asks")
        assert page.locator("#schedule-form").is_visible() == may_set
        # The browser itself logs that there is none.
        seen.errors[:] = [line for line in seen.errors if "404" not in line]


def test_without_a_key_there_is_nothing_to_control(open_seen):
    seen = open_seen()
    page = seen.page
    page.goto(seen.site.url)
    page.wait_for_selector("#key-dialog[open]")
    page.click("#key-close")
    expect(page.locator("#when")).to_contain_text("asks for a key")
    for control in ("#time", "#region", "#map .maplibregl-ctrl-zoom-in"):
        assert page.is_hidden(control)
    assert page.is_visible("#key")
    seen.errors[:] = [line for line in seen.errors if "401" not in line]


def test_a_key_that_is_revoked_meanwhile_is_asked_for_anew(open_seen):
    seen = open_seen()
    page = entered(seen, seen.site.keys["admin"])
    expect(page.locator("#total")).to_contain_text("incidents expected")
    expect(page.locator("#key")).to_have_text("Key: admin")
    page.evaluate("sessionStorage.setItem('hotslot-key', 'hsk_000000000000_no')")
    page.click("#cars-more")
    page.wait_for_selector("#key-dialog[open]")
    expect(page.locator("#key-status")).to_contain_text("no longer valid")
    seen.errors[:] = [line for line in seen.errors if "401" not in line]


def test_only_a_readers_key_stays_on_the_screen_until_it_is_forgotten(open_seen):
    seen = open_seen()
    page = seen.page
    page.goto(f"{seen.site.url}/?region=town")
    page.wait_for_selector("#key-dialog[open]")
    page.check("#key-stays")
    page.fill("#key-input", seen.site.keys["analyst"])
    page.keyboard.press("Enter")
    expect(page.locator("#key-status")).to_contain_text("cannot stay on a screen")
    page.fill("#key-input", seen.site.keys["wall"])
    page.keyboard.press("Enter")
    expect(page.locator("#total")).to_contain_text("incidents expected")
    stored = page.evaluate("[Object.values(localStorage), Object.values(sessionStorage)]")
    assert stored == [[seen.site.keys["wall"]], []]
    # Another tab, as after the screen was switched off: nobody is asked.
    later = page.context.new_page()
    later.goto(f"{seen.site.url}/?region=town&embed=1")
    expect(later.locator("#heading")).to_contain_text("incidents expected")
    later.close()
    page.click("#key")
    page.click("#key-forget")
    page.wait_for_selector("#key-dialog[open]")
    assert page.evaluate("Object.keys(localStorage).length") == 0
    seen.errors[:] = [line for line in seen.errors if "401" not in line]
