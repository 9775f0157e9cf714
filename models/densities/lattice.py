"""Random fields over the cells at several resolutions at once.

A field is a sum of bilinear surfaces on square lattices, from kilometres down to the single cell;
the coefficients of each have their own prior standard deviation. Coarse lattices share strength
over a district, fine ones keep a street corner's own habits.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from scipy.sparse import csr_array, hstack, identity
from torch import Tensor

from models.base import Cells

_NEGLIGIBLE = 1e-6


def bilinear(cells: Cells, spacing_m: float) -> csr_array:
    """(N, K) weights of the knots of a lattice at the cells' centres; rows sum to one.

    A lattice no coarser than the cells is the cells themselves.
    """
    if spacing_m <= cells.cell_size_m:
        return csr_array(identity(len(cells.ix), format="csr"))
    place = (np.stack([cells.ix, cells.iy]) + 0.5) * cells.cell_size_m / spacing_m
    low = np.floor(place).astype(np.int64)
    part = place - low
    n_columns = int(low[0].max(initial=0)) + 2
    knots, weights = [], []
    for dx in (0, 1):
        for dy in (0, 1):
            knots.append((low[1] + dy) * n_columns + low[0] + dx)
            weights.append(np.abs(1 - dx - part[0]) * np.abs(1 - dy - part[1]))
    rows = np.tile(np.arange(len(cells.ix)), 4)
    weight, knot = np.concatenate(weights), np.concatenate(knots)
    kept = weight > _NEGLIGIBLE
    used, column = np.unique(knot[kept], return_inverse=True)
    shape = (len(cells.ix), len(used))
    return csr_array((weight[kept], (rows[kept], column)), shape=shape)


class Lattice:
    """The linear map from independent standard normal coefficients to fields on the cells.

    Args:
        cells: the N cells.
        spread: {knot spacing in metres: prior standard deviation of that resolution}.
        device: torch device.
    """

    def __init__(self, cells: Cells, spread: Mapping[float, float], device: str = "cpu") -> None:
        weights = hstack([bilinear(cells, m) * sd for m, sd in spread.items()], format="csr")
        self.n_knots = int(weights.shape[1])
        self._forward = _sparse(csr_array(weights), device)
        self._back = _sparse(csr_array(weights.T.tocsr()), device)

    def to_cells(self, coefficients: Tensor) -> Tensor:
        """(K, R) coefficients -> (N, R) fields."""
        fields: Tensor = torch.sparse.mm(self._forward, coefficients)
        return fields

    def to_knots(self, gradient: Tensor) -> Tensor:
        """(N, R) gradient by fields -> (K, R) gradient by coefficients."""
        knots: Tensor = torch.sparse.mm(self._back, gradient)
        return knots


def _sparse(matrix: csr_array, device: str) -> Tensor:
    entries = matrix.tocoo()
    place = torch.as_tensor(np.stack([entries.row, entries.col]).astype(np.int64))
    value = torch.as_tensor(entries.data.astype(np.float32))
    shape = tuple(int(n) for n in matrix.shape)
    made = torch.sparse_coo_tensor(place, value, shape, device=device, check_invariants=True)
    return made.coalesce()
