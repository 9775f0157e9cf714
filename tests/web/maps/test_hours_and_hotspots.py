"""Hours, hotspots, measures and the track record, in real Chromium against the real service."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.support.page_texts import EVENING, plain, selected, shares

pytestmark = pytest.mark.browser
MAX_FIRST_VIEW_BYTES = 1_500_000


def test_first_view_tells_hour_total_shares_and_track_record(open_seen):
    seen = open_seen()
    page = seen.open("?region=town&tab=forecast")
    # The data are old, so the page opens on the evening after they end, and says so.
    assert page.is_visible("#notice")
    assert "Thursday, December 19, 2019, 23:00" in page.inner_text("#when")
    assert re.search(
        r"[\d.]+ incidents expected · 90 % interval: \d+ to \d+", page.inner_text("#total")
    )
    told = shares(page, "2019-12-19T23:00", 5)
    assert re.search(r"[\d.]+ %\s+of the area", told)
    assert re.search(r"\d+(\.\d)? %\s+caught in past weeks", told)
    assert page.locator("#strip [role=gridcell]").count() == 168
    assert page.locator("#top-cells tbody tr").count() == 10
    assert page.eval_on_selector("#map canvas", "c => c.width > 100")


def test_first_view_is_small_on_the_wire(open_seen):
    seen = open_seen()
    client = seen.page.context.new_cdp_session(seen.page)
    client.send("Network.enable")
    received: list[float] = []
    client.on("Network.loadingFinished", lambda event: received.append(event["encodedDataLength"]))
    page = seen.open(EVENING)
    shares(page, "2020-01-03T23:00", 5)
    assert 100_000 < sum(received) < MAX_FIRST_VIEW_BYTES


def test_hours_are_chosen_on_the_strip_by_date_and_by_shift(open_seen):
    seen = open_seen()
    page = seen.open(EVENING)
    before = page.inner_text("#total")
    page.click('#strip [data-at="2020-01-01T04:00"]')
    expect(page.locator("#total")).not_to_have_text(before)
    assert selected(page) == ["2020-01-01T04:00"]
    assert "Wednesday, January 1, 2020, 04:00 – 05:00" in page.inner_text("#when")
    page.select_option("#hours", "4")
    expect(page.locator("#when")).to_contain_text("04:00 – 08:00")
    assert len(selected(page)) == 4
    page.fill("#date", "2020-02-14")
    expect(page.locator("#when")).to_contain_text("February 14")
    page.wait_for_selector('#strip [data-at="2020-02-14T04:00"]')
    page.click("#play")
    expect(page.locator("#when")).to_contain_text("06:00 –")
    page.click("#play")
    assert page.inner_text("#play") == "Play"


def test_slider_redraws_hotspots_and_says_what_they_catch(open_seen):
    seen = open_seen()
    page = seen.open(EVENING)
    five = shares(page, "2020-01-03T23:00", 5)
    page.focus("#top")
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    ten = shares(page, "2020-01-03T23:00", 10)
    assert page.inner_text("#top-text") == "10 %"
    caught = [float(re.search(r"([\d.]+) %\s+caught", text).group(1)) for text in (five, ten)]
    assert caught[0] < caught[1]


def test_every_measure_has_a_legend_with_units(open_seen):
    seen = open_seen()
    page = seen.open(f"{EVENING}&measure=width")
    titles = {
        "probability": "% of these incidents, per cell",
        "expected": "incidents expected per cell",
        "difference": "times the cell's usual share",
        "width": "ends of the 90 % interval",
    }
    for measure, title in titles.items():
        page.select_option("#measure", measure)
        expect(page.locator("#legend")).to_contain_text(title)
        assert page.locator("#legend .ticks span").count() >= 2


def test_pointing_at_a_cell_tells_its_figures(open_seen):
    seen = open_seen()
    page = seen.open(EVENING)
    page.hover("#map canvas")
    page.wait_for_selector("#card:not([hidden])")
    assert re.search(
        r"Rank\s+\d+ of \d+\s+Probability\s+[\d.]+ %\s+Expected\s+[\d.]+ \((\d–[1-9]|likely none)\)",
        page.inner_text("#card"),
    )


def test_trust_tells_version_warnings_rates_and_last_week(open_seen):
    seen = open_seen()
    page = seen.open(EVENING)
    page.click("#tab-trust")
    page.wait_for_selector("#backtest button")
    text = plain(page.inner_text("#pane-trust"))
    record = (
        r"the top 5 % of cells caught [\d.]+ % \(95 %: [\d.]+ % to [\d.]+ %\): [\d.]+ times chance"
    )
    assert re.search(record, text)
    assert "pooled-kde-2019" in text
    assert "Dec 19, 2019" in text
    assert re.search(r"Chance\s+1 %\s+5 %\s+10 %\s+20 %", text)
    page.check("#outcomes")
    expect(page.locator("#outcomes-text")).to_contain_text("incidents")
    told = page.inner_text("#outcomes-text")
    assert re.search(r"\d+ of \d+ incidents \(\d+ %\) fell", told)
    # The version had not seen that week.
    assert "proves nothing" not in told


def test_without_webgl_an_image_is_shown(open_seen):
    seen = open_seen()
    seen.page.add_init_script(
        "const get = HTMLCanvasElement.prototype.getContext;"
        "HTMLCanvasElement.prototype.getContext = function (kind, ...more) {"
        "  return kind.startsWith('webgl') ? null : get.call(this, kind, ...more); };"
    )
    page = seen.open(EVENING)
    painted = page.evaluate(
        "() => { const c = document.querySelector('#map-image');"
        " const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        " return new Set(new Uint32Array(d.buffer)).size; }"
    )
    assert painted > 20
    page.select_option("#measure", "difference")
    expect(page.locator("#legend")).to_contain_text("times the cell's usual share")
    page.hover("#map-image")
    page.wait_for_selector("#card:not([hidden])")
    assert page.locator("#top-cells tbody tr").count() == 10


def test_figures_do_not_wait_for_the_maps_library(open_seen):
    seen = open_seen()
    page = seen.page
    held: list = []

    def hold(route) -> None:
        held.append(route)

    page.route("**/maplibre-gl.mjs", hold)
    page.goto(f"{seen.site.url}/{EVENING}", wait_until="commit")
    expect(page.locator("#total")).to_contain_text("incidents expected")
    expect(page.locator("#top-cells tbody tr")).to_have_count(10)
    assert held
    page.route("**/maplibre-gl.mjs", lambda route: route.abort())
    for route in held:
        route.abort()
    # Where it never comes there is a plain map.
    expect(page.locator("#map-image")).to_be_visible()
    expect(page.locator("#no-webgl")).to_contain_text("does not zoom")
    page.hover("#map-image")
    page.wait_for_selector("#card:not([hidden])")
    # The browser itself logs the request that failed.
    seen.errors[:] = [line for line in seen.errors if "ERR_FAILED" not in line]
