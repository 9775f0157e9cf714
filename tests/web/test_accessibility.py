"""By keyboard, in Spanish, on a phone, read aloud."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.support.page_texts import EVENING, assert_accessible, shares

pytestmark = pytest.mark.browser


def test_all_by_keyboard(open_seen):
    seen = open_seen()
    page = seen.open(EVENING)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.focus('#strip [data-at="2020-01-03T23:00"]')
    page.keyboard.press("ArrowUp")
    expect(page.locator("#when")).to_contain_text("Thursday")
    assert page.evaluate("document.activeElement.dataset.at") == "2020-01-02T23:00"
    page.keyboard.press("Shift+ArrowRight")
    expect(page.locator("#when")).to_contain_text("23:00 – 01:00")
    page.focus("#tab-forecast")
    page.keyboard.press("ArrowRight")
    assert page.is_visible("#pane-trust")
    page.keyboard.press("ArrowLeft")
    page.focus("#top-cells tbody tr:nth-child(2) button")
    page.keyboard.press("Enter")
    assert "Rank\n2 of" in page.inner_text("#card")


def test_any_cell_is_read_by_keyboard(open_seen):
    seen = open_seen()
    page = seen.open(EVENING)
    page.focus("#map canvas")
    page.keyboard.press("Enter")
    expect(page.locator("#card")).to_be_visible()
    taken = [int(page.inner_text("#card h2").split()[1])]
    for key in ("ArrowRight", "ArrowUp", "ArrowLeft", "ArrowDown"):
        page.keyboard.press(key)
        taken.append(int(page.inner_text("#card h2").split()[1]))
    first, east, corner, north, again = taken
    assert east == first + 1
    assert corner - east == north - first > 1
    assert again == first
    page.keyboard.press("Escape")
    expect(page.locator("#card")).to_be_hidden()
    assert "cell=" not in page.url


def test_spanish(open_seen):
    seen = open_seen()
    page = seen.open(EVENING)
    page.select_option("#language", "es")
    expect(page.locator("#total")).to_contain_text("esperados")
    assert "viernes" in page.inner_text("#when")
    assert page.get_attribute("html", "lang") == "es"
    assert "lang=es" in page.url
    missing = page.evaluate(
        """async () => {
          const { TOPICS } = await import("/static/js/i18n.js");
          const gaps = (text) => [...text.matchAll(/[{]\\w+[}]/g)].map(String).sort().join();
          const wrong = ({ en, es }) => [
            ...Object.keys({ ...en, ...es }).filter((k) => !(k in en && k in es)),
            ...Object.keys(en).filter((k) => k in es && gaps(en[k]) !== gaps(es[k])),
          ];
          const keys = TOPICS.flatMap((topic) => Object.keys(topic.en));
          return [...TOPICS.flatMap(wrong), ...keys.filter((k, i) => keys.indexOf(k) !== i)];
        }"""
    )
    assert missing == []


def test_phone_width(open_seen):
    seen = open_seen(390, 844, has_touch=True, is_mobile=True)
    page = seen.open(EVENING)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    # What is seen first is where, when and how many; the rest waits behind a button.
    parts = ("header", "#heading", "#map")
    header, heading, sheet = (page.locator(part).bounding_box() for part in parts)
    assert header["height"] < 60
    assert header["y"] < heading["y"] < sheet["y"] < 150
    assert page.inner_text("#heading h2") == page.text_content("#when")
    assert page.inner_text("#heading p") == page.text_content("#total")
    assert not page.is_visible("#category")
    page.tap("#more")
    page.select_option("#category", "theft")
    page.tap("#more")
    expect(page.locator("#category")).to_be_visible()
    page.tap("#map canvas")
    page.wait_for_selector("#card:not([hidden])")
    page.tap("#tab-take")
    assert page.is_visible("#permalink")


def test_accessibility_by_axe(open_seen):
    seen = open_seen()
    page = seen.open(f"{EVENING}&cell=100")
    shares(page, "2020-01-03T23:00", 5)
    for tab in ("plan", "forecast", "trust", "run", "take"):
        page.click(f"#tab-{tab}")
        page.wait_for_selector(f"#pane-{tab}:not([hidden]) :is(p, h3)")
        assert_accessible(page)
