"""A PMTiles file beneath the cells: streets below, names above, credited, and asked of nobody else."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect
from shapely.geometry import shape

from app.geo.synthetic import synthetic_city
from app.main import create_app
from app.training.service import TrainingRequest
from app.worker.jobs import run_now
from tests.support.services.serving import listening
from tests.support.services.site import Site
from tests.support.simulated.small_basemap import write_basemap

pytestmark = pytest.mark.browser
SITE = "mapped_site"
ROAD, WATER, HALO = (0xAA, 0xB1, 0xB8), (0xBF, 0xD6, 0xE4), (0xFF, 0xFF, 0xFF)


@pytest.fixture(scope="module")
def mapped_site(chromium_path, engine, settings, town, town_csv, tmp_path_factory) -> Iterator:
    west, south, east, north = shape(synthetic_city().area.to_geojson()).bounds
    path = tmp_path_factory.mktemp("base") / "town.pmtiles"
    write_basemap(path, (west + east) / 2, (south + north) / 2)
    request = TrainingRequest(model="pooled-kde", seed=0, validate=False)
    assert run_now(engine, settings, town, request, lambda *_: None).status == "succeeded"
    app = create_app(settings.model_copy(update={"basemap": path}), engine)
    with listening(app) as url:
        yield Site(url, town, town_csv)


def _count(page, colour) -> int:
    picture = Image.open(io.BytesIO(page.locator("#map canvas").screenshot())).convert("RGB")
    return int((np.abs(np.asarray(picture).astype(int) - colour).max(axis=2) <= 2).sum())


def test_streets_and_water_lie_below_and_names_above(open_seen):
    seen = open_seen()
    page = seen.open("?region=town")
    expect(page.locator("#attribution")).to_have_text("© The mappers")
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(800)
    assert _count(page, ROAD) > 20
    assert _count(page, WATER) > 1000
    # Beneath the cells the names' halo would be tinted.
    assert _count(page, HALO) > 40
    ranges = [url for url in seen.requests if url.endswith("/basemap")]
    assert len(ranges) >= 3


def test_the_credit_is_on_paper_and_a_lost_file_is_told(open_seen):
    seen = open_seen()
    page = seen.open("?region=town")
    expect(page.locator("#attribution")).to_have_text("© The mappers")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.text_content("#briefing .credit") == "© The mappers"
    seen = open_seen()
    seen.page.route("**/basemap", lambda route: route.fulfill(status=404, body=""))
    page = seen.open("?region=town")
    expect(page.locator("#attribution")).to_have_text(
        "The streets beneath the cells could not be loaded."
    )
    seen.errors[:] = [line for line in seen.errors if "404" not in line]
