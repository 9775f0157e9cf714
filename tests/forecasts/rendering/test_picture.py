"""A picture of a forecast: what its title says, and what the file says of itself."""

import io

import numpy as np
import pytest
from PIL import Image

from app.core.errors import InvalidInput
from app.forecasts.rendering.picture import density_png, title_of
from tests.support.simulated.made_forecasts import forecast_of, region_of, version_of


@pytest.mark.parametrize(
    ("n_slots", "when"),
    [
        (1, "Sunday 2024-01-07 19:00 to 20:00"),
        (4, "Sunday 2024-01-07 19:00 to 23:00"),
        (6, "Sunday 2024-01-07 19:00 to Monday 2024-01-08 01:00"),
    ],
)
def test_a_title_names_local_times_and_the_day_where_it_changes(n_slots, when):
    first, second = title_of(forecast_of(n_slots=n_slots)).splitlines()
    assert first == f"Town: {when}"
    assert second.startswith(f"{2 * n_slots:.1f} incidents expected (90 %: ")
    assert second.endswith("; v1")


def test_a_picture_is_of_its_forecast_and_says_which():
    name = "Town $x^2$"
    forecast = forecast_of(version_of(region=region_of(name=name)))
    found = Image.open(io.BytesIO(density_png(forecast)))
    assert found.text["model_version"] == "v1"
    shades = {tuple(c) for c in np.asarray(found.convert("RGB")).reshape(-1, 3)[::7].tolist()}
    assert len(shades) > 11


def test_a_box_beside_the_region_has_no_picture():
    with pytest.raises(InvalidInput, match="no cell touches the bbox"):
        density_png(forecast_of(bbox=(0.0, 0.0, 1.0, 1.0)))
