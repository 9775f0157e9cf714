"""How coarse places are: decimals of coordinates, distance to the nearest other place."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.data_quality.checks.coordinate_precision import nearest_distance_m, rounded_to


@given(st.integers(0, 5), st.integers(0, 2**32 - 1))
def test_rounded_places_show_their_decimals(decimals, seed):
    rng = np.random.default_rng(seed)
    longitude, latitude = rng.uniform(-179, 179, 300), rng.uniform(-80, 80, 300)
    found = rounded_to(longitude.round(decimals), latitude.round(decimals))
    assert found == decimals
    assert rounded_to(longitude, latitude) is None


def test_one_place_in_twenty_may_be_finer():
    rng = np.random.default_rng(0)
    longitude, latitude = rng.uniform(-74, -73, 100).round(2), rng.uniform(4, 5, 100).round(2)
    longitude[:5] += 0.0012345
    assert rounded_to(longitude, latitude) == 2
    longitude[5] += 0.0012345
    assert rounded_to(longitude, latitude) is None
    assert rounded_to(longitude[:0], latitude[:0]) is None


@given(st.floats(1, 1e4), st.integers(2, 12))
def test_places_on_a_lattice_are_one_step_apart(step_m, n):
    x_m, y_m = (axis.ravel() * step_m for axis in np.meshgrid(np.arange(n), np.arange(n)))
    assert nearest_distance_m(x_m, y_m) == pytest.approx(step_m)


def test_a_single_place_has_no_nearest_other():
    assert nearest_distance_m(np.zeros(1), np.zeros(1)) is None
