"""Figures in plain words: intervals of quiet cells, the unfavourable, the ends of scales, names."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from app.evaluation.backtests.request import BacktestRequest
from tests.support.page_texts import EVENING, plain, shares
from tests.support.services.site import backtested

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def backtest(site) -> dict:
    """The latest backtest of the town."""
    models = ("pooled-kde", "window-kde", "prior-counts", "history", "uniform")
    return backtested(site, BacktestRequest(models, n_origins=1))


def test_quiet_cells_have_words_instead_of_0_to_0(open_seen):
    seen = open_seen()
    page = seen.open(f"{EVENING}&cell=100")
    shares(page, "2020-01-03T23:00", 5)
    for part in ("#top-cells", "#card", "#shares", "#shares-note"):
        text = plain(page.inner_text(part))
        assert "0–0" not in text
        assert "0–100" not in text
    assert "likely none" in page.inner_text("#top-cells")
    rare = page.evaluate(
        """async () => {
          const { drawCard } = await import("/static/js/forecast.js");
          const cells = { id: [1], probability: [1e-9], expected_count: [2.6e-8], expected_count_lo: [0],
            expected_count_hi: [0], longitude: [-74], latitude: [4] };
          drawCard({ cells }, 0, 1);
          return document.querySelector("#card").textContent;
        }"""
    )
    assert "less than 1 in 10,000 such times" in rare
    assert page.eval_on_selector("#card .whole", "e => getComputedStyle(e).whiteSpace") == "nowrap"


def test_evaluation_says_the_unfavourable_as_plainly(open_seen, backtest):
    seen = open_seen()
    page = seen.open(f"{EVENING}&tab=trust")
    pane = page.locator("#pane-trust")
    one = backtest["counts"]["per_origin"][0]
    words = "within" if one["total"]["covered"] else "outside"
    expect(pane.locator(".totals")).to_contain_text(f"{one['observed']} came: {words} the interval")
    expect(pane.locator(".totals")).to_contain_text(
        f"{one['expected']:.1f} incidents were expected"
    )
    expect(page.locator("#one-period")).to_contain_text("one test period of 28 days")
    models = backtest["models"]
    ours, theirs = (models[name]["hits"]["5"] for name in ("pooled-kde", "history"))
    verdict = "more than" if ours > theirs else "less than" if ours < theirs else "as many as"
    told = pane.locator("[data-rival=history]")
    expect(told).to_contain_text(f"It catches {verdict} history")
    expect(told).to_contain_text(f"{ours} against {theirs}")
    past = next(
        d["hit_rate"]["5"]
        for d in backtest["differences"]
        if (d["model"], d["against"]) == ("pooled-kde", "prior-counts")
    )
    verdict = "more than" if past["lo"] > 0 else "less than" if past["hi"] < 0 else "about as many"
    told = plain(page.inner_text("#past-verdict"))
    assert f"It catches {verdict}" in told
    assert f"{ours} against {models['prior-counts']['hits']['5']}" in told
    assert "last year's counts" in plain(page.inner_text("#rates"))
    sizes = [
        page.eval_on_selector(which, "e => getComputedStyle(e).fontSize")
        for which in ("#headline", "#past-verdict")
    ]
    assert sizes[0] == sizes[1]
    rate = f"{100 * models['history']['hit_rate']['5']:.1f} %"
    assert rate in plain(page.inner_text("#headline"))
    assert rate in plain(page.inner_text("#rates"))
    assert re.search(
        r"caught [\d.]+ % \(95 %: [\d.]+ % to [\d.]+ %\)", plain(page.inner_text("#headline"))
    )
    assert "history" in pane.locator(".chart-key").first.inner_text()


def test_totals_outside_the_interval_are_said(open_seen, backtest):
    seen = open_seen()

    def missed(route) -> None:
        reply = route.fetch()
        body = reply.json()
        body["result"]["counts"]["per_origin"][0]["total"]["covered"] = False
        route.fulfill(response=reply, json=body)

    seen.page.route(re.compile(r"/backtests/[^/]+$"), missed)
    page = seen.open(f"{EVENING}&tab=trust")
    expect(page.locator(".totals")).to_contain_text("came: outside the interval")


def test_ends_of_the_scale_and_the_same_scale_for_all_hours(open_seen):
    seen = open_seen()
    page = seen.open(f"{EVENING}&measure=expected")
    expect(page.locator("#legend .ticks")).to_contain_text("≥")
    before = page.inner_text("#legend .ticks").replace("≥", "").split()
    page.check("#hold-scale")
    total = page.inner_text("#total")
    page.click('#strip [data-at="2020-01-01T04:00"]')
    expect(page.locator("#total")).not_to_have_text(total)
    assert page.inner_text("#legend .ticks").replace("≥", "").split() == before
    page.uncheck("#hold-scale")
    assert page.inner_text("#legend .ticks").replace("≥", "").split() != before


def test_an_unknown_region_is_named(open_seen):
    seen = open_seen()
    page = seen.open("?region=nowhere")
    expect(page.locator("#plan-notice")).to_contain_text("There is no region “nowhere”")
    expect(page.locator("#plan-notice")).to_contain_text("Town is shown instead")


def test_controls_have_names_on_a_phone(open_seen):
    seen = open_seen(390, 844, has_touch=True, is_mobile=True)
    page = seen.open(EVENING)
    page.tap("#more")
    for name in ("Region", "Category", "Model", "Language"):
        assert page.get_by_role("combobox", name=name, exact=True).count() == 1
    assert page.is_visible("header a[href='docs']")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_strip_has_keys_for_a_days_ends_and_named_headers(open_seen):
    seen = open_seen()
    page = seen.open(EVENING)
    page.focus('#strip [data-at="2020-01-03T23:00"]')
    page.keyboard.press("Home")
    expect(page.locator("#when")).to_contain_text("Friday, January 3, 2020, 00:00")
    page.keyboard.press("End")
    expect(page.locator("#when")).to_contain_text("Friday, January 3, 2020, 23:00")
    nameless = page.eval_on_selector_all(
        "#strip [role=columnheader]",
        "all => all.filter(h => !h.getAttribute('aria-label')).length",
    )
    assert nameless == 0


def test_one_minus_sign_and_a_single_day(open_seen):
    seen = open_seen()
    page = seen.open(EVENING)
    told = page.evaluate(
        """async () => {
          const { count, fixed, number, t } = await import("/static/js/i18n.js");
          return [count(-1), fixed(-1.25), number(-0.0054), t("dayAgo")];
        }"""
    )
    assert told == ["−1", "−1.3", "−0.0054", "1 day ago"]


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_the_card_does_not_hide_its_cell(open_seen, width, height):
    seen = open_seen(width, height)
    page = seen.open(EVENING)
    box = page.locator("#map").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 5 + box["height"] / 2)
    expect(page.locator("#card")).to_be_visible()
    covered = 0
    for across in (0.3, 0.5, 0.7, 0.9):
        for down in (0.3, 0.5, 0.7, 0.85):
            x, y = box["x"] + across * box["width"], box["y"] + down * box["height"]
            page.mouse.move(x, y)
            card = page.locator("#card").bounding_box()
            if card is not None and card["x"] < x < card["x"] + card["width"]:
                covered += card["y"] < y < card["y"] + card["height"]
    assert covered == 0


def test_an_error_ends_in_a_reason_and_a_stop(open_seen):
    seen = open_seen()
    page = seen.open(EVENING)
    told = page.evaluate(
        """async () => {
          const { explain } = await import("/static/js/runs.js");
          return [explain({ message: "" }), explain({ message: "the key was revoked", status: 401 })];
        }"""
    )
    assert told == [
        "Something went wrong: the service gave no reason.",
        "Something went wrong: the key was revoked. Enter a key that is valid.",
    ]


def test_a_spanish_page_has_no_english_where_a_hint_says_it_all(open_seen):
    page = open_seen().open(f"{EVENING}&lang=es")
    said = page.evaluate(
        """async () => {
          const { explain } = await import("/static/js/runs.js");
          const own = "cell_size_m is 9, at least 100 is needed";
          return [
            explain({ message: "the key was revoked", status: 401 }),
            explain({ message: "no model is trained", status: 409, code: "no_model" }),
            explain({ message: own, status: 422, code: "invalid_input" }),
          ];
        }"""
    )
    assert said == [
        "Algo falló: Introduzca una clave válida.",
        "Algo falló: Entrene antes un modelo.",
        "Algo falló: cell_size_m is 9, at least 100 is needed",
    ]


def test_figures_of_a_list_have_as_many_digits_and_tomorrow_has_the_chosen_hour(open_seen):
    seen = open_seen()
    page = seen.open(EVENING)
    listed = [plain(text) for text in page.locator("#top-cells td:nth-child(3)").all_inner_texts()]
    digits = {len(text.rstrip(" %").replace(".", "").lstrip("0")) for text in listed}
    assert (len(listed), digits) == (10, {2})
    assert page.inner_text("#tomorrow") == "Tomorrow 23:00"
    page.select_option("#hour", "05")
    expect(page.locator("#tomorrow")).to_have_text("Tomorrow 05:00")
    page.click("#tomorrow")
    expect(page.locator("#when")).to_contain_text("05:00 – 06:00")


WORSE = (
    "sin poner en servicio: peor que la actual en los últimos 28 días, por 0,0213 nats "
    "(de 0,0101 a 0,0325)"
)


def test_what_runs_say_is_said_in_the_pages_language(open_seen):
    seen = open_seen()
    page = seen.open(EVENING)
    page.select_option("#language", "es")
    shown = page.evaluate(
        """async () => {
          const { runText } = await import("/static/js/runs.js");
          const said = (code, params = {}) =>
            ({ said: { code, params, message: "English" }, message: "English details" });
          return [
            said("validating_model", { model: "stack" }),
            said("fits_done", { n: 3, n_fits: 1700 }),
            said("promoted_not_worse", { differences: { "pooled-kde": 0.01 } }),
            said("challenger_worse_than_champion", { deficit: 0.0213, low: 0.0101, high: 0.0325 }),
            said("code_of_a_later_version"),
            { said: null, message: "done" },
            { said: null, message: null, status: "queued" },
          ].map(runText);
        }"""
    )
    assert shown == [
        "probando con semanas pasadas",
        "3 de 1700 ajustes",
        "en servicio: no peor que los demás en los últimos 28 días",
        WORSE,
        "English",
        "done",
        "en espera",
    ]


def test_dates_of_decades_ago_are_no_beginning(open_seen):
    seen = open_seen()

    def with_early(route) -> None:
        reply = route.fetch()
        route.fulfill(response=reply, json={**reply.json(), "first_at": "1970-01-01T14:00:00Z"})

    seen.page.route("**/v1/regions/town", with_early)
    page = seen.open(f"{EVENING}&tab=run")
    expect(page.locator("#holds")).to_contain_text("incidents, Jan 1, 2019 to Dec 31, 2019")
    expect(page.locator("#holds")).to_contain_text("dated before, from Jan 1, 1970 on")
