"""Gaussian kernels integrated over cells, without mass outside the study area.

Points are snapped to *sites* on a fine lattice (a tenth of a cell, 25 m at most), so that any
number of weightings of the same incidents (by age, category or window) share one sparse operator
per bandwidth. Each kernel is renormalised over the study area (Jones 1993, "Simple boundary
correction for kernel density estimation"); the leaked share is reported.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.sparse import csr_array
from scipy.special import ndtr

from models.base import Cells
from models.incidents import Incidents
from models.units import FloatArray, IntArray

SITES_PER_CELL = 10
MAX_SITE_SPACING_M = 25.0
COARSE_BANDWIDTH_CELLS = 1.5
"""From this bandwidth on, positions within a cell no longer matter."""
_TRUNCATE_SD = 4.0
_NEGLIGIBLE = 1e-6
_INCIDENTS_AT_ONCE = 1 << 17
_BATCH_ENTRIES = 1_000_000
_CACHED_ENTRIES = 12_000_000
"""Maximum number of cached operator entries, 12 bytes each; others are computed again."""
_TABLE_PER_INCIDENT = 8
"""Distinct places are found by a table of at most this many entries per incident."""


@dataclass(frozen=True)
class Sites:
    """The distinct places of some incidents.

    Args:
        x_m, y_m: (S,) positions of the places, metres.
        cell: (S,) row of the cell of each place.
        of_incident: (n,) index of the place of each incident.
    """

    x_m: FloatArray
    y_m: FloatArray
    cell: IntArray
    of_incident: IntArray

    def __len__(self) -> int:
        return len(self.x_m)

    def count(self, weight: NDArray[Any] | None = None, rows: Any = slice(None)) -> FloatArray:
        """Sum the weights of the incidents (or of some rows) at each place (S,)."""
        chosen = self.of_incident[rows]
        return np.bincount(chosen, weight, minlength=len(self)).astype(np.float64)

    def cell_of(self, rows: Any) -> IntArray:
        """Return the cells (m,) of the incidents at some rows."""
        found: IntArray = self.cell[self.of_incident[rows]]
        return found


def inside(incidents: Incidents, cells: Cells, cutoff_s: int) -> tuple[Incidents, IntArray]:
    """Return the incidents before the cutoff that lie in a cell, and the rows of their cells (n,)."""
    earlier = incidents.before(cutoff_s)
    rows = cells.locate(earlier.x_m, earlier.y_m)
    keep = rows >= 0
    return (earlier, rows) if keep.all() else (earlier.take(keep), rows[keep])


def snap(incidents: Incidents, cells: Cells, rows: IntArray | None = None) -> Sites:
    """Snap incidents to a lattice; every incident must lie in a cell.

    The lattice divides cells exactly, so snapping never changes the cell.

    Args:
        rows: (n,) row of each incident's cell, if known.
    """
    per_cell = max(SITES_PER_CELL, int(np.ceil(cells.cell_size_m / MAX_SITE_SPACING_M)))
    step_m = cells.cell_size_m / per_cell
    if rows is None:
        rows = cells.locate(incidents.x_m, incidents.y_m)
    key = np.empty(len(rows), np.int64)
    for start in range(0, len(rows), _INCIDENTS_AT_ONCE):
        part = slice(start, start + _INCIDENTS_AT_ONCE)
        row = rows[part]
        # Positions within the known cell are clipped: points on a border must not round out of it.
        left_m = cells.x0_m + cells.ix[row] * cells.cell_size_m
        bottom_m = cells.y0_m + cells.iy[row] * cells.cell_size_m
        column = np.clip((incidents.x_m[part] - left_m) / step_m, 0, per_cell - 1).astype(np.int64)
        line = np.clip((incidents.y_m[part] - bottom_m) / step_m, 0, per_cell - 1).astype(np.int64)
        key[part] = (row * per_cell + line) * per_cell + column
    unique, of_incident = _distinct(key, len(cells.area_km2) * per_cell**2)
    cell = unique // per_cell**2
    line, column = (unique // per_cell) % per_cell, unique % per_cell
    return Sites(
        cells.x0_m + cells.ix[cell] * cells.cell_size_m + (column + 0.5) * step_m,
        cells.y0_m + cells.iy[cell] * cells.cell_size_m + (line + 0.5) * step_m,
        cell,
        of_incident.astype(np.int64, copy=False),
    )


def _distinct(key: IntArray, n_keys: int) -> tuple[IntArray, IntArray]:
    """Like `np.unique` with the inverse, but linear in the number of keys when that is small."""
    if n_keys > _TABLE_PER_INCIDENT * len(key):
        return np.unique(key, return_inverse=True)
    present = np.zeros(n_keys, np.bool_)
    present[key] = True
    place = np.cumsum(present) - 1
    return np.flatnonzero(present), place[key]


class Smoother:
    """Kernel densities of weighted sites on the cells of a study area.

    Args:
        sites: the S places that carry weights.
        cells: the N cells.
    """

    def __init__(self, sites: Sites, cells: Cells) -> None:
        self.sites = sites
        self.cells = cells
        self._operators: dict[float, list[tuple[slice, csr_array]]] = {}
        self._n_cached_entries = 0
        self._inside_of_sites: dict[float, FloatArray] = {}
        self._inside_of_cells: dict[float, FloatArray] = {}

    @cached_property
    def _fill(self) -> FloatArray:
        """Share of each square that lies in the study area (N,)."""
        return self.cells.area_km2 / (self.cells.cell_size_m / 1000.0) ** 2

    def smooth(self, weights: FloatArray, bandwidth_m: float) -> FloatArray:
        """Return the mass per cell (..., N) of Gaussian kernels at the sites.

        Args:
            weights: (..., S) non-negative; the masses of a row have the same sum.
            bandwidth_m: standard deviation of the kernel.
        """
        if bandwidth_m >= COARSE_BANDWIDTH_CELLS * self.cells.cell_size_m:
            return self.smooth_cells(self.to_cells(weights), bandwidth_m)
        flat = np.atleast_2d(weights)
        result = np.zeros((len(self._fill), len(flat)))
        for part, operator in self._operator(bandwidth_m):
            result += operator.T @ flat[:, part].T
        return np.ascontiguousarray(result.T).reshape(*weights.shape[:-1], len(self._fill))

    def to_cells(self, weights: FloatArray) -> FloatArray:
        """Sum the sites' weights (..., S) in each cell (..., N)."""
        flat = np.atleast_2d(weights)
        n_cells = len(self._fill)
        sums = np.stack([np.bincount(self.sites.cell, row, n_cells).astype(float) for row in flat])
        return sums.reshape(*weights.shape[:-1], n_cells)

    def smooth_cells(self, mass: FloatArray, bandwidth_m: float) -> FloatArray:
        """Smooth masses of whole cells (..., N); each source's mass stays in the study area."""
        return self._blur(mass / self._inside_share(bandwidth_m), bandwidth_m) * self._fill

    def leaked_share(self, weights: FloatArray, bandwidth_m: float) -> float:
        """Return the share of the kernels' mass outside the study area before renormalisation."""
        total = float(weights.sum())
        if total <= 0:
            return 0.0
        if bandwidth_m >= COARSE_BANDWIDTH_CELLS * self.cells.cell_size_m:
            inside = self._inside_share(bandwidth_m)[self.sites.cell]
        else:
            if bandwidth_m not in self._inside_of_sites:
                for _ in self._operator(bandwidth_m):
                    """Building the operator fills `_inside_of_sites`."""
            inside = self._inside_of_sites[bandwidth_m]
        return float(np.clip(1.0 - (weights * inside).sum() / total, 0.0, 1.0))

    def _inside_share(self, bandwidth_m: float) -> FloatArray:
        """Return the share (N,) of a kernel centred in each cell that lies in the study area."""
        if bandwidth_m not in self._inside_of_cells:
            inside = self._blur(self._fill, bandwidth_m)
            self._inside_of_cells[bandwidth_m] = np.maximum(inside, 1e-6)
        return self._inside_of_cells[bandwidth_m]

    def _blur(self, mass: FloatArray, bandwidth_m: float) -> FloatArray:
        """Apply a Gaussian filter to the squares (..., N), allowing for the spread within a square."""
        cells = self.cells
        size_m = cells.cell_size_m
        sd_cells = np.sqrt(max(bandwidth_m**2 - size_m**2 / 12.0, size_m**2 / 16.0)) / size_m
        flat = mass.reshape(-1, mass.shape[-1])
        grid = np.zeros((len(flat), cells.ny, cells.nx))
        grid[:, cells.iy, cells.ix] = flat
        sd = (0.0, sd_cells, sd_cells)
        blurred = gaussian_filter(grid, sd, mode="constant", truncate=_TRUNCATE_SD)
        return blurred[:, cells.iy, cells.ix].reshape(mass.shape)

    def _operator(self, bandwidth_m: float) -> Iterator[tuple[slice, csr_array]]:
        """Yield parts of the matrix (S, N) of kernel shares per cell; rows sum to one.

        Parts are cached for the next call while the cache stays small.
        """
        if bandwidth_m in self._operators:
            yield from self._operators[bandwidth_m]
            return
        parts: list[tuple[slice, csr_array]] = []
        n_entries = self._n_cached_entries
        inside_share = np.ones(len(self.sites))
        for part, raw in self._raw_parts(bandwidth_m):
            inside = np.asarray(raw.sum(axis=1)).ravel()
            raw.data *= np.repeat(1.0 / np.maximum(inside, 1e-12), np.diff(raw.indptr))
            inside_share[part] = np.minimum(inside, 1.0)
            n_entries += raw.nnz
            parts = [*parts, (part, raw)] if n_entries <= _CACHED_ENTRIES else []
            yield part, raw
        self._inside_of_sites[bandwidth_m] = inside_share
        if n_entries <= _CACHED_ENTRIES:
            self._operators[bandwidth_m] = parts
            self._n_cached_entries = n_entries

    def _raw_parts(self, bandwidth_m: float) -> Iterator[tuple[slice, csr_array]]:
        """Yield parts of the exact kernel integrals over the squares, times their share inside."""
        cells, sites = self.cells, self.sites
        reach = int(np.ceil(_TRUNCATE_SD * bandwidth_m / cells.cell_size_m))
        row_of = np.full((cells.ny + 2 * reach, cells.nx + 2 * reach), -1, np.int64)
        row_of[cells.iy + reach, cells.ix + reach] = np.arange(len(self._fill))
        offset = np.arange(2 * reach + 1)
        batch = max(1, _BATCH_ENTRIES // len(offset) ** 2)
        for start in range(0, len(sites), batch):
            part = slice(start, min(start + batch, len(sites)))
            x_share = self._axis_shares(sites.x_m[part], cells.x0_m, bandwidth_m, reach)
            y_share = self._axis_shares(sites.y_m[part], cells.y0_m, bandwidth_m, reach)
            iy = cells.iy[sites.cell[part]][:, None, None] + offset[:, None]
            ix = cells.ix[sites.cell[part]][:, None, None] + offset
            target = row_of[iy, ix]
            share = y_share[:, :, None] * x_share[:, None, :]
            keep = (target >= 0) & (share > _NEGLIGIBLE)
            # A site lies inside the study area, so its own cell counts as inside there.
            fill = self._fill[target]
            fill[:, reach, reach] = 1.0
            indptr = np.concatenate([[0], np.cumsum(keep.sum(axis=(1, 2)))])
            values = ((share * fill)[keep], target[keep].astype(np.int32), indptr)
            yield part, csr_array(values, shape=(part.stop - part.start, len(self._fill)))

    def _axis_shares(
        self, place_m: FloatArray, origin_m: float, bandwidth_m: float, reach: int
    ) -> FloatArray:
        """Return the mass (S, 2 reach + 1) of each kernel in the columns (or rows) around its own."""
        size_m = self.cells.cell_size_m
        own = np.floor((place_m - origin_m) / size_m)
        edges_m = origin_m + (own[:, None] + np.arange(-reach, reach + 2)) * size_m
        shares: FloatArray = np.diff(ndtr((edges_m - place_m[:, None]) / bandwidth_m), axis=1)
        return shares
