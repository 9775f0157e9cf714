"""Lattices: weights of knots at the centres of cells, in one and two dimensions."""

import numpy as np
import pytest
import torch

from models.fields.lattice import Lattice, multilinear
from tests.support.simulated.square_grid import square_grid

NX, NY = 16, 12
CELLS = square_grid(NX, NY)
PLACES = {"line": np.arange(NX)[None, :], "plane": np.stack([CELLS.ix, CELLS.iy])}


@pytest.mark.parametrize("shape", PLACES)
def test_rows_sum_to_one_and_vary_smoothly(shape):
    position = PLACES[shape]
    weights = multilinear(position, 250.0, 1000.0)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-5)
    # A surface that is linear along each axis passes through the knots.
    knots = [position[0].min(), position[0].max()]
    assert weights.shape[1] < position.shape[1]
    assert knots[0] < knots[1]
    assert (weights.toarray() > 0).sum(axis=1).max() <= 2 ** len(position)


@pytest.mark.parametrize("shape", PLACES)
def test_neighbours_are_alike_and_distant_cells_are_not(shape):
    position = PLACES[shape]
    weights = multilinear(position, 250.0, 1000.0).toarray()
    covariance = weights @ weights.T
    apart = np.abs(position - position[:, :1]).sum(axis=0)
    assert covariance[0, apart == 1].min() > covariance[0, apart == 3].max()
    assert covariance[0, apart > 16].max(initial=0.0) == 0


def test_a_lattice_no_coarser_than_the_cells_has_the_cells_as_knots():
    np.testing.assert_array_equal(
        multilinear(PLACES["plane"], 250.0, 250.0).toarray(), np.eye(NX * NY)
    )


def test_both_directions_belong_to_one_linear_map():
    lattice = Lattice.of_cells(CELLS, {1000.0: 0.5, 250.0: 0.2})
    generator = torch.Generator().manual_seed(2)
    coefficients = torch.randn(lattice.n_knots, 3, generator=generator)
    gradient = torch.randn(NX * NY, 3, generator=generator)
    one = (lattice.to_cells(coefficients) * gradient).sum()
    other = (coefficients * lattice.to_knots(gradient)).sum()
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
