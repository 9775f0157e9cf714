"""Tables of probabilities: sums of one, finite logarithms, no more memory than they need."""

import tracemalloc

import numpy as np
import pytest

from models.base import normalised


def test_rows_sum_to_one_whatever_they_hold():
    weights = np.array([[0.0, 0.0, 0.0], [1e-300, 0.0, 1e-300], [1e300, 1.0, 0.0]])
    before = weights.copy()
    table = normalised(weights, np.array([1.0, 2.0, 1.0]))
    np.testing.assert_allclose(table.sum(axis=1), 1.0, atol=1e-12)
    assert (table > 0).all()
    np.testing.assert_array_equal(table[0], [0.25, 0.5, 0.25])
    np.testing.assert_array_equal(weights, before)
    with pytest.raises(ValueError, match="finite"):
        normalised(np.array([1.0, np.nan]), np.ones(2))


def test_a_table_is_made_in_the_memory_of_two():
    weights = np.random.default_rng(0).random((168, 10_000))
    area_km2 = np.ones(10_000)
    tracemalloc.start()
    try:
        normalised(weights, area_km2)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2.5 * weights.nbytes
