"""The plan of a shift: made by clicks and by keyboard, changed by hand, taken along, restored by its link."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from playwright.sync_api import expect

from tests.support.page_texts import assert_accessible, content_of, plain
from tests.support.simulated.town import halves

pytestmark = pytest.mark.browser
OPEN = "?region=town"
NIGHT = "?region=town&at=2019-12-20T22:00&hours=8&tab=plan"


def _drawn(page, zones: int) -> None:
    page.wait_for_selector("body[data-load=done]")
    expect(page.locator("#plan-zones > li")).to_have_count(zones)


def _reply(seen) -> dict:
    """Ask the service for what the page asked last."""
    url = [url for url in seen.requests if "/forecasts/zones?" in url][-1]
    return httpx.get(url, timeout=60).json()


def _one_page(page, act) -> str:
    """Ask for the paper by an act; return its file's name."""
    with page.expect_download() as got:
        act()
    pdf = content_of(got.value)
    assert pdf.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) == 1
    return got.value.suggested_filename


def test_tonights_plan_for_three_cars_by_clicks(open_seen):
    seen = open_seen(accept_downloads=True)
    page = seen.open(OPEN)
    # The data are old: the plan is that of the shift after they end, and says so.
    assert page.inner_text("#plan-when") == "Night shift, 22:00 – 06:00"
    assert "Thursday, December 19, 2019 · America/Bogota" in page.inner_text("#plan-zone")
    expect(page.locator("#plan-notice")).to_contain_text("The data end on")
    page.select_option("#plan-shift", "late")
    expect(page.locator("#plan-when")).to_have_text("Late shift, 14:00 – 22:00")
    page.click("#cars-less")
    _drawn(page, 2)
    page.click("#cars-more")
    _drawn(page, 3)
    _one_page(page, lambda: page.click("[data-file=pdf]"))
    with page.expect_download() as got:
        page.click("[data-file=gpx]")
    assert content_of(got.value).count(b"<wpt") == 3
    assert got.value.suggested_filename.startswith("plan-town-2019-12-19T14-8h-3cars-pooled-kde")


def test_every_number_is_the_services(open_seen):
    seen = open_seen()
    page = seen.open(f"{NIGHT}&cars=2&size=large")
    _drawn(page, 2)
    reply = _reply(seen)
    assert reply["max_km2"] == 2.0
    text = plain(page.inner_text("#plan"))
    for zone in (feature["properties"] for feature in reply["features"]):
        row = plain(page.inner_text(f"#plan-zones [data-rank='{zone['rank']}']"))
        assert f"{zone['area_km2']:.2g} km²" in row
        peak = max(range(8), key=lambda i: zone["hours"][i])
        assert f"most {(22 + peak) % 24:02}–{(23 + peak) % 24:02}" in row
        per = max(2, round(1 / zone["expected_count"]))
        assert f"1 incident per {per} shifts" in row or zone["expected_count"] >= 0.67
    n, low, high = (reply[f"expected_count{end}"] for end in ("", "_lo", "_hi"))
    assert (
        f"Nine times in ten: {low} to {high} incidents in these zones. Expected: {n:.2g}." in text
    )
    assert f"of about {reply['expected_total']:.0f} " in text or n < 0.67
    assert f"{100 * reply['share_of_incidents_expected']:.1f} % of the city" in text
    assert f"{100 * reply['share_of_free_cells']:.0f} % of what loose squares" in text
    # What the map shows is the reply too: as many numbers and outlines as zones.
    assert page.locator(".plan-pins .pin").all_inner_texts() == ["1", "2"]
    assert page.locator(".plan-lines path.line").count() == 2


