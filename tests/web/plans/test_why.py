"""Why here: the card of a chosen cell shows every figure of the API's explanation, in both languages."""

import re

import pytest
from playwright.sync_api import expect

from tests.support.page_texts import assert_accessible

pytestmark = pytest.mark.browser
ASKED = re.compile(r"/forecasts/explain\?")
HOURS = "?region=town&tab=forecast"


def explained(seen, query=HOURS):
    """The page with the best cell chosen, and what the service replied."""
    page = seen.open(query)
    with page.expect_response(ASKED) as reply:
        page.locator("#top-cells button[data-cell]").first.click()
    expect(page.locator(".why table")).to_be_attached()
    return page, reply.value.json()


@pytest.mark.parametrize("language", ["en", "es"])
def test_every_figure_of_the_card_is_the_apis(open_seen, language):
    page, reply = explained(open_seen(), f"{HOURS}&lang={language}")

    def written(value, places):
        script = "([v, l, p]) => v.toLocaleString(l, {minimumFractionDigits: p, maximumFractionDigits: p})"
        return page.evaluate(script, [value, language, places])

    rows = page.locator(".why tbody tr").all()
    assert [row.get_attribute("data-part") for row in rows] == [p["part"] for p in reply["parts"]]
    for row, part in zip(rows, reply["parts"], strict=True):
        assert row.locator("td").last.inner_text() == f"× {written(part['times'], 2)}"
        bar = float(row.locator("rect").get_attribute("width"))
        assert (bar > 0) == (part["log_ratio"] != 0)
    months = reply["incidents"]["months"]
    columns = page.locator(".why figure rect").all()
    assert [(c.get_attribute("data-month"), int(c.get_attribute("data-n"))) for c in columns] == [
        (month["month"], month["n"]) for month in months
    ]
    assert str(reply["incidents"]["n"]) in page.locator(".why figcaption").inner_text()
    text = page.locator(".why").inner_text()
    times = reply["times"]
    assert written(times, 1 if times < 10 else 0) in text
    for reason in reply["reasons"]:
        params = reason["params"]
        if "times" in params:
            assert f"{written(params['times'], 1)} " in text, reason
        if "share" in params:
            assert f"{written(100 * params['share'], 1)} %" in text, reason
    near = reply["incidents"]["near"]["n"]
    if near > 1:
        assert f"{near} incident" in text
    assert (reply["kind"]["reason"]["message"].split(":")[0] in text.lower()) == (language == "en")
    assert_accessible(page, "#card")


def test_the_reasons_are_those_of_the_hour_and_version_shown(open_seen):
    seen = open_seen()
    page, first = explained(seen)
    with page.expect_response(ASKED) as reply:
        page.locator("#strip td, #strip button").nth(40).click()
    second = reply.value.json()
    assert second["at"] != first["at"]
    assert second["cells"] == first["cells"]
    assert second["model_version"] == first["model_version"]


def test_a_phone_opens_the_reasons_by_a_tap(open_seen):
    page = open_seen(390, 844).open(HOURS)
    page.locator("#top-cells button[data-cell]").first.click()
    expect(page.locator(".why summary")).to_be_visible()
    expect(page.locator(".why table")).to_be_hidden()
    page.locator(".why summary").click()
    expect(page.locator(".why table")).to_be_attached()
