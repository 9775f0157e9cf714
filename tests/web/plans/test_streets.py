"""A region's streets are drawn beneath the cells after the forecast, and name the places of the list."""

import json

import pytest
from playwright.sync_api import expect

from app.geo.synthetic import synthetic_city
from app.geo.synthetic_streets import synthetic_streets
from tests.support.services.served import address, served
from tests.support.services.site import Site

__all__ = ["address", "served"]
pytestmark = pytest.mark.browser
SITE = "with_streets"
PATH = "/v1/regions/town/streets"
AT = "?region=town&at=2019-12-27T23:00"


@pytest.fixture(scope="module")
def with_streets(served, address, tmp_path_factory):
    """Registered versions of known densities behind a real server, and drawn streets."""
    content = json.dumps(synthetic_streets(synthetic_city().area, 300.0))
    reply = served.client.put(
        PATH, content=content, headers={"content-type": "application/geo+json"}
    )
    assert reply.status_code == 200, reply.text
    return Site(address, "", tmp_path_factory.mktemp("streets"))


def test_streets_come_after_the_forecast_and_name_its_cells(open_seen, served):
    seen = open_seen()
    page = seen.open(AT)
    names = served.client.get(f"{PATH}/lines").json()["names"]
    # As many places as rows, each between two streets of the layer.
    areas = page.locator("#top-cells .area")
    expect(areas.first).to_contain_text(" / ")
    for text in areas.all_inner_texts():
        first, second = text.split(" / ")
        assert first in names
        assert second in names
    asked = [url for url in seen.requests if "/v1/regions/town/" in url]
    lines = next(i for i, url in enumerate(asked) if url.endswith("/streets/lines"))
    assert any("/forecasts/density" in url for url in asked[:lines])
    assert page.evaluate("import('/static/js/tiles.js').then((m) => m.opacityOf(0))") < 0.2
    page.locator("#top-cells button[data-cell]").first.click()
    expect(page.locator("#card")).to_contain_text("Nearest streets")


def test_without_streets_nothing_is_asked(open_seen, served):
    assert served.client.delete(PATH).status_code == 204
    seen = open_seen()
    page = seen.open(AT)
    expect(page.locator("#top-cells tbody tr").first).to_be_visible()
    assert not [url for url in seen.requests if url.endswith("/streets/lines")]
    assert page.evaluate("import('/static/js/tiles.js').then((m) => m.opacityOf(0))") > 0.9
