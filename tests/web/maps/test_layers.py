"""A layer of areas on the page: names on the map, totals that equal the service's, in the address."""

import httpx
import pytest
from playwright.sync_api import expect

from tests.support.simulated.town import halves

QUERY = "?region=town&at=2020-01-03T23:00&tab=forecast"


@pytest.fixture(scope="module")
def beats(site):
    url = f"{site.url}/v1/regions/town/layers/beats"
    reply = httpx.put(url, json={"type": "FeatureCollection", "features": halves()})
    assert reply.status_code == 200, reply.text
    yield "beats"
    httpx.delete(url)


def test_totals_are_those_of_the_service_and_the_address_keeps_the_choice(open_seen, site, beats):
    seen = open_seen()
    page = seen.open(QUERY)
    page.locator("#areas summary").click()
    page.select_option("#layer", beats)
    rows = page.locator("#areas-table tbody tr")
    expect(rows).to_have_count(2)
    asked = {"layer": beats, "at": "2020-01-03T23:00", "f": "csv"}
    lines = httpx.get(f"{site.url}/v1/regions/town/forecasts/areas", params=asked).text.splitlines()
    told = {line.split(",")[0].strip('"'): float(line.split(",")[5]) for line in lines[1:]}
    shown = {row.split("\t")[0]: float(row.split("\t")[1]) for row in rows.all_inner_texts()}
    assert shown == {name: pytest.approx(n, rel=6e-3) for name, n in told.items()}
    assert list(shown) == sorted(told, key=lambda name: -told[name])
    assert sorted(page.locator(".area-names span").all_inner_texts()) == ["east", "west"]
    assert "layer=beats" in page.url
    again = open_seen().open(page.url.partition("/?")[2].join(["?", ""]))
    expect(again.locator("#areas-table tbody tr")).to_have_count(2)
    page.select_option("#layer", "")
    expect(rows).to_have_count(0)
    assert page.locator(".area-names span").count() == 0
    assert not seen.errors
