"""What is seen is what was replied: late and failed replies, printing, the record, the browser's Back."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.support.page_texts import EVENING, plain, selected, shares

pytestmark = pytest.mark.browser
DENSITY = "**/forecasts/density?*"
HAS_GREEN = """() => {
  const c = document.querySelector("#briefing canvas");
  const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
  for (let i = 0; i < d.length; i += 4)
    if (d[i] === 0 && d[i + 1] === 158 && d[i + 2] === 115) return true;
  return false;
}"""
LATER = '#strip [data-at="2020-01-01T04:00"]'


def _forgive(seen, *texts: str) -> None:
    """The browser itself logs requests that failed."""
    seen.errors[:] = [line for line in seen.errors if not any(t in line for t in texts)]


def _printed(page) -> str:
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    return page.text_content("#briefing")


def test_while_a_reply_is_late_the_old_map_is_greyed_and_not_printed(open_seen):
    seen = open_seen()
    page = seen.open(f"{EVENING}&tab=take")
    old = page.text_content("#total")
    assert page.is_enabled("#print")
    held: list = []

    def hold(route) -> None:
        held.append(route)

    page.route(DENSITY, hold)
    page.click(LATER)
    expect(page.locator("#busy")).to_have_text("Loading …")
    expect(page.locator("#map")).to_have_css("opacity", "0.35")
    assert page.get_attribute("#stage", "aria-busy") == "true"
    assert page.is_disabled("#print")
    assert page.text_content("#total") == old
    told = _printed(page)
    assert "Nothing was printed" in told
    assert "04:00" not in told
    held[0].continue_()
    page.unroute(DENSITY)
    expect(page.locator("#map")).to_have_css("opacity", "1")
    expect(page.locator("#when")).to_contain_text("04:00 – 05:00")
    expect(page.locator("#print")).to_be_enabled()
    assert "Wednesday, January 1, 2020, 04:00 – 05:00" in _printed(page)


def test_after_a_failed_reply_it_says_so_and_asks_again(open_seen):
    seen = open_seen()
    page = seen.open(EVENING)
    old = page.inner_text("#when")
    page.route(DENSITY, lambda route: route.abort())
    page.click(LATER)
    expect(page.locator("#message")).to_contain_text("cannot be reached")
    expect(page.locator("#busy")).to_contain_text("Out of date")
    expect(page.locator("#map")).to_have_css("opacity", "0.35")
    assert page.inner_text("#when") == old
    page.unroute(DENSITY)
    page.click("#retry")
    expect(page.locator("#when")).to_contain_text("04:00 – 05:00")
    assert page.is_hidden("#message")
    assert page.is_hidden("#busy")
    _forgive(seen, "ERR_FAILED")


def test_a_service_that_is_back_is_asked_without_a_click(open_seen):
    seen = open_seen()
    seen.page.clock.install()
    page = seen.open(EVENING)
    page.route(DENSITY, lambda route: route.fulfill(status=503, body=""))
    page.click(LATER)
    expect(page.locator("#message")).to_contain_text("busy")
    page.unroute(DENSITY)
    page.clock.run_for(16_000)
    expect(page.locator("#when")).to_contain_text("04:00 – 05:00")
    assert page.is_hidden("#message")
    _forgive(seen, "503")


@pytest.mark.parametrize("paper", ["A4", "Letter"])
def test_the_browsers_own_print_is_the_briefing_on_one_page(open_seen, paper):
    seen = open_seen()
    page = seen.open(EVENING)
    shares(page, "2020-01-03T23:00", 5)
    pdf = page.pdf(format=paper)
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) == 1
    assert b"/Font" in pdf
    # With all reservations that there are, too.
    page.select_option("#hours", "8")
    page.select_option("#category", "theft")
    page.fill("#date", "2026-11-03")
    expect(page.locator("#not-of-this")).to_contain_text("days after the data end")
    assert len(re.findall(rb"/Type\s*/Page\b", page.pdf(format=paper))) == 1
    assert "Tuesday, November 3, 2026, 23:00 – 07:00" in page.text_content("#briefing")
    assert page.eval_on_selector("#briefing canvas", "c => c.width > 100")


def test_what_happened_has_a_legend_is_asked_again_and_is_not_printed(open_seen):
    seen = open_seen()
    page = seen.open(f"{EVENING}&tab=trust")
    page.check("#outcomes")
    expect(page.locator("#outcomes-text")).to_contain_text("top 5 %")
    expect(page.locator("#dots-key")).to_contain_text("Dec")
    page.click("#tab-forecast")
    page.focus("#top")
    with page.expect_response(lambda r: "/outcomes?" in r.url and "top=6" in r.url):
        page.keyboard.press("ArrowRight")
    with page.expect_response(lambda r: "/outcomes?" in r.url and "category=theft" in r.url):
        page.select_option("#category", "theft")
    page.click("#tab-trust")
    expect(page.locator("#outcomes-text")).to_contain_text("top 6 %")
    assert page.is_checked("#outcomes")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert not page.evaluate(HAS_GREEN)
    assert page.locator("#briefing #dots-key").count() == 0


def test_the_record_says_where_it_is_not_of_what_is_shown(open_seen):
    seen = open_seen()
    page = seen.open(EVENING)
    shares(page, "2020-01-03T23:00", 5)
    assert page.locator("#not-of-this").count() == 0
    page.select_option("#hours", "8")
    expect(page.locator("#not-of-this")).to_contain_text("8 hours together")
    expect(page.locator("#shares")).to_contain_text("not of this view")
    page.select_option("#category", "theft")
    expect(page.locator("#not-of-this")).to_contain_text("of theft only")
    page.fill("#date", "2026-11-03")
    expect(page.locator("#not-of-this")).to_contain_text("days after the data end")
    assert "not tested" in _printed(page)


def test_hours_say_their_zone_and_change_with_the_clocks(open_seen):
    seen = open_seen()
    page = seen.open(EVENING)
    assert page.inner_text("#when-zone") == "Local time: America/Bogota (GMT-5)"
    assert "America/Bogota" in page.inner_text("#zone")
    assert "America/Bogota" in _printed(page)
    # The strip's legend ends at the busiest hour of the week.
    busiest = page.eval_on_selector_all(
        "#strip [data-at]",
        "all => Math.max(...all.map(b => Number(b.title.match(/: ([0-9.]+)/)[1])))",
    )
    end = float(re.search(r"([\d.]+) incidents", page.inner_text("#strip-legend"))[1])
    assert abs(end - busiest) <= 0.05 * busiest + 0.05
    told = page.evaluate(
        """async () => {
          const { spanText } = await import("/static/js/time.js");
          const zone = "America/Toronto";
          return [spanText({ at: "2022-03-13T03:00:00-04:00", n_slots: 3 }, zone),
                  spanText({ at: "2022-11-06T00:00:00-04:00", n_slots: 9 }, zone)];
        }"""
    )
    assert told == [
        "Sunday, March 13, 2022, 03:00 – 06:00",
        "Sunday, November 6, 2022, 00:00 – 08:00 (9 hours: the clocks change)",
    ]


def test_a_row_brings_its_cell_into_view_and_a_button_the_whole_city(open_seen):
    seen = open_seen()
    page = seen.open(f"{EVENING}&map=16.00/4.63200/-74.01800")
    before = page.url
    page.click("#top-cells tbody tr:nth-child(2) button")
    page.wait_for_url(lambda url: "cell=" in url)
    assert re.search("map=([^&]*)", page.url)[1] != re.search("map=([^&]*)", before)[1]
    page.click("#whole-city")
    page.wait_for_url(lambda url: "map=" not in url)
    assert page.get_attribute("#map canvas", "aria-label") == "Forecast map"


def test_each_tab_opens_at_its_beginning(open_seen):
    seen = open_seen(1280, 500)
    page = seen.open(f"{EVENING}&tab=run")
    page.wait_for_selector("#holds")
    page.evaluate("document.querySelector('#panel').scrollTop = 300")
    assert page.evaluate("document.querySelector('#panel').scrollTop") > 0
    page.evaluate("document.querySelector('#tab-forecast').click()")
    assert page.evaluate("document.querySelector('#panel').scrollTop") == 0
    # Also when the browser's Back leads there.
    page.evaluate("document.querySelector('#panel').scrollTop = 100")
    page.go_back()
    expect(page.locator("#holds")).to_be_visible()
    assert page.evaluate("document.querySelector('#panel').scrollTop") == 0


def test_names_of_files_tell_forecasts_apart(open_seen):
    seen = open_seen()
    page = seen.open(f"{EVENING}&tab=take")

    def names() -> set[str]:
        return set(
            page.eval_on_selector_all("#pane-take a[download]", "all => all.map(a => a.download)")
        )

    seen_names = names()
    for act in (
        lambda: page.select_option("#hours", "8"),
        lambda: page.select_option("#category", "theft"),
    ):
        before = page.text_content("#when") + page.text_content("#total")
        act()
        page.wait_for_function(
            "before => document.querySelector('#when').textContent"
            " + document.querySelector('#total').textContent !== before",
            arg=before,
        )
        expect(page.locator("#print")).to_be_enabled()
        page.wait_for_timeout(200)
        week = {name for name in names() if "week" in name}
        assert not (names() - week) & seen_names
        seen_names |= names()


def test_back_returns_to_what_was_looked_at(open_seen):
    seen = open_seen()
    page = seen.open(EVENING)
    page.click(LATER)
    expect(page.locator("#when")).to_contain_text("04:00 – 05:00")
    page.go_back()
    expect(page.locator("#when")).to_contain_text("Friday, January 3, 2020, 23:00")
    assert selected(page) == ["2020-01-03T23:00"]
    page.go_forward()
    expect(page.locator("#when")).to_contain_text("04:00 – 05:00")


def test_forced_colours_leave_the_strip_and_the_legend(open_seen):
    seen = open_seen(forced_colors="active")
    page = seen.open(EVENING)
    page.wait_for_selector("#strip [data-at]")
    shades = page.eval_on_selector_all(
        "#strip [data-at]", "all => [...new Set(all.map(b => getComputedStyle(b).backgroundColor))]"
    )
    assert len(shades) > 5
    assert "gradient" in page.eval_on_selector(
        "#legend .ramp", "r => getComputedStyle(r).backgroundImage"
    )
    assert plain(page.inner_text("#legend"))


def test_a_slow_start_says_so_without_dead_controls(open_seen):
    seen = open_seen()
    page = seen.page
    held: list = []

    def hold(route) -> None:
        held.append(route)

    page.route("**/v1/regions", hold)
    with page.expect_request("**/v1/regions"):
        page.goto(f"{seen.site.url}/{EVENING}", wait_until="commit")
    expect(page.locator("#when")).to_have_text("Loading …")
    for control in ("#play", "#region", "#measure", "#shares"):
        assert not page.is_visible(control)
    held[0].continue_()
    expect(page.locator("#total")).to_contain_text("incidents expected")
    assert page.is_visible("#play")


def test_the_whole_city_stays_in_view_until_somebody_moves_the_map(open_seen):
    seen = open_seen(1400, 900)
    page = seen.open(EVENING)
    scale = page.locator(".maplibregl-ctrl-scale")
    before = (scale.inner_text(), scale.bounding_box()["width"])
    page.set_viewport_size({"width": 1000, "height": 640})
    page.wait_for_timeout(600)
    small = (scale.inner_text(), scale.bounding_box()["width"])
    assert small != before
    page.click(".maplibregl-ctrl-zoom-in")
    page.wait_for_url(lambda url: "map=" in url)
