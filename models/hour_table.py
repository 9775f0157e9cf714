"""Tables of 168 windows by cells as factors: with a quarter of a million cells, one table takes 336 MB."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.units import N_WINDOWS, FloatArray

CELLS_AT_ONCE = 2048


@dataclass(frozen=True)
class HourTable:
    """Positive values (168, N): exponentials of features times weights, plus a row's and a column's own.

    Args:
        features: (168, R).
        weights: (R, N).
        log_column: (N,).
        log_row: (168,).
    """

    features: FloatArray
    weights: FloatArray
    log_column: FloatArray
    log_row: FloatArray

    @classmethod
    def normalised(
        cls, features: FloatArray, weights: FloatArray, log_column: FloatArray
    ) -> HourTable:
        """Create the table whose rows sum to one."""
        raw = cls(features, weights, log_column, np.zeros(N_WINDOWS))
        sums = np.zeros(N_WINDOWS)
        for part in blocks(len(log_column)):
            sums += raw.block(part).sum(axis=1)
        return cls(features, weights, log_column, -np.log(sums))

    def __len__(self) -> int:
        return len(self.log_row)

    def block(self, part: slice) -> FloatArray:
        """Return the columns (168, B) of some cells."""
        found = self.features @ self.weights[:, part]
        found += self.log_column[part]
        found += self.log_row[:, None]
        return np.exp(found, out=found)

    def over(self, base: FloatArray) -> HourTable:
        """Return the table with each column divided by its cell's value (N,)."""
        return replace(self, log_column=self.log_column - np.log(base))

    def whole(self) -> FloatArray:
        """Return all columns (168, N)."""
        table = np.empty((len(self), len(self.log_column)))
        for part in blocks(len(self.log_column)):
            table[:, part] = self.block(part)
        return table

    def mean(self, rates: FloatArray) -> FloatArray:
        """Return the mean (N,) of the rows, weighted by rates (168,), scaled to sum to one."""
        mean = np.concatenate([rates @ self.block(part) for part in blocks(len(self.log_column))])
        return np.asarray(mean / mean.sum(), np.float64)


def blocks(n_cells: int) -> Iterator[slice]:
    """Yield slices of the cells whose tables fit the caches of a core."""
    return (slice(low, low + CELLS_AT_ONCE) for low in range(0, n_cells, CELLS_AT_ONCE))


def block_of(table: NDArray[Any] | HourTable, part: slice) -> NDArray[Any]:
    """Return the columns (W, B) of some cells."""
    return table.block(part) if isinstance(table, HourTable) else table[:, part]


def times(table: NDArray[Any], values: FloatArray) -> FloatArray:
    """Return a table (W, N) times values (N,) or (N, K) in 64 bits, without a copy of a table of 32."""
    return np.stack([row @ values for row in table])
