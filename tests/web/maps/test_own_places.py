"""Places of one's own: drawn or from a file, their scores beside the other lists."""

from __future__ import annotations

import httpx
import orjson
import pytest
from playwright.sync_api import expect

from tests.support.page_texts import EVENING, plain

pytestmark = pytest.mark.browser
PERIOD = {"from": "2019-12-01", "to": "2019-12-29"}


@pytest.fixture(scope="module")
def box(site) -> dict:
    """A square in the middle of the town."""
    cells = httpx.get(
        f"{site.url}/v1/regions/town/forecasts/hotspots", params={"window": 4, "n_cells": 1}
    ).json()["features"][0]["geometry"]["coordinates"][0]
    (west, south), (east, north) = cells[0], cells[2]
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


@pytest.fixture
def part(open_seen):
    page = open_seen().open(f"{EVENING}&tab=trust")
    page.click("#own-places > summary")
    expect(page.locator("#own-score")).to_be_disabled()
    return page


def test_places_of_a_file_are_scored_in_plain_words(part, site, box, tmp_path):
    file = tmp_path / "places.geojson"
    file.write_bytes(orjson.dumps({"type": "Feature", "properties": {}, "geometry": box}))
    part.set_input_files("#own-file", file)
    expect(part.locator("#own-count")).to_contain_text("Places: 1.")
    for name, value in PERIOD.items():
        part.fill(f"#own-{name}", value)
    part.click("#own-score")
    expect(part.locator("#own-headline")).to_contain_text("Your places")
    areas = {
        "type": "FeatureCollection",
        "features": [{"type": "Feature", "properties": {}, "geometry": box}],
    }
    reply = httpx.post(
        f"{site.url}/v1/regions/town/evaluations", json={"areas": areas, **PERIOD}
    ).json()
    total = reply["total"]
    words = plain(part.inner_text("#own-headline"))
    assert f"caught {total['own']['hits']:.0f} of {total['own']['n']:,} incidents" in words
    table = plain(part.inner_text("#own-table"))
    assert f"Last year's list {total['prior_counts']['area_km2']:.2f}" in table.replace("\t", " ")
    assert total["champion"] is None
    assert "No stored version" in part.inner_text("#own-result")
    gap = total["differences"]["prior_counts"]
    verdict = "more than" if gap["lo"] > 0 else "fewer than" if gap["hi"] < 0 else "No clear"
    assert verdict in part.inner_text('#own-result [data-list="prior_counts"]')
    part.click("#own-clear")
    expect(part.locator("#own-headline")).to_have_count(0)


def test_places_are_drawn_corner_by_corner(part):
    box = part.locator("#map").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    part.click("#own-draw")
    for dx, dy in ((0, 0), (60, 0), (60, 60), (0, 60)):
        part.mouse.click(x + dx, y + dy)
        part.wait_for_timeout(350)  # else two clicks are a double click
    assert "cell=" not in part.url, "clicks draw, and choose no cell"
    part.click("#own-finish")
    expect(part.locator("#own-count")).to_contain_text("Places: 1.")
    with part.expect_request("**/evaluations") as sent:
        part.click("#own-score")
    ring = sent.value.post_data_json["areas"]["features"][0]["geometry"]["coordinates"][0]
    assert len(ring) == 5
    assert ring[0] == ring[4]
    expect(part.locator("#own-headline")).to_be_visible()


def test_a_file_without_polygons_says_so(part, tmp_path):
    file = tmp_path / "point.geojson"
    for content in (b'{"type": "Point", "coordinates": [1, 2]}', b"no json"):
        file.write_bytes(content)
        part.set_input_files("#own-file", file)
        expect(part.locator("#own-status")).to_contain_text("point.geojson has no polygons")
        part.set_input_files("#own-file", [])