def test_by_keyboard_alone(open_seen):
    seen = open_seen(accept_downloads=True)
    page = seen.open(NIGHT)
    _drawn(page, 3)

    def tab_to(wanted: str) -> None:
        for _ in range(60):
            if page.evaluate(f"document.activeElement.matches('{wanted}')"):
                return
            page.keyboard.press("Tab")
        raise AssertionError(wanted)

    tab_to("#plan-shift")
    page.keyboard.press("ArrowUp")
    expect(page.locator("#plan-when")).to_contain_text("Late shift")
    tab_to("#plan-cars")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    _drawn(page, 2)
    tab_to("[data-key=zoneRedraw-1]")
    page.keyboard.press("Enter")
    tab_to(".cells button")
    page.keyboard.press("ArrowUp")
    square = "[document.activeElement.dataset.cell, document.activeElement.ariaPressed]"
    cell, pressed = page.evaluate(square)
    page.keyboard.press("Space")
    expect(page.locator("#plan-price")).to_contain_text("Changed by hand")
    # The keyboard stays on its square.
    assert page.evaluate(square) == [cell, {"true": "false", "false": "true"}[pressed]]
    page.keyboard.press("Escape")
    assert page.locator(".cells").count() == 0
    tab_to("[data-file=pdf]")
    assert "-edited-" in _one_page(page, lambda: page.keyboard.press("Enter"))


def test_changes_by_hand_show_their_price_and_back_undoes_them(open_seen):
    seen = open_seen()
    page = seen.open(NIGHT)
    _drawn(page, 3)
    best = page.inner_text("#plan-zones")
    page.wait_for_timeout(1100)  # the history has entries a second apart
    with page.expect_response(lambda r: r.request.method == "POST") as got:
        page.click("[data-key=zoneDrop-2]")
    _drawn(page, 2)
    price = got.value.json()["price"]
    assert f"Catches {100 * price['share_lost']:.0f} % less" in plain(
        page.inner_text("#plan-price")
    )
    assert f"instead of {price['expected_count_best']:.2f}" in page.inner_text("#plan-price")
    link = page.url
    page.click("[data-key=add]")
    page.select_option("#plan-add", index=1)
    _drawn(page, 3)
    page.click("[data-key=add]")
    box = page.locator("#map").bounding_box()
    page.mouse.click(box["x"] + 0.3 * box["width"], box["y"] + 0.75 * box["height"])
    _drawn(page, 4)
    assert page.inner_text("#plan-price").count("expected")
    # A link restores the plan, changes and all, and Back what was before them.
    again = open_seen().open(link.removeprefix(f"{seen.site.url}/"))
    _drawn(again, 2)
    assert plain(again.inner_text("#plan-price")).startswith("Changed by hand")
    while "zones=" in (before := page.url):
        page.go_back()
        page.wait_for_url(lambda url, before=before: url != before)
    _drawn(page, 3)
    assert page.inner_text("#plan-zones") == best


def test_an_old_plan_is_greyed_and_not_printed_while_a_reply_is_late(open_seen):
    seen = open_seen()
    page = seen.open(NIGHT)
    _drawn(page, 3)
    held: list = []

    def hold(route) -> None:
        held.append(route)

    page.route("**/forecasts/zones?*", hold)
    page.click("#cars-more")
    expect(page.locator("#plan")).to_have_css("opacity", "0.35")
    for file in ("pdf", "gpx", "gpkg"):
        assert page.is_disabled(f"[data-file={file}]")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert "Nothing was printed" in page.text_content("#briefing")
    held[0].continue_()
    _drawn(page, 4)
    expect(page.locator("[data-file=pdf]")).to_be_enabled()
    # The browser's own print is the plan, on one page.
    assert len(re.findall(rb"/Type\s*/Page\b", page.pdf(format="Letter"))) == 1
    assert "Night shift, 22:00 – 06:00" in page.text_content("#briefing")


