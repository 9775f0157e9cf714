"""What the forecast is worth, on the tab Trust: the service's verdicts and table, in both languages."""

from __future__ import annotations

import httpx
import pytest
from playwright.sync_api import expect

from tests.support.page_texts import EVENING, assert_accessible, plain

pytestmark = pytest.mark.browser


@pytest.fixture
def worth(site) -> dict:
    return httpx.get(f"{site.url}/v1/regions/town/worth", timeout=60).raise_for_status().json()


@pytest.mark.parametrize(
    ("language", "title", "places"),
    [("en", "What it is worth", "Places:"), ("es", "Qué vale", "Lugares:")],
)
def test_the_tab_says_what_the_service_says(open_seen, worth, language, title, places):
    page = open_seen().open(f"{EVENING}&tab=trust&lang={language}")
    expect(page.locator("#worth > summary")).to_have_text(title)
    page.click("#worth > summary")
    expect(page.locator("#worth-like li")).to_have_count(4)
    for part, name in (("own", "own"), ("like", "typical")):
        shown = page.eval_on_selector_all(
            f"#worth-{part} li", "all => all.map((e) => e.dataset.code)"
        )
        assert shown == [one["code"] for one in worth[name]["verdicts"]]
        assert plain(page.inner_text(f"#worth-{part}")).startswith(places)
    rows = page.locator("#worth-sizes tbody tr")
    expect(rows).to_have_count(len(worth["by_size"]) + 1)
    gain = worth["by_size"][3]["gains"]["places_hits"]
    mean, lo, hi = (f"{round(1000 * gain[end])}".replace("-", "−") for end in ("mean", "lo", "hi"))
    assert f"{mean} ({lo} – {hi})" in " ".join(plain(rows.nth(3).inner_text()).split())
    assert_accessible(page, "#worth")
