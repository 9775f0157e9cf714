"""Random fields over the cells at several resolutions.

A field is a sum of bilinear surfaces on square lattices, from kilometres down to single cells, each
with its own prior standard deviation. Coarse lattices share information across a district, fine ones
represent single street corners.
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
    """Return the weights (N, K) of a lattice's knots at the cells' centres; rows sum to one.

    A lattice that is no coarser than the cells has the cells as its knots.
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
    relevant = weight > _NEGLIGIBLE
    used, column = np.unique(knot[relevant], return_inverse=True)
    shape = (len(cells.ix), len(used))
    return csr_array((weight[relevant], (rows[relevant], column)), shape=shape)


class Lattice:
    """Linear map from independent standard normal coefficients to fields on the cells.

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
        """Map coefficients (K, R) to fields (N, R)."""
        fields: Tensor = torch.sparse.mm(self._forward, coefficients)
        return fields

    def to_knots(self, gradient: Tensor) -> Tensor:
        """Map a gradient by fields (N, R) to one by coefficients (K, R)."""
        knots: Tensor = torch.sparse.mm(self._back, gradient)
        return knots


def _sparse(matrix: csr_array, device: str) -> Tensor:
    entries = matrix.tocoo()
    place = torch.as_tensor(np.stack([entries.row, entries.col]).astype(np.int64))
    value = torch.as_tensor(entries.data.astype(np.float32))
    shape = tuple(int(n) for n in matrix.shape)
    made = torch.sparse_coo_tensor(place, value, shape, device=device, check_invariants=True)
    return made.coalesce()
