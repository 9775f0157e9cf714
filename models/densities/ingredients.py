"""What the ingredients of a fit each contribute to its density of all hours of the week."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.units import FloatArray

DRIFT, RECENT, NEAR_REPEATS = "drift", "recent", "near_repeats"
TENSOR = "ingredients."
"""Followed by the names, joined by commas: the name under which the densities are stored."""


@dataclass(frozen=True)
class Ingredients:
    """Densities of a fit with and without each of its ingredients.

    Args:
        names: of the K ingredients.
        tables: (2^K, N) probabilities of an incident at any hour; row i has those ingredients whose
            bits i has, so that the first row has none and the last all.
    """

    names: tuple[str, ...]
    tables: NDArray[np.floating[Any]]

    @classmethod
    def made(
        cls, names: Sequence[str], build: Callable[[frozenset[str]], FloatArray]
    ) -> Ingredients:
        """Build the density (N,) of each subset of the names."""
        subsets = (
            frozenset(name for bit, name in enumerate(names) if row >> bit & 1)
            for row in range(2 ** len(names))
        )
        return cls(tuple(names), np.stack([build(has) for has in subsets]))

    @classmethod
    def stored(cls, tensors: dict[str, NDArray[Any]]) -> Ingredients | None:
        """Read them from the tensors of an artifact; None where it has none."""
        for name, tables in tensors.items():
            if name.startswith(TENSOR):
                names = name.removeprefix(TENSOR)
                return cls(tuple(names.split(",")) if names else (), tables.astype(np.float64))
        return None

    def tensors(self) -> dict[str, NDArray[np.float32]]:
        """Return them as tensors of an artifact."""
        return {TENSOR + ",".join(self.names): self.tables.astype(np.float32)}

    def changed(self, change: Callable[[FloatArray], FloatArray]) -> Ingredients:
        """Return them with all tables changed in the same way."""
        return replace(self, tables=change(np.asarray(self.tables, np.float64)))

    def effects(self, shares: FloatArray) -> dict[str, float]:
        """Return by how much each ingredient raises the log probability of a place.

        Args:
            shares: (2^K,) probability of the place in each table.
        """
        return dict(zip(self.names, shapley(np.log(shares)).tolist(), strict=True))


def shapley(values: FloatArray) -> FloatArray:
    """Return the contributions (K,) of K players, means over all orders in which they may be added.

    They sum to the difference between all players and none (Shapley 1953).

    Args:
        values: (2^K,) of each subset; bit k of the position says whether player k is in it.

    >>> shapley(np.array([0.0, 1.0, 2.0, 5.0])).tolist()
    [2.0, 3.0]
    """
    n_players = len(values).bit_length() - 1
    result = np.zeros(n_players)
    for player in range(n_players):
        for subset in range(len(values)):
            if not subset >> player & 1:
                weight = 1.0 / (n_players * comb(n_players - 1, subset.bit_count()))
                result[player] += weight * (values[subset | 1 << player] - values[subset])
    return result
