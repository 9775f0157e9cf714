"""What an analyst does on the page, in real Chromium against the real service."""

from __future__ import annotations

import json
import re

import pytest

expect = pytest.importorskip("playwright.sync_api").expect
pytestmark = pytest.mark.browser
EVENING = "?region=town&at=2020-01-03T23:00"
MAX_FIRST_VIEW_BYTES = 1_500_000


def selected(page) -> list[str]:
    return page.eval_on_selector_all(
        "#strip [aria-selected=true]", "all => all.map(b => b.dataset.at)"
    )


def shares(page, at: str, top: int) -> str:
    page.wait_for_selector(f'body[data-shares="{at} {top}"]')
    return plain(page.inner_text("#shares"))


def plain(text: str) -> str:
    """With spaces where the page keeps words together."""
    return text.replace("\u00a0", " ")


def test_first_view_tells_hour_total_shares_and_track_record(open_seen):
    seen = open_seen()
    page = seen.open("?region=town")
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
        r"Rank\s+\d+ of \d+\s+Probability\s+[\d.]+ %\s+Expected\s+[\d.]+ \(\d–\d\)",
        page.inner_text("#card"),
    )


def test_trust_tells_version_warnings_rates_and_last_week(open_seen):
    seen = open_seen()
    page = seen.open(EVENING)
    page.click("#tab-trust")
    page.wait_for_selector("#backtest button")
    text = plain(page.inner_text("#pane-trust"))
    assert re.search(r"the top 5 % of cells caught [\d.]+ %: [\d.]+ times chance", text)
    assert "pooled-kde-2019" in text
    assert "Dec 19, 2019" in text
    assert re.search(r"Chance\s+1 %\s+5 %\s+10 %\s+20 %", text)
    page.check("#outcomes")
    expect(page.locator("#outcomes-text")).to_contain_text("incidents")
    told = page.inner_text("#outcomes-text")
    assert re.search(r"\d+ of \d+ incidents \(\d+ %\) fell", told)
    # The version had not seen that week.
    assert "no proof" not in told


def test_downloads_and_permalink(open_seen, tmp_path):
    seen = open_seen(accept_downloads=True)
    page = seen.open(f"{EVENING}&hours=3&top=7&measure=expected&tab=take")
    with page.expect_download() as got:
        page.click("#downloads a[download$='.geojson']")
    saved = json.loads(got.value.path().read_text())
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
    assert page.eval_on_selector("#briefing img", "i => i.naturalWidth > 100")
    assert not page.is_visible("header")


def test_upload_training_to_the_end_and_promotion(open_seen):
    seen = open_seen()
    page = seen.open(f"{EVENING}&tab=run")
    lines = seen.site.csv.read_text().splitlines()
    place = lines[0].split(",")
    fresh = dict(zip(place, lines[1].split(","), strict=True)) | {
        "occurred_at": "2019-12-31T23:30:00Z"
    }
    body = "\n".join([lines[0], lines[1], ",".join(fresh[name] for name in place), ""])
    page.set_input_files(
        "#file", {"name": "more.csv", "mimeType": "text/csv", "buffer": body.encode()}
    )
    page.wait_for_selector("#upload-report")
    told = page.inner_text("#upload-report")
    assert re.search(r"Received\s+2\s+Accepted\s+1\s+Duplicates\s+1\s+Rejected\s+0", told)
    page.select_option("#train-model", "pooled-kde")
    page.uncheck("#validate")
    page.click("#start-training")
    page.wait_for_selector("#training-status.good")
    assert "Finished" in page.inner_text("#training-status")
    expect(page.locator(".models li")).to_have_count(2)
    assert "Finished" in page.inner_text("#training-status")
    version = page.get_attribute(".models li:not(:has(.badge))", "title")
    page.click(".models button")
    expect(page.locator("#models-status")).to_contain_text(version)
    assert page.get_attribute(".models li:has(.badge)", "title") == version
    page.click("#rollback")
    expect(page.locator("#models-status")).to_contain_text("Rolled back")
    assert page.get_attribute(".models li:has(.badge)", "title") != version


def test_an_upload_that_cannot_be_read_says_why(open_seen):
    seen = open_seen()
    page = seen.open(f"{EVENING}&tab=run")
    bad = {"name": "bad.csv", "mimeType": "text/csv", "buffer": b"colour,size\nred,3\n"}
    page.set_input_files("#file", bad)
    page.wait_for_selector("#upload-status.bad")
    assert "occurred_at" in page.inner_text("#upload-status")
    # The browser itself logs the refused request.
    seen.errors[:] = [line for line in seen.errors if "422" not in line and "400" not in line]


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
          const { WORDS } = await import("/static/js/words.js");
          const [en, es] = [Object.keys(WORDS.en), Object.keys(WORDS.es)];
          const gaps = (text) => [...text.matchAll(/[{]\\w+[}]/g)].map(String).sort().join();
          const differ = en.filter((k) => k in WORDS.es && gaps(WORDS.en[k]) !== gaps(WORDS.es[k]));
          return [...en.filter((k) => !es.includes(k)), ...es.filter((k) => !en.includes(k)), ...differ];
        }"""
    )
    assert missing == []


def test_phone_width(open_seen):
    seen = open_seen(390, 844, has_touch=True, is_mobile=True)
    page = seen.open(EVENING)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.tap("#map canvas")
    page.wait_for_selector("#card:not([hidden])")
    page.tap("#tab-take")
    assert page.is_visible("#permalink")


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


def test_accessibility_by_axe(open_seen):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    seen = open_seen()
    page = seen.open(f"{EVENING}&cell=100")
    shares(page, "2020-01-03T23:00", 5)
    for tab in ("forecast", "trust", "run", "take"):
        page.click(f"#tab-{tab}")
        page.wait_for_selector(f"#pane-{tab}:not([hidden]) :is(p, h3)")
        found = axe.run(page, options={"runOnly": ["wcag2a", "wcag2aa"]})
        told = [
            (v["id"], [n["html"][:120] for n in v["nodes"]][:3])
            for v in found.response["violations"]
        ]
        assert told == []
