"""Random fields over the cells at several resolutions.

A field is a sum of multilinear surfaces on regular lattices, from kilometres down to single cells, each
with its own prior standard deviation. Coarse lattices share information across a district, fine ones
represent single street corners.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Self

import numpy as np
import torch
from scipy.sparse import csr_array, hstack, identity
from torch import Tensor

from models.base import Cells
from models.units import IntArray

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
        position: (d, N) distinct integer positions of the cells along d axes (2 for cells of a study
            area, 1 for its columns).
        size_m: length of a cell along every axis.
        spread: {knot spacing in metres: prior standard deviation of that resolution}.
        device: torch device.
    """

    def __init__(
        self,
        position: IntArray,
        size_m: float,
        spread: Mapping[float, float],
        device: str = "cpu",
    ) -> None:
        parts = [multilinear(position, size_m, m) * sd for m, sd in spread.items()]
        weights = hstack(parts, format="csr")
        self.n_knots = int(weights.shape[1])
        self._squares = _sparse(csr_array(weights.power(2).T.tocsr()), device)
        self._forward = _sparse(csr_array(weights), device)
        self._back = _sparse(csr_array(weights.T.tocsr()), device)

    @classmethod
    def of_cells(cls, cells: Cells, spread: Mapping[float, float], device: str = "cpu") -> Self:
        """Create the lattice of a study area's cells."""
        return cls(np.stack([cells.ix, cells.iy]), cells.cell_size_m, spread, device)

    def to_cells(self, coefficients: Tensor) -> Tensor:
        """Map coefficients (K, R) to fields (N, R)."""
        fields: Tensor = torch.sparse.mm(self._forward, coefficients)
        return fields

    def to_knots(self, gradient: Tensor) -> Tensor:
        """Map a gradient by fields (N, R) to one by coefficients (K, R)."""
        knots: Tensor = torch.sparse.mm(self._back, gradient)
        return knots

    def diagonal(self, weight: Tensor) -> Tensor:
        """Return the diagonal (K, 1) of `to_knots(weight * to_cells(.))`, weight (N, 1)."""
        diagonal: Tensor = torch.sparse.mm(self._squares, weight)
        return diagonal


def _sparse(matrix: csr_array, device: str) -> Tensor:
    entries = matrix.tocoo()
    place = torch.as_tensor(np.stack([entries.row, entries.col]).astype(np.int64))
    value = torch.as_tensor(entries.data.astype(np.float32))
    shape = tuple(int(n) for n in matrix.shape)
    made = torch.sparse_coo_tensor(place, value, shape, device=device, check_invariants=True)
    return made.coalesce()
