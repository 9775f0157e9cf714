"""Ingredients of a density: contributions sum to the whole, whatever the order."""

from itertools import permutations

import numpy as np
import pytest

from models.base import FitContext, normalised
from models.densities.cox import Cox
from models.densities.ingredients import Ingredients, shapley
from models.densities.small_counts import pool_small_counts
from models.densities.stack import Stack
from models.densities.state import mean_over_hours
from tests.models.densities.test_stack import CUTOFF_S, drawn
from tests.support.simulated.square_grid import square_grid


def test_contributions_are_means_over_all_orders():
    values = np.random.default_rng(0).normal(size=8)
    orders = list(permutations(range(3)))
    expected = np.zeros(3)
    for order in orders:
        subset = 0
        for player in order:
            expected[player] += (values[subset | 1 << player] - values[subset]) / len(orders)
            subset |= 1 << player
    np.testing.assert_allclose(shapley(values), expected)
    assert shapley(values).sum() == pytest.approx(values[-1] - values[0], abs=1e-12)
    assert len(shapley(np.ones(1))) == 0


@pytest.fixture(scope="module", params=[Stack, Cox])
def fitted(request):
    return request.param().fit(drawn(700), square_grid(6, 6), FitContext(CUTOFF_S, seed=3))


def test_with_all_ingredients_it_is_the_model_at_all_hours(fitted):
    rates = 1.0 + np.bincount(drawn(700).window, minlength=168)
    whole = mean_over_hours(fitted.probability_, rates)
    np.testing.assert_allclose(fitted.ingredients_.tables[-1], whole, rtol=0.1)
    np.testing.assert_allclose(fitted.ingredients_.tables.sum(axis=1), 1.0)


def test_without_any_it_is_the_long_run(fitted):
    """The city's mixture of kernels, but for the mean of the hours' ratios and the floor."""
    drifted = Cox().fit(drawn(700), square_grid(6, 6), FitContext(CUTOFF_S, seed=3)).drifted_
    backbone = normalised(drifted.backbone_.probability_[0], fitted.area_km2_)
    np.testing.assert_allclose(fitted.ingredients_.tables[0], backbone, rtol=0.1)


def test_they_are_stored_and_read_as_tensors(fitted):
    read = Ingredients.stored(dict(fitted.tensors()))
    assert read.names == fitted.ingredients_.names
    np.testing.assert_allclose(read.tables, fitted.ingredients_.tables, rtol=1e-6)
    assert Ingredients.stored({"band.loading": np.ones(3)}) is None


def test_cells_with_few_incidents_share_them_too():
    grid = square_grid(6, 6)
    model = Cox().fit(drawn(700), grid, FitContext(CUTOFF_S, seed=3))
    known = drawn(700)
    rows = grid.locate(known.x_m, known.y_m)
    few = np.bincount(rows, minlength=36) < 5
    before = model.ingredients_.tables[:, few].sum(axis=1)
    assert few.sum() > 3
    pool_small_counts(model, rows, known.category, 5)
    pooled = model.ingredients_.tables[:, few]
    np.testing.assert_allclose(pooled, pooled[:, :1] @ np.ones((1, few.sum())))
    np.testing.assert_allclose(pooled.sum(axis=1), before)
