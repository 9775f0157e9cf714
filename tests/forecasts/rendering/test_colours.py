"""The colour scale: light to dark without a turn, the same for pictures and tiles."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.forecasts.rendering.colours import N_COLOURS, colour_map, palette, shade, upper_end


def test_the_scale_darkens_all_the_way():
    rgb = palette().astype(float)
    assert rgb.shape == (N_COLOURS, 3)
    luminance = rgb @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance) <= 0).all()
    drawn = np.asarray(colour_map()(np.linspace(0, 1, N_COLOURS)))[:, :3] * 255
    assert np.abs(drawn - rgb).max() < 2.5


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50))
def test_higher_values_are_never_lighter(values):
    values = np.sort(np.array(values))
    top = upper_end(values)
    assert top > 0
    shades = shade(values, top).astype(int)
    assert (np.diff(shades) >= 0).all()
    assert shades.max() <= N_COLOURS - 1
    assert shade(np.array([0.0, top, 2 * top]), top).tolist() == [0, N_COLOURS - 1, N_COLOURS - 1]


@pytest.mark.parametrize("values", [[], [0.0, 0.0]])
def test_a_scale_without_values_has_an_end_all_the_same(values):
    assert upper_end(np.array(values, float)) == 1.0
