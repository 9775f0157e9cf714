"""The map alone on a wall or in another page: by the clock, dark, and with a key that stays."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.support.page_texts import EVENING, assert_accessible

pytestmark = pytest.mark.browser


def test_the_map_alone_goes_with_the_clock(open_seen):
    seen = open_seen()
    seen.page.clock.install(time="2020-01-02T04:50:00Z")
    page = seen.open("?region=town&embed=1&theme=dark")
    expect(page.locator("#heading")).to_contain_text("Wednesday, January 1, 2020, 23:00")
    expect(page.locator("#heading")).to_contain_text("incidents expected")
    for part in ("#map canvas", "#legend"):
        assert page.is_visible(part)
    for part in ("header", "#time", "#panel", ".maplibregl-ctrl-zoom-in", ".skip"):
        assert not page.is_visible(part)
    # A reload goes with the clock as well.
    assert "at=" not in page.url
    assert "embed=1" in page.url
    page.clock.run_for(15 * 60_000)
    expect(page.locator("#heading")).to_contain_text("Thursday, January 2, 2020, 00:00")


def test_an_hour_that_was_asked_for_stays(open_seen):
    seen = open_seen()
    page = seen.open(f"{EVENING}&embed=1")
    expect(page.locator("#heading")).to_contain_text("Friday, January 3, 2020, 23:00")
    assert "at=2020-01-03T23" in page.url
    page = seen.open(f"{EVENING}&tab=take")
    href = page.locator("#pane-take a[href*='theme=dark']").get_attribute("href")
    assert "embed=1" in href
    assert "at=" not in href


def test_dark_is_readable_and_as_the_system_prefers(open_seen):
    theme = "document.documentElement.dataset.theme"
    seen = open_seen(color_scheme="dark")
    page = seen.open(f"{EVENING}&cell=100")
    assert page.evaluate(theme) == "dark"
    picture = Image.open(io.BytesIO(page.locator("#map canvas").screenshot())).convert("L")
    assert np.median(np.asarray(picture)) < 80
    for tab in ("forecast", "trust", "run", "take"):
        page.click(f"#tab-{tab}")
        page.wait_for_selector(f"#pane-{tab}:not([hidden]) :is(p, h3)")
        assert_accessible(page)
    page = seen.open(f"{EVENING}&theme=light")
    assert page.evaluate(theme) == "light"
    assert "theme=light" in page.url
