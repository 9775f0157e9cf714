"""What the best streets caught, on the page: the numbers of the reply, in words that say who catches more."""

import json
import re

import httpx
import pytest
from playwright.sync_api import expect

from app.evaluation.backtests.request import BacktestRequest
from app.geo.synthetic import synthetic_city
from app.geo.synthetic_streets import synthetic_streets
from tests.support.page_texts import EVENING, assert_accessible, plain
from tests.support.services.site import backtested

pytestmark = pytest.mark.browser
SITE = "changing_site"
TRUST = f"{EVENING}&tab=trust"


@pytest.fixture(scope="module")
def streets(changing_site) -> dict:
    """Those of the latest backtest, after one without."""
    region = f"{changing_site.url}/v1/regions/town"
    content = json.dumps(synthetic_streets(synthetic_city().area, 300.0))
    kind = {"content-type": "application/geo+json"}
    reply = httpx.put(f"{region}/streets", content=content, headers=kind, timeout=60)
    assert reply.status_code == 200, reply.text
    request = BacktestRequest(("pooled-kde", "prior-counts"), n_origins=1)
    return backtested(changing_site, request)["streets"]


def test_streets_are_judged_as_the_reply_says(open_seen, streets):
    page = open_seen().open(TRUST)
    own = streets["models"]["pooled-kde"]
    at, gap = own["all_hours"][1], own["all_hours"][1]["differences"]["counts"]
    verdict = "more than" if gap["lo"] > 0 else "less than" if gap["hi"] < 0 else "about as many as"
    told = page.locator("#streets-verdict")
    expect(told).to_contain_text(f"On streets it catches {verdict} ")
    hits, others, cells = (
        round(row["hits"]) for row in (at, streets["counts"][1], own["cells"][1])
    )
    assert f"top 5 % of street length: {hits} against {others}, of {streets['n']}" in plain(
        told.inner_text()
    )
    assert f"which of their streets: {cells}." in plain(told.inner_text())
    rows = [line.split("\t") for line in plain(page.inner_text("#street-rates")).splitlines()]
    rows = [[cell.strip() for cell in row] for row in rows if len(row) == 5][1:]
    for shown, scored in zip(
        rows, (own["all_hours"], own["by_hour"], streets["counts"], own["cells"]), strict=False
    ):
        assert shown[1:] == [f"{100 * row['share']:.1f} %" for row in scored]
    assert [row[0] for row in rows] == [
        "pooled-kde",
        "each hour its own list",
        "last year's counts",
        "its cells alone",
        "Chance",
    ]
    far = f"{streets['n_off_streets']} incidents happened far from every street"
    assert (far in page.inner_text("#streets-how")) == (streets["n_off_streets"] > 0)
    assert_accessible(page, "#pane-trust")


def test_a_loss_is_said_and_so_is_the_share_of_length(open_seen, streets):
    seen = open_seen()

    def lost(route) -> None:
        reply = route.fetch()
        body = reply.json()
        row = body["result"]["streets"]["models"]["pooled-kde"]["all_hours"][2]
        row["differences"]["counts"] = {"hits": -40.2, "lo": -61.1, "hi": -9.0}
        route.fulfill(response=reply, json=body)

    seen.page.route(re.compile(r"/backtests/[^/]+$"), lost)
    page = seen.open(f"{TRUST}&top=10&lang=es")
    expect(page.locator("#streets-verdict strong")).to_have_text(
        "Por calles capta menos que una lista de las calles con más incidentes del último año"
    )
    told = plain(page.inner_text("#streets-verdict"))
    assert "En el 10 % de la longitud de calles" in told
    assert re.search("entre [-\N{MINUS SIGN}]61 y [-\N{MINUS SIGN}]9 incidentes", told)


def test_without_streets_nothing_is_said_of_them(open_seen, streets):
    seen = open_seen()

    def without(route) -> None:
        reply = route.fetch()
        body = reply.json()
        del body["result"]["streets"]
        route.fulfill(response=reply, json=body)

    seen.page.route(re.compile(r"/backtests/[^/]+$"), without)
    page = seen.open(TRUST)
    expect(page.locator("#rates")).to_be_visible()
    assert page.locator("#streets-verdict, #street-rates, #streets-how").count() == 0
