"""Random fields over the cells at several resolutions.

A field is a sum of multilinear surfaces on regular lattices, from kilometres down to single cells, each
with its own prior standard deviation. Coarse lattices share information across a district, fine ones
represent single street corners.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from itertools import product
from typing import Self

import numpy as np
import torch
from scipy.sparse import csr_array, hstack, identity
from torch import Tensor

from models.base import Cells
from models.units import FloatArray, IntArray

_NEGLIGIBLE = 1e-6


def multilinear(position: IntArray, size_m: float, spacing_m: float) -> csr_array:
    """Return the weights (N, K) of a lattice's knots at the centres of cells; rows sum to one.

    A lattice that is no coarser than the cells has the cells as its knots.

    Args:
        position: (d, N) distinct non-negative integer positions along each of d axes.
        size_m: length of a cell along every axis.
        spacing_m: distance between knots.
    """
    n_cells = position.shape[1]
    if spacing_m <= size_m:
        return csr_array(identity(n_cells, format="csr"))
    place = (position + 0.5) * size_m / spacing_m
    low = np.floor(place).astype(np.int64)
    part = place - low
    n_knots = tuple(int(n) + 2 for n in low.max(axis=1, initial=0))
    knots, weights = [], []
    for corner in product((0, 1), repeat=len(position)):
        step = np.array(corner)[:, None]
        knots.append(np.ravel_multi_index(tuple(low + step)[::-1], n_knots[::-1]))
        weights.append(np.abs(1 - step - part).prod(axis=0))
    rows = np.tile(np.arange(n_cells), 2 ** len(position))
    weight, knot = np.concatenate(weights), np.concatenate(knots)
    relevant = weight > _NEGLIGIBLE
    used, column = np.unique(knot[relevant], return_inverse=True)
    shape = (n_cells, len(used))
    return csr_array((weight[relevant], (rows[relevant], column)), shape=shape)


class Lattice:
    """Linear map from independent standard normal coefficients to fields on N cells.

    Args:
        weights: (N, K) weights of the knots at each cell, times their prior standard deviation.
        device: torch device.
    """

    def __init__(self, weights: csr_array, device: str = "cpu") -> None:
        self.weights = weights
        self.device = device
        self.n_knots = int(weights.shape[1])
        self._forward = sparse(weights, device)
        self._back = sparse(csr_array(weights.T.tocsr()), device)

    @classmethod
    def of_places(
        cls,
        position: IntArray,
        size_m: float,
        spread: Mapping[float, float],
        device: str = "cpu",
    ) -> Self:
        """Create the lattice of places of one size.

        Args:
            position: (d, N) distinct integer positions along d axes (2 for cells of a study area, 1 for
                its columns).
            size_m: length of a place along every axis.
            spread: {knot spacing in metres: prior standard deviation of that resolution}.
            device: torch device.
        """
        parts = [multilinear(position, size_m, m) * sd for m, sd in spread.items()]
        return cls(csr_array(hstack(parts, format="csr")).astype(np.float32), device)

    @classmethod
    def of_cells(cls, cells: Cells, spread: Mapping[float, float], device: str = "cpu") -> Self:
        """Create the lattice of a study area's cells."""
        return cls.of_places(np.stack([cells.ix, cells.iy]), cells.cell_size_m, spread, device)

    def at(self, rows: IntArray) -> Lattice:
        """Return the map from the same coefficients to the fields on some cells."""
        return Lattice(self.weights[rows], self.device)

    def to_cells(self, coefficients: Tensor) -> Tensor:
        """Map coefficients (K, R) to fields (N, R)."""
        fields: Tensor = self._forward @ coefficients
        return fields

    def to_knots(self, gradient: Tensor) -> Tensor:
        """Map a gradient by fields (N, R) to one by coefficients (K, R)."""
        knots: Tensor = self._back @ gradient
        return knots

    def information(self, weight: FloatArray) -> csr_array:
        """Return the matrix (K, K) of `to_knots(weight * to_cells(.))`, for weights (N,)."""
        scaled = self.weights.multiply(np.sqrt(weight)[:, None]).tocsr()
        return csr_array(scaled.T.tocsr() @ scaled)


def sparse(matrix: csr_array, device: str) -> Tensor:
    """Copy a matrix by rows, whose products take a tenth of the time of those of a list of entries."""
    matrix.sort_indices()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(
            torch.as_tensor(matrix.indptr.astype(np.int64)),
            torch.as_tensor(matrix.indices.astype(np.int64)),
            torch.as_tensor(matrix.data.astype(np.float32)),
            tuple(int(n) for n in matrix.shape),
            device=device,
            check_invariants=True,
        )
