"""Whether what happened looked like what was forecast: said in plain words, in both languages."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from app.evaluation.backtests.request import BacktestRequest
from tests.support.page_texts import EVENING, plain
from tests.support.services.site import backtested

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def backtest(site) -> dict:
    """The latest backtest of the town, over four periods."""
    models = ("pooled-kde", "prior-counts", "uniform")
    return backtested(site, BacktestRequest(models, n_origins=4))


def test_passes_failures_gain_and_list_are_said(open_seen, backtest):
    seen = open_seen()
    page = seen.open(f"{EVENING}&tab=trust")
    found = backtest["consistency"]["models"]["pooled-kde"]
    passed = found["all"]["passed"]
    expect(page.locator("#consistency")).to_have_text(
        f"In {passed} of 4 periods what happened looked like what was forecast."
    )
    failed = page.locator("#inconsistent li")
    expect(failed).to_have_count(len(found["failures"]))
    text = plain(page.inner_text("#pane-trust"))
    assert f"Places: {found['S']['passed']} of 4." in text
    assert "In 1 of them no earlier period said how incidents cluster" in text
    (gain,) = [
        row
        for row in backtest["information_gain"]["rows"]
        if (row["model"], row["against"]) == ("pooled-kde", "uniform")
    ]
    verdict = "better than" if gain["lo"] > 0 else "no clear gain" if gain["hi"] > 0 else "worse"
    assert verdict in plain(page.inner_text(".gain[data-rival=uniform]"))
    near = backtest["models"]["pooled-kde"]["near_misses"]["fss"]
    assert f"1,000 m: {near[-1]:.2f}" in text
    page.select_option("#language", "es")
    expect(page.locator("#consistency")).to_have_text(
        f"En {passed} de 4 períodos lo ocurrido se parecía a lo pronosticado."
    )


def test_periods_without_earlier_ones_claim_no_verdict(open_seen, backtest):
    seen = open_seen()

    def alone(route) -> None:
        reply = route.fetch()
        body = reply.json()
        for one in body["result"]["consistency"]["models"]["pooled-kde"]["per_origin"]:
            one["clustering"]["periods"] = 0
        route.fulfill(response=reply, json=body)

    seen.page.route(re.compile(r"/backtests/[^/]+$"), alone)
    page = seen.open(f"{EVENING}&tab=trust")
    expect(page.locator("#consistency")).to_contain_text(
        "No earlier period says how incidents cluster"
    )


def test_an_older_backtest_says_nothing_of_it(open_seen, backtest):
    seen = open_seen()

    def older(route) -> None:
        reply = route.fetch()
        body = reply.json()
        for name in ("consistency", "information_gain"):
            del body["result"][name]
        for one in body["result"]["models"].values():
            del one["near_misses"], one["turnover"]
        route.fulfill(response=reply, json=body)

    seen.page.route(re.compile(r"/backtests/[^/]+$"), older)
    page = seen.open(f"{EVENING}&tab=trust")
    expect(page.locator("#rates")).to_be_visible()
    assert page.locator("#consistency, .gain").count() == 0
