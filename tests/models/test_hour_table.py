"""A table of hours as factors has the values of the whole table, whatever the blocks."""

import numpy as np
import pytest

from models.hour_table import CELLS_AT_ONCE, HourTable, block_of, blocks, times

N = CELLS_AT_ONCE + 37


@pytest.fixture(scope="module")
def factors():
    rng = np.random.default_rng(5)
    return rng.normal(size=(168, 4)), rng.normal(size=(4, N)), rng.normal(size=N)


def test_rows_sum_to_one_and_are_the_softmax_of_the_whole(factors):
    features, weights, log_column = factors
    found = HourTable.normalised(*factors).whole()
    expected = np.exp(features @ weights + log_column)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-12)
    np.testing.assert_allclose(found, expected / expected.sum(axis=1, keepdims=True), rtol=1e-10)


def test_blocks_cover_each_cell_once(factors):
    table = HourTable.normalised(*factors)
    parts = [block_of(table, part) for part in blocks(N)]
    assert [part.shape[1] for part in parts] == [CELLS_AT_ONCE, 37]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), table.whole())


def test_means_and_quotients_are_those_of_the_whole(factors):
    table = HourTable.normalised(*factors)
    rates = np.random.default_rng(1).random(168)
    mean = rates @ table.whole()
    np.testing.assert_allclose(table.mean(rates), mean / mean.sum(), rtol=1e-10)
    base = np.random.default_rng(2).random(N) + 0.5
    np.testing.assert_allclose(table.over(base).whole(), table.whole() / base, rtol=1e-10)


def test_tables_of_32_bits_are_multiplied_in_64():
    table = np.full((3, 1000), 0.1, np.float32)
    product = times(table, np.ones(1000))
    np.testing.assert_allclose(product, table.astype(float) @ np.ones(1000), rtol=1e-12)
