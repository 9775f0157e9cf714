"""What leaves the page: files, a link to the view, the briefing."""

from __future__ import annotations

import json

import pytest

from tests.support.page_texts import EVENING, content_of, selected

pytestmark = pytest.mark.browser


def test_downloads_and_permalink(open_seen, tmp_path):
    seen = open_seen(accept_downloads=True)
    page = seen.open(f"{EVENING}&hours=3&top=7&measure=expected&tab=take")
    with page.expect_download() as got:
        page.click("#downloads a[download$='.geojson']")
    saved = json.loads(content_of(got.value))
    assert saved["n_slots"] == 3
    assert len(saved["features"]) > 100
    names = page.eval_on_selector_all("#downloads a", "all => all.map(a => a.download)")
    assert {name.rsplit(".", 1)[1] for name in names} >= {"geojson", "csv", "tif", "png"}
    link = page.input_value("#permalink")
    total = page.text_content("#total")
    again = open_seen()
    restored = again.open(link.removeprefix(f"{seen.site.url}/"))
    assert restored.text_content("#total") == total
    assert restored.input_value("#top") == "7"
    assert restored.input_value("#measure") == "expected"
    assert len(selected(restored)) == 3


def test_a_link_that_makes_no_sense_opens_the_plain_view(open_seen):
    seen = open_seen()
    page = seen.open("?region=nowhere&at=2026-99-08T23:00&top=77&measure=luck&map=1/2&cell=x")
    assert not page.is_visible("#message")
    assert "2019, 23:00" in page.inner_text("#when")
    assert page.input_value("#top") == "5"


def test_briefing_holds_map_cells_and_caveats(open_seen):
    seen = open_seen()
    page = seen.open(f"{EVENING}&tab=take")
    page.evaluate("window.print = () => { document.body.dataset.printed = 'true' }")
    page.click("#print")
    page.wait_for_selector("body[data-printed=true]")
    page.emulate_media(media="print")
    text = page.inner_text("#briefing")
    assert "Where incidents are expected: Town" in text
    assert "Read with care" in text
    assert page.locator("#briefing tbody tr").count() == 10
    assert page.eval_on_selector("#briefing canvas", "c => c.width > 100")
    assert not page.is_visible("header")
