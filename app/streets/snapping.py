"""Snap incidents to the nearest street."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from app.core.caching.once import once
from app.geo.grid import Grid
from models.streets.network import Bits, Network, bits_of, lixels_of
from models.streets.shares import Ground, Snapped

SNAP_M = 60.0
"""Incidents farther from every street count for none."""
_AT_ONCE = 4_096


class StreetGround:
    """A network over the cells of a grid; finds the nearest street of places."""

    def __init__(self, network: Network, grid: Grid) -> None:
        self.network = network
        self.grid = grid
        self.lixels = lixels_of(network)

    @once
    def bits(self) -> Bits:
        """Straight parts of lixels, each in one cell."""
        return bits_of(self.network, self.lixels, self.grid)

    @once
    def ground(self) -> Ground:
        """The streets over the cells."""
        return Ground.of(self.network, self.lixels, self.bits, len(self.grid))

    @once
    def _tree(self) -> shapely.STRtree:
        lines: Any = shapely.linestrings(self.bits.ends_m.reshape(-1, 2, 2))
        return shapely.STRtree(lines)

    def lixel_of(self, x_m: NDArray[np.float64], y_m: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the nearest lixel (n,) of each place, -1 where none is within `SNAP_M`.

        Equal places, such as corners that a police force gives for addresses, are looked up once.
        """
        places, row = np.unique(np.column_stack([x_m, y_m]), axis=0, return_inverse=True)
        bit = np.full(len(places), -1, np.int64)
        for start in range(0, len(places), _AT_ONCE):
            points = shapely.points(places[start : start + _AT_ONCE])
            asked, found = self._tree.query_nearest(points, max_distance=SNAP_M, all_matches=False)
            bit[start + asked] = found
        lixel = np.where(bit < 0, -1, self.bits.lixel[np.maximum(bit, 0)])
        result: NDArray[np.int64] = lixel[row.ravel()]
        return result

    def snapped(
        self, x_m: NDArray[np.float64], y_m: NDArray[np.float64], time_s: NDArray[np.int64]
    ) -> Snapped:
        """Return the incidents that lie in a cell and near a street."""
        lixel = self.lixel_of(x_m, y_m)
        cell = self.grid.locate(x_m, y_m)
        on = (lixel >= 0) & (cell >= 0)
        return Snapped(lixel[on], cell[on], time_s[on])
