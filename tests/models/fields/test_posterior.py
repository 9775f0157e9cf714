"""Posterior variances: those of the dense Gaussian that they approximate."""

import numpy as np
import pytest

from models.base import FitCancelled, FitContext
from models.fields import posterior
from models.fields.lattice import Lattice, multilinear
from models.fields.posterior import field_variances
from tests.support.simulated.square_grid import square_grid

CELLS = square_grid(7, 5)
SPREAD = {1000.0: 0.4, 250.0: 0.3}


def dense_lattice():
    place = np.stack([CELLS.ix, CELLS.iy])
    return np.concatenate(
        [multilinear(place, 250.0, m).toarray() * s for m, s in SPREAD.items()], axis=1
    )


def test_they_are_those_of_the_inverse_curvature(monkeypatch):
    monkeypatch.setattr(posterior, "N_DRAWS", 2_000)
    rng = np.random.default_rng(2)
    counts = rng.gamma(0.5, 40.0, size=35)
    root = rng.normal(size=(3, 3))
    covariance = root @ root.T
    features = rng.normal(size=(4, 3))
    variance, direction = field_variances(
        counts, covariance, Lattice.of_cells(CELLS, SPREAD), FitContext(0)
    )
    lattice = dense_lattice()
    n_knots = lattice.shape[1]
    curvature = np.eye(3 * n_knots) + np.kron(covariance, lattice.T * counts @ lattice)
    inverse = np.linalg.inv(curvature)
    for row in features:
        whole = np.kron(row[None, :], lattice)
        exact = np.einsum("ck,kl,cl->c", whole, inverse, whole)
        np.testing.assert_allclose((row @ direction) ** 2 @ variance, exact, rtol=0.15)


def test_more_incidents_mean_less_variance_and_none_leaves_the_prior():
    lattice = Lattice.of_cells(CELLS, SPREAD)

    def mean_variance(n):
        variance, _ = field_variances(np.full(35, float(n)), np.eye(2), lattice, FitContext(0))
        return variance.mean()

    prior = (dense_lattice() ** 2).sum(axis=1).mean()
    assert mean_variance(0) == pytest.approx(prior, rel=0.1)
    assert mean_variance(0) > mean_variance(10) > mean_variance(1_000) > 0
    assert mean_variance(1_000) < 0.05 * prior


def test_the_draws_are_the_same_each_time():
    lattice = Lattice.of_cells(CELLS, SPREAD)
    one, two = (
        field_variances(np.ones(35), np.eye(2), lattice, FitContext(0, seed=s)) for s in (0, 1)
    )
    np.testing.assert_array_equal(one[0], two[0])


def test_it_can_be_cancelled():
    lattice = Lattice.of_cells(CELLS, SPREAD)
    with pytest.raises(FitCancelled):
        field_variances(np.ones(35), np.eye(2), lattice, FitContext(0, cancelled=lambda: True))
