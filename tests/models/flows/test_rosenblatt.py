"""The triangular map of a density on cells: triangular, exact both ways, its slope is the density."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from models.flows.rosenblatt import RosenblattMap
from tests.support.simulated.planted_hours import uneven_backbone
from tests.support.simulated.square_grid import square_grid

CELLS = square_grid(9, 7)
N = len(CELLS.ix)
AREA_M2 = 250.0**2


def places(seed, n=500, among=None):
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, N, n) if among is None else rng.choice(among, n)
    return rows, rng.random((n, 2))


@given(seed=st.integers(0, 2**31), zeros=st.integers(0, 50), first=st.sampled_from(["x", "y"]))
@settings(max_examples=50, deadline=None)
def test_the_inverse_undoes_the_map(seed, zeros, first):
    """Also where whole columns have no mass."""
    rng = np.random.default_rng(seed)
    weight = rng.gamma(0.3, size=N) + 1e-6
    weight[rng.permutation(N)[:zeros]] = 0.0
    made = RosenblattMap(CELLS, weight, first)
    rows, within = places(seed, among=np.flatnonzero(weight))
    again, inside = made.inverse(made.forward(rows, within))
    near_edge = (np.abs(within - 0.5) > 0.5 - 1e-6).any(axis=1)
    np.testing.assert_array_equal(again[~near_edge], rows[~near_edge])
    np.testing.assert_allclose(inside[~near_edge], within[~near_edge], atol=1e-5)
    ranks = rng.random((500, 2))
    np.testing.assert_allclose(made.forward(*made.inverse(ranks)), ranks, atol=1e-9)


@pytest.mark.parametrize("first", ["x", "y"])
def test_the_map_is_triangular_and_its_slope_is_the_density(first):
    weight = uneven_backbone(N)
    made = RosenblattMap(CELLS, weight, first)
    rows, within = places(3)
    within = 0.1 + 0.8 * within
    one, other = (0, 1) if first == "x" else (1, 0)
    step, base = 1e-4, made.forward(rows, within)
    moved = within.copy()
    moved[:, other] += step
    change = (made.forward(rows, moved) - base) / step
    np.testing.assert_array_equal(change[:, 0], 0.0)  # the first rank does not see the other
    slope = change[:, 1]
    moved = within.copy()
    moved[:, one] += step
    slope *= (made.forward(rows, moved)[:, 0] - base[:, 0]) / step
    np.testing.assert_allclose(slope, weight[rows], rtol=1e-5)


@pytest.mark.parametrize("first", ["x", "y"])
def test_uniform_ranks_give_the_density(first):
    weight = uneven_backbone(N)
    rows, within = RosenblattMap(CELLS, weight, first).inverse(
        np.random.default_rng(5).random((40_000, 2))
    )
    expected = weight * len(rows)
    chi2 = ((np.bincount(rows, minlength=N) - expected) ** 2 / expected).sum()
    assert chi2 < N + 5 * np.sqrt(2 * N)
    assert kstest(within.ravel(), "uniform").pvalue > 1e-4
