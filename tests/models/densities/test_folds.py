"""Inner validation: periods before the cutoff, weights that EM finds, a search uphill."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.base import HORIZON_DAYS
from models.densities.folds import (
    MIN_TEST,
    MIN_TRAIN,
    best_of_grid,
    inner_folds,
    mixture_weights,
    pooled_weights,
)
from models.incidents import Incidents
from models.units import DAY_S


def at_times(time_s):
    zeros = np.zeros(len(time_s))
    x_m = zeros.astype(np.float32)
    return Incidents(x_m, x_m, np.sort(time_s), zeros.astype(np.int16), zeros.astype(np.int32))


@given(st.integers(0, 2**32 - 1), st.integers(0, 600), st.integers(1, 5))
def test_folds_are_back_to_back_and_see_no_future(seed, n, n_folds):
    cutoff_s = 200 * DAY_S
    incidents = at_times(np.random.default_rng(seed).integers(0, cutoff_s, n))
    folds = inner_folds(incidents, cutoff_s, n_folds)
    assert len(folds) <= n_folds
    for fold in folds:
        assert (cutoff_s - fold.origin_s) % (HORIZON_DAYS * DAY_S) == 0
        train, test = incidents.time_s[fold.train], incidents.time_s[fold.test]
        assert len(train) >= MIN_TRAIN
        assert len(test) >= MIN_TEST
        assert train.max() < fold.origin_s <= test.min()
        assert test.max() < fold.origin_s + HORIZON_DAYS * DAY_S
    assert [f.origin_s for f in folds] == sorted((f.origin_s for f in folds), reverse=True)


def test_thin_data_gives_no_folds_and_the_prior():
    assert inner_folds(at_times(np.arange(60) * DAY_S), 60 * DAY_S) == []
    np.testing.assert_array_equal(
        mixture_weights(np.ones((0, 2)), np.array([3.0, 1.0])), [0.75, 0.25]
    )


@given(st.integers(0, 2**32 - 1))
def test_weights_are_shares_and_common_factors_cancel(seed):
    rng = np.random.default_rng(seed)
    densities = rng.gamma(1.0, size=(50, 4)) + 1e-6
    weights = mixture_weights(densities)
    assert weights.sum() == pytest.approx(1.0)
    assert (weights >= 0).all()
    scaled = densities * rng.uniform(0.1, 10, (50, 1))
    np.testing.assert_allclose(mixture_weights(scaled), weights, atol=1e-9)
    count = rng.integers(1, 5, 50)
    np.testing.assert_allclose(
        mixture_weights(densities, count=count.astype(float)),
        mixture_weights(np.repeat(densities, count, axis=0)),
        atol=1e-9,
    )


def test_weights_find_the_mixture_that_was_drawn_from():
    rng = np.random.default_rng(0)
    tables = rng.dirichlet(np.full(40, 0.3), size=3) + 1e-9
    true = np.array([0.6, 0.3, 0.1])
    cells = rng.choice(40, 40_000, p=true @ tables / (true @ tables).sum())
    found = pooled_weights([tables], [cells])
    np.testing.assert_allclose(found, true, atol=0.02)
    np.testing.assert_allclose(found, mixture_weights(tables[:, cells].T), atol=1e-6)


@given(st.lists(st.floats(1, 1e4), min_size=1, max_size=12, unique=True), st.data())
def test_the_search_finds_a_single_peak_from_anywhere(grid, data):
    grid = sorted(grid)
    peak = data.draw(st.sampled_from(grid))
    asked = []

    def score(value):
        asked.append(value)
        return -abs(grid.index(value) - grid.index(peak))

    assert best_of_grid(score, grid, data.draw(st.floats(1, 1e4))) == peak
    assert len(asked) == len(set(asked)), "no setting is scored twice"
