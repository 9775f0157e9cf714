"""What was filed before its day and scored after it, beside last year's list."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.support.page_texts import EVENING, plain

pytestmark = pytest.mark.browser
SHARE = {"hits": 61, "share": 0.19, "lo": 0.151, "hi": 0.236}
RIVAL = {"hits": 73, "share": 0.227, "lo": 0.184, "hi": 0.276}
GAP = {"hits": -12, "lo": -18.7, "hi": -3.2}
PERCENTS = ("1", "5", "10")
ENTRY = {
    "id": 4, "day": "2026-12-01", "filed_at": "2026-11-30T20:03:11-05:00",
    "sha256": "f1c2ca11eacb4e367b60" + "0" * 44, "scores": [],
}  # fmt: skip


def record(days=42, **changes):
    shares = {
        k: {"champion": SHARE, "prior_counts": RIVAL, "difference": GAP} | changes for k in PERCENTS
    }
    return {
        "days": days, "days_covered": days - 4, "n": 321, "expected": 318.4, "shares": shares,
    }  # fmt: skip


@pytest.fixture
def opened(open_seen):
    """The evaluation's pane with a register of the test's choice."""

    def opened(filed, found, language="en"):
        seen = open_seen()
        body = {
            "filed": filed, "first_day": "2026-10-18" if filed else None, "entries": [ENTRY] * bool(filed),
            "record": {"last": found, "first": found}, "next": None,
        }  # fmt: skip
        seen.page.route("**/register?limit=1", lambda route: route.fulfill(json=body))
        return seen.open(f"{EVENING}&tab=trust&lang={language}")

    return opened


def test_fewer_than_last_years_list_is_said_as_plainly_as_more(opened):
    page = opened(45, record())
    verdict = plain(page.inner_text("#register-verdict"))
    assert verdict.startswith("It caught fewer than last year's list.")
    assert "caught 61 of 321 incidents on 42 days, last year's list 73" in verdict
    assert "between −19 and −3 incidents" in verdict
    style = "el => getComputedStyle(el).fontSize"
    assert page.eval_on_selector("#register-verdict", style) == page.eval_on_selector(
        "#register-counts", style
    )
    assert "38 of 42 days" in plain(page.inner_text("#register-counts"))
    assert page.locator("#register-table tbody tr").count() == len(PERCENTS)
    assert "Dec 1, 2026" in plain(page.inner_text("#register-newest"))
    more = opened(45, record(difference={"hits": 9, "lo": 2.0, "hi": 14.0}))
    assert "It caught more than last year's list" in more.inner_text("#register-verdict")


def test_what_is_not_scored_yet_is_said_in_words(opened):
    expect(opened(0, record(0)).locator("#register-none")).to_contain_text("Nothing is filed yet")
    waits = opened(3, record(0)).locator("#register-waits")
    expect(waits).to_contain_text("3 days are filed since")
    expect(waits).to_contain_text("none is scored yet")


def test_it_speaks_spanish_too(opened):
    page = opened(45, record(difference={"hits": 1, "lo": -5.0, "hi": 7.0}), "es")
    expect(page.locator("#register")).to_have_text("Archivado antes, evaluado después")
    expect(page.locator("#register-verdict")).to_contain_text("Sin diferencia clara")
    expect(page.locator("#register-counts")).to_contain_text("38 de 42 días")
