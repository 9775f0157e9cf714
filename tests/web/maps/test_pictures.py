"""The clicks of the documentation's pictures lead to what they show, on the small town."""

from __future__ import annotations

import io
from datetime import datetime

import pytest
from PIL import Image

from app.core.zones import zone
from app.geo.synthetic import TIMEZONE
from tests.pictures.__main__ import main, take
from tests.pictures.shots import SHOTS

pytestmark = pytest.mark.browser
UNTIL = datetime(2019, 12, 20, tzinfo=zone(TIMEZONE))
"""When the town's version was trained."""
NEEDS_FILED = {"register"}
"""What the town lacks: forecasts filed on their evenings."""


@pytest.mark.parametrize("name", sorted(SHOTS.keys() - NEEDS_FILED))
def test_a_picture_is_taken_and_is_not_empty(site, browser, name):
    shot = SHOTS[name]
    picture = Image.open(io.BytesIO(take(browser, f"{site.url}/", shot, UNTIL)))
    assert picture.height > 200
    if shot.part is None:
        assert picture.size == shot.size
    assert len(picture.convert("RGB").getcolors(1 << 24)) > 50


def test_a_name_of_no_picture_is_refused_before_anything_is_made(capsys):
    assert main(["plan", "plam"]) == 2
    assert "unknown picture plam; choose from plan, " in capsys.readouterr().err