@pytest.mark.parametrize("size", [(1440, 900), (390, 844)])
def test_it_is_accessible_and_at_hand_on_any_screen(open_seen, size):
    seen = open_seen(*size, forced_colors="active" if size[0] > 900 else "none")
    page = seen.open(f"{NIGHT}&lang=es")
    _drawn(page, 3)
    assert page.inner_text("#plan-when").startswith("Turno de noche")
    first = page.locator("#plan-zones > li").first.bounding_box()
    assert first["y"] + first["height"] < size[1]
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    page.click("[data-key=zoneRedraw-1]")
    assert_accessible(page, "body")
    shades = page.eval_on_selector_all(
        ".cells button", "all => new Set(all.map(b => getComputedStyle(b).backgroundColor)).size"
    )
    assert shades > 5


def test_the_record_says_what_is_unfavourable_as_large(open_seen):
    seen = open_seen()
    with seen.page.expect_response(lambda r: "record=true" in r.url) as got:
        page = seen.open(NIGHT)
    # Plans of this town are judged as soon as any test that shares it ran a backtest.
    known = got.value.json()["record"]
    first = "Not known yet" if known is None else f"of {known['incidents']:,} incidents"
    expect(page.locator("#plan-record")).to_contain_text(first)
    share = {"share": 0.05, "lo": 0.04, "hi": 0.06}
    record = {
        "origins": 13,
        "first": "2019-01-06T05:00:00+00:00",
        "days": 28,
        "incidents": 1000,
        "zones": {"hits": 50, **share},
        "last_year": {"hits": 53, **share, "share": 0.053},
        "free_cells": {"hits": 60, **share, "share": 0.06},
    }
    rows = page.evaluate(
        """async (record) => {
          const { recordParts } = await import("/static/js/plan-record.js");
          const holder = document.querySelector("#plan-record");
          holder.replaceChildren(...recordParts(record, "America/Bogota"));
          return [...holder.querySelectorAll("tr")].map((row) => row.textContent);
        }""",
        record,
    )
    assert [plain(row) for row in rows] == [
        "Such zones505.0 %",
        "Last year’s list535.3 %",
        "Loose squares606.0 %",
    ]
    told = plain(page.inner_text("#plan-record"))
    assert "In 13 test periods of 28 days, from Jan 6, 2019 on: of 1,000 incidents" in told
    assert "3 fewer than last year’s list." in told
    assert "4.0 % to 6.0 %" in told


def test_a_chosen_zone_says_why(open_seen):
    seen = open_seen()
    page = seen.open(NIGHT)
    _drawn(page, 3)
    with page.expect_response(lambda r: "/explain?" in r.url) as got:
        page.click(".plan-pins .pin >> nth=1")
    assert page.get_attribute("#plan-zones [data-key=zone-2]", "aria-pressed") == "true"
    cells = _reply(seen)["features"][1]["properties"]["cells"]
    asked = parse_qs(urlsplit(got.value.url).query)
    assert (asked.get("cells") or asked["cell"])[0].split(",") == [str(cell) for cell in cells]
    expect(page.locator(".zone-why .whole-of-it")).to_contain_text("times")


@pytest.fixture
def beats(site):
    url = f"{site.url}/v1/regions/town/layers/beats"
    httpx.put(url, json={"type": "FeatureCollection", "features": halves()}).raise_for_status()
    yield "beats"
    httpx.delete(url)


