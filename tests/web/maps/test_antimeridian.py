"""A town on both sides of the 180th meridian lies in the middle of the map, whole."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import expect

from app.main import create_app
from app.training.service import TrainingRequest
from app.worker.jobs import run_now
from tests.support.services.serving import listening
from tests.support.services.site import Site

pytestmark = pytest.mark.browser
SITE = "divided_site"
WEST_HALF = [[179.9, -16.9], [180, -16.9], [180, -16.75], [179.9, -16.75], [179.9, -16.9]]
EAST_HALF = [[-180, -16.9], [-179.9, -16.9], [-179.9, -16.75], [-180, -16.75], [-180, -16.9]]
BOUNDARY = {"type": "MultiPolygon", "coordinates": [[WEST_HALF], [EAST_HALF]]}
OPEN = "?region=divided&at=2026-03-01T22:00"


def _csv() -> str:
    draw = random.Random(0)
    rows = ["datetime,longitude,latitude,type"]
    for k in range(300):
        longitude = (180 + draw.uniform(-0.09, 0.09) + 180) % 360 - 180
        day, hour = 1 + k % 28, k % 24
        latitude = draw.uniform(-16.89, -16.76)
        rows.append(f"2026-02-{day:02}T{hour:02}:00:00,{longitude:.6f},{latitude:.6f},Theft")
    return "\n".join(rows)


@pytest.fixture(scope="module")
def divided_site(chromium_path, engine, settings, tmp_path_factory) -> Iterator[Site]:
    csv = tmp_path_factory.mktemp("divided") / "divided.csv"
    csv.write_text(_csv())
    with listening(create_app(settings, engine)) as url:
        region = {"id": "divided", "timezone": "Pacific/Fiji", "boundary": BOUNDARY}
        assert httpx.post(f"{url}/v1/regions", json=region).status_code == 201
        root = f"{url}/v1/regions/divided"
        sent = httpx.post(
            f"{root}/incidents", content=csv.read_bytes(), headers={"Content-Type": "text/csv"}
        )
        assert sent.json()["accepted"] == 300
        request = TrainingRequest("pooled-kde", validate=False)
        run = run_now(engine, settings, "divided", request, lambda *_: None)
        assert run.status == "succeeded", run.message
        yield Site(url, "divided", csv)


@pytest.mark.parametrize(
    ("place", "signs"),
    [("", "+-"), ("&map=12/-16.82/179.97", "++"), ("&map=12/-16.82/-179.97", "--")],
)
def test_cells_of_both_sides_can_be_pointed_at(open_seen, place, signs):
    page = open_seen().open(OPEN + place)
    box = page.locator("#map").bounding_box()
    for share, sign in zip((0.4, 0.6), signs, strict=True):
        page.mouse.move(box["x"] + share * box["width"], box["y"] + box["height"] / 2)
        shown = re.compile(r"-16\.\d+,\s179\." if sign == "+" else r"-16\.\d+,\s-179\.")
        expect(page.locator("#card")).to_contain_text(shown)
