"""Coordinates in which the backbone is a standard normal: the identity flow is the backbone.

The Knothe-Rosenblatt map of a density that is constant on cells: one coordinate's marginal
distribution function, then the other's given the first (both piecewise linear on cells), then the
normal quantile. Which coordinate goes first makes two different maps.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from models.base import Cells, FloatArray

_TINY = 1e-7


class CellRanks:
    """Where each cell lies in the unit square of backbone ranks, for both orders.

    A cell fills [low, high] of each coordinate; cells of the study area tile the square.

    Args:
        cells: the N cells.
        probability: (N,) of the backbone, positive.
    """

    def __init__(self, cells: Cells, probability: FloatArray, device: str = "cpu") -> None:
        low, high = [], []
        for first, second in ((cells.ix, cells.iy), (cells.iy, cells.ix)):
            order = np.lexsort((second, first))
            p = probability[order]
            _, start, line = np.unique(first[order], return_index=True, return_inverse=True)
            mass = np.add.reduceat(p, start)
            edge = np.concatenate([[0.0], np.cumsum(mass)]) / mass.sum()
            inner = np.cumsum(p)
            before = (inner - p) - (inner[start] - p[start])[line]
            corner = np.empty((2, len(p), 2))
            corner[0, order] = np.stack([edge[line], before / mass[line]], axis=1)
            corner[1, order] = np.stack([edge[line + 1], (before + p) / mass[line]], axis=1)
            low.append(corner[0])
            high.append(corner[1])
        self.low = torch.as_tensor(np.stack(low), dtype=torch.float32, device=device)
        self.high = torch.as_tensor(np.stack(high), dtype=torch.float32, device=device)

    def normal(self, order: Tensor, cell: Tensor, within: Tensor) -> Tensor:
        """Normal coordinates (m, B, 2) of places in cells.

        Args:
            order: (m,) 0: x first; 1: y first.
            cell: (m, B) rows of cells.
            within: (m, B, 2) place in the cell, in (0, 1), in the order's own succession.
        """
        low, high = self.low[order[:, None], cell], self.high[order[:, None], cell]
        rank = low + (high - low) * within
        normal: Tensor = torch.special.ndtri(rank.clamp(_TINY, 1 - _TINY))
        return normal