def test_zones_stay_inside_an_area_of_a_layer(open_seen, beats):
    seen = open_seen(accept_downloads=True)
    page = seen.open(NIGHT)
    _drawn(page, 3)
    page.click("#plan-more > summary")
    assert not page.is_visible("#plan-area")
    page.select_option("#plan-within", "beats")
    expect(page.locator("#plan .stays")).to_have_text("Each zone stays inside one area (beats).")
    expect(page.locator("#plan-area option")).to_have_text(
        ["Each zone in any one of them", "east", "west"]
    )
    reply = _reply(seen)
    assert reply["within"] == "beats"
    for zone in (feature["properties"] for feature in reply["features"]):
        assert f"in {zone['area']}" in page.inner_text(f"#plan-zones [data-rank='{zone['rank']}']")
    page.select_option("#plan-area", "west")
    expect(page.locator("#plan .stays")).to_have_text("All zones stay inside west.")
    reply = _reply(seen)
    assert reply["inside"] == {"layer": "beats", "area": "west"}
    share = reply["share_of_incidents_expected"] / reply["inside_share"]
    assert f"{100 * share:.1f} % of the incidents in west" in plain(page.inner_text("#plan"))
    expect(page.locator("#plan-record")).to_contain_text(re.compile("whole city|Not known yet"))
    assert "beats-west" in _one_page(page, lambda: page.click("[data-file=pdf]"))
    # The link restores both choices; a layer that is not there is dropped.
    again = open_seen().open(page.url.partition("/?")[2].join(["?", ""]))
    expect(again.locator("#plan-area")).to_have_value("west")
    assert again.inner_text("#plan-zones") == page.inner_text("#plan-zones")
    other = open_seen().open(f"{NIGHT}&within=gone&area=west")
    _drawn(other, 3)
    assert "within" not in other.url
    assert other.locator("#plan .stays").count() == 0


def test_a_plan_keeps_to_the_zones_of_the_shift_before(open_seen):
    seen = open_seen()
    page = seen.open(NIGHT)
    _drawn(page, 3)
    page.locator("#plan-more > summary").focus()
    page.keyboard.press("Enter")
    page.locator("#plan-follow").focus()
    with page.expect_response(lambda r: r.request.method == "POST") as got:
        page.keyboard.press("ArrowDown")
    reply = got.value.json()
    asked = [url for url in seen.requests if "/forecasts/zones?shift=late" in url]
    before = httpx.get(asked[-1], timeout=60)
    former = [feature["properties"] for feature in before.json()["features"]]
    sent = got.value.request.post_data_json
    assert sent == {"previous": [zone["cells"] for zone in former]}
    _drawn(page, 3)
    moved = reply["previous"]["moved"]
    told = page.inner_text("#plan .stays")
    assert "earlier plan stay" in told
    assert "(Late, 14–22, Dec 20, 2019)" in told
    if 0 < moved < 3:
        assert told.startswith(f"{3 - moved} of 3")
    words = {"kept": "stays", "moved": "moved here", "new": "new"}
    for zone in (feature["properties"] for feature in reply["features"]):
        row = page.inner_text(f"#plan-zones [data-rank='{zone['rank']}']")
        assert words[zone["status"]] in row
    rows = page.locator("#plan-former li").all_inner_texts()
    for row, zone, one in zip(rows, former, reply["previous"]["zones"], strict=True):
        assert row.startswith(zone["place"] or "at ") or not zone["place"]
        assert ("stays" in row) == (one["status"] == "kept")
    assert "follow=shift" in page.url
    # The day before has other zones to keep to; with changes by hand there is nothing to keep.
    page.select_option("#plan-follow", "day")
    expect(page.locator("#plan .stays")).to_contain_text("Night, 22–06, Dec 19, 2019")
    page.click("[data-key=zoneDrop-2]")
    _drawn(page, 2)
    assert page.locator("#plan .stays").count() == 0
    page.click("[data-key=undo]")
    _drawn(page, 3)
    expect(page.locator("#plan .stays")).to_contain_text("earlier plan")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert "earlier plan" in page.text_content("#briefing")


@pytest.mark.parametrize("size", [(1440, 900), (390, 844)])
def test_what_a_plan_keeps_to_is_accessible_in_spanish(open_seen, size, beats):
    page = open_seen(*size).open(f"{NIGHT}&lang=es&within=beats&follow=day")
    _drawn(page, 3)
    assert "Cada zona queda dentro de una sola área (beats)." in page.inner_text("#plan")
    assert "del plan anterior" in page.inner_text("#plan")
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert_accessible(page, "body")
