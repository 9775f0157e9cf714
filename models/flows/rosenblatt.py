"""The triangular map that turns a density on cells into the uniform density of the unit square."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.base import Cells
from models.units import FloatArray, IntArray

First = Literal["x", "y"]
"""The coordinate that comes first; the other one is conditional on it."""


def coordinates(cells: Cells, first: First) -> tuple[IntArray, IntArray]:
    """Return positions (N,) of the cells along the first and the second coordinate."""
    return (cells.ix, cells.iy) if first == "x" else (cells.iy, cells.ix)


class RosenblattMap:
    """The Knothe-Rosenblatt map of a density that is constant on cells (Rosenblatt 1952).

    The first rank is the marginal distribution function of the first coordinate, the second rank the
    conditional distribution function of the other one: an autoregressive flow whose maps are monotone
    splines of degree one with knots at the edges of cells. Cells tile the unit square.

    Args:
        cells: the N cells.
        probability: (N,) non-negative, not all zero.
        first: the coordinate that comes first.
    """

    def __init__(self, cells: Cells, probability: FloatArray, first: First = "x") -> None:
        one, other = coordinates(cells, first)
        held = np.flatnonzero(probability > 0)
        self.row = held[np.lexsort((other[held], one[held]))]
        p = probability[self.row] / probability.sum()
        _, start, line = np.unique(one[self.row], return_index=True, return_inverse=True)
        mass = np.add.reduceat(p, start)
        self.line, self.start = line, start
        self.first_edge = np.concatenate([[0.0], np.cumsum(mass)])
        self.first_edge /= self.first_edge[-1]
        self.share = p / mass[line]
        inner = np.cumsum(self.share)
        self.low = inner - self.share - (inner[start] - self.share[start])[line]
        self._place = np.full(len(probability), -1)
        self._place[self.row] = np.arange(len(p))
        self._x_first = first == "x"

    def forward(self, rows: IntArray, within: FloatArray) -> FloatArray:
        """Map places in cells to ranks (n, 2), uniform under the density.

        Args:
            rows: (n,) cells, all of positive probability.
            within: (n, 2) positions in the cells, in [0, 1), x before y.
        """
        place = self._place[rows]
        one, other = (0, 1) if self._x_first else (1, 0)
        line = self.line[place]
        low, high = self.first_edge[line], self.first_edge[line + 1]
        first = low + (high - low) * within[:, one]
        return np.column_stack([first, self.low[place] + self.share[place] * within[:, other]])

    def inverse(self, rank: FloatArray) -> tuple[IntArray, FloatArray]:
        """Map ranks (n, 2) in [0, 1) to cells (n,) and positions within them (n, 2), x before y."""
        last = len(self.first_edge) - 2
        line = np.searchsorted(self.first_edge, rank[:, 0], side="right").clip(1, last + 1) - 1
        low, high = self.first_edge[line], self.first_edge[line + 1]
        along = _inside((rank[:, 0] - low) / (high - low))
        # Lines follow each other: with its number added, a rank finds its cell in one search.
        key = self.line + self.low
        place = np.searchsorted(key, line + rank[:, 1], side="right") - 1
        ends = np.append(self.start[1:], len(self.row)) - 1
        place = place.clip(self.start[line], ends[line])
        across = _inside((rank[:, 1] - self.low[place]) / self.share[place])
        within = (along, across) if self._x_first else (across, along)
        return self.row[place], np.column_stack(within)


def _inside(share: NDArray[np.float64]) -> FloatArray:
    """Return shares of a cell, rounded into [0, 1)."""
    return np.asarray(np.clip(share, 0.0, np.nextafter(1.0, 0.0)), np.float64)
