"""The block bootstrap that all intervals share."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.evaluation.bootstrap import (
    draw_blocks,
    interval,
    resampled_counts,
    resampled_means,
    time_blocks,
)
from models.units import DAY_S


@given(st.lists(st.integers(0, 400 * DAY_S), min_size=1, max_size=50))
def test_blocks_are_numbered_without_gaps_in_order_of_time(times):
    time_s = np.sort(np.array(times))
    block = time_blocks(time_s, DAY_S)
    assert block[0] == 0
    assert set(np.diff(block).tolist()) <= {0, 1}
    together = (time_s - time_s[0]) // DAY_S
    np.testing.assert_array_equal(np.diff(block) == 0, np.diff(together) == 0)


def test_no_incidents_have_no_blocks():
    assert len(time_blocks(np.zeros(0, np.int64), DAY_S)) == 0


def test_resamples_are_sums_over_drawn_blocks():
    rng = np.random.default_rng(0)
    table, draw = rng.integers(0, 9, (6, 3)).astype(float), draw_blocks(rng, 6, 40)
    np.testing.assert_array_equal(resampled_counts(table, draw), table[draw].sum(axis=1))
    total, count = table[:, 0], table[:, 1] + 1
    expected = total[draw].sum(axis=1) / count[draw].sum(axis=1)
    np.testing.assert_array_equal(resampled_means(total, count, draw), expected)


def test_a_resample_without_counts_is_not_a_number():
    draw = np.array([[0, 0], [0, 1]])
    means = resampled_means(np.array([0.0, 3.0]), np.array([0.0, 2.0]), draw)
    assert np.isnan(means[0])
    assert means[1] == 1.5


def test_the_interval_of_a_mean_covers_it_about_as_often_as_stated():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        total = rng.normal(2.0, 1.0, 40)
        lo, hi = interval(resampled_means(total, np.ones(40), draw_blocks(rng, 40, 400)))
        covered += lo <= 2.0 <= hi
    assert 175 <= covered <= 199
