"""Several regions at a glance: their figures are the API's, a search narrows them, a click opens one."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import expect

from app.main import create_app
from app.regions.service import add_region
from app.training.service import TrainingRequest
from app.worker.jobs import run_now
from tests.support.page_texts import assert_accessible
from tests.support.services.serving import listening
from tests.support.services.site import Site

pytestmark = pytest.mark.browser
SITE = "several"


@pytest.fixture(scope="module")
def several(chromium_path, engine, settings, town, town_csv) -> Iterator[Site]:
    request = TrainingRequest(model="uniform", seed=0, validate=False)
    assert run_now(engine, settings, town, request, lambda *_: None).status == "succeeded"
    add_region(engine, "avila", name="Ávila", timezone="Europe/Madrid")
    with listening(create_app(settings, engine)) as url:
        yield Site(url, town, town_csv)


def test_regions_are_listed_found_and_opened(open_seen):
    seen = open_seen()
    seen.page.clock.install(time="2020-01-02T20:00:00Z")
    page = seen.open("?region=town")
    page.click("#all-regions")
    line = page.locator("#overview [data-region=town]")
    night = {"from": "2020-01-02T18:00", "to": "2020-01-03T06:00"}
    path = f"{seen.site.url}/v1/regions/town/forecasts/series"
    slots = httpx.get(path, params=night).json()["slots"]
    expected = sum(slot["expected_total"] for slot in slots)
    expect(line.locator("td").nth(0)).to_have_text(f"{expected:.1f}")
    expect(line.locator("td").nth(1)).to_contain_text("2019")
    expect(line.locator("td").nth(2)).to_have_text("0")
    expect(page.locator("#overview [data-region=avila] td").first).to_have_text("None yet")
    assert_accessible(page, "#overview")
    page.fill("#overview input", "avi")
    expect(page.locator("#overview tbody tr")).to_have_count(1)
    page.click("#overview [data-region=avila] button")
    expect(page.locator("#overview")).to_be_hidden()
    page.wait_for_url(lambda url: "region=avila" in url)
    expect(page.locator("#when")).to_contain_text("No model yet")
