"""Rows far from a region without a boundary: counted, and those that look swapped."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.incidents.parsing.outliers import FarCheck


@given(st.integers(0, 20), st.integers(0, 20), st.integers(0, 20))
def test_far_and_swapped_rows_are_counted_in_any_split(n_near, n_far, n_swapped):
    places = [(-74.0, 4.6)] * n_near + [(100.0, 60.0)] * n_far + [(4.6, -74.0)] * n_swapped
    x, y = np.array(places, float).reshape(-1, 2).T
    check = FarCheck((-74.1, 4.7))
    for part in np.array_split(np.arange(len(x)), 3):
        check.note(x[part], y[part])
    assert (check.n_far, check.n_swapped) == (n_far + n_swapped, n_swapped)


def test_the_first_rows_say_where_the_region_lies():
    check = FarCheck(None)
    check.note(np.array([]), np.array([]))
    assert check.middle is None
    check.note(np.array([-74.0, -74.1, 100.0]), np.array([4.6, 4.7, 60.0]))
    assert check.middle == (-74.0, 4.7)
    assert check.n_far == 1
