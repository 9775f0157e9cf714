"""What part of each cell's incidents each street segment has.

An incident is snapped to the nearest lixel. The kernel gives each lixel its smoothed incidents; those that
were snapped to it say in which cells they lay, which need not be the lixel's own: a centre line may run
beside the side of a cell. By Bayes' rule the share of a lixel in a cell is its smoothed incidents times
their share in the cell, divided by the sum over the cell's lixels. A cell's shares sum to one, so that mass
is conserved; a cell without streets has none, and its mass stays off the streets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array, csr_array

from models.streets.kernel import NetworkKernel
from models.streets.network import Bits, Lixels, Network
from models.units import DAY_S, FloatArray, IntArray

BANDWIDTHS_M = (25.0, 50.0, 100.0, 200.0, 400.0)
"""Tried in this order until the next one is worse."""
USUAL_BANDWIDTH_M = 100.0
HELD_OUT_DAYS = 56
MIN_HELD_OUT = 50
"""With fewer, the bandwidth is not chosen but the usual one."""
EVEN_SHARE = 0.02
"""Of all incidents, spread evenly over the streets: no street is impossible."""
OWN_INCIDENTS = 1.0
"""Weight of a lixel's own cells, in incidents, beside those that were snapped to it."""
_LEAST = 1e-9


@dataclass(frozen=True)
class Ground:
    """Streets over the cells of a grid.

    Args:
        network, lixels: the streets.
        n_cells: number of cells N.
        lixel, cell, length_m: (B,) the parts of lixels that lie in cells.
        kernel: of the network.
    """

    network: Network
    lixels: Lixels
    n_cells: int
    lixel: IntArray
    cell: IntArray
    length_m: FloatArray
    kernel: NetworkKernel

    @classmethod
    def of(cls, network: Network, lixels: Lixels, bits: Bits, n_cells: int) -> Ground:
        """Sum up what lies of each lixel in each cell."""
        inside = bits.cell >= 0
        lixel, cell, length_m = _summed(
            bits.lixel[inside], bits.cell[inside], bits.length_m[inside], n_cells
        )
        kernel = NetworkKernel(network, lixels)
        return cls(network, lixels, n_cells, lixel, cell, length_m, kernel)

    def metres(self) -> tuple[IntArray, IntArray, FloatArray]:
        """Return segment, cell and length in metres of each segment's part in each cell."""
        return _summed(self.lixels.segment[self.lixel], self.cell, self.length_m, self.n_cells)


@dataclass(frozen=True)
class Snapped:
    """Incidents on streets: (n,) lixel, cell that the incident itself lies in, and UTC seconds."""

    lixel: IntArray
    cell: IntArray
    time_s: IntArray

    def __len__(self) -> int:
        return len(self.lixel)

    def between(self, start_s: float, end_s: float) -> Snapped:
        """Return the incidents at or after the start and before the end."""
        mine = (self.time_s >= start_s) & (self.time_s < end_s)
        return Snapped(self.lixel[mine], self.cell[mine], self.time_s[mine])


def street_shares(ground: Ground, past: Snapped, bandwidth_m: float, minimum: int = 0) -> csr_array:
    """Return the share (S, N) that each segment has of each cell's incidents; columns sum to one or zero.

    Args:
        ground: the streets over the cells.
        past: incidents to learn from.
        bandwidth_m: of the kernel.
        minimum: in each cell, segments of fewer incidents share theirs by length; below 2, none do.
    """
    mass = _mass(ground.lixels, past)
    smooth = next(ground.kernel.smoothed(mass, [bandwidth_m]))
    lixel, cell, weight = _weights(ground, past, smooth)
    segment, cell, weight = _summed(ground.lixels.segment[lixel], cell, weight, ground.n_cells)
    if minimum >= 2:
        weight = _pooled(ground, segment, cell, weight, minimum)
    return _of_cells(ground, segment, cell, weight)


def length_shares(ground: Ground) -> csr_array:
    """Return the share (S, N) that each segment has of each cell's street length."""
    return _of_cells(ground, *ground.metres())


def _of_cells(ground: Ground, segment: IntArray, cell: IntArray, weight: FloatArray) -> csr_array:
    """Return weights of pairs as shares (S, N) of the sums of their cells."""
    total = np.bincount(cell, weight, ground.n_cells)
    shape = len(ground.network), ground.n_cells
    return csr_array(coo_array((weight / total[cell], (segment, cell)), shape=shape))


def choose_bandwidth(
    ground: Ground,
    past: Snapped,
    cutoff_s: float,
    bandwidths_m: Sequence[float] = BANDWIDTHS_M,
) -> float:
    """Return the bandwidth under which the last weeks before the cutoff were likeliest, given their cells.

    The kernel is fitted on what came before these weeks.
    """
    split_s = cutoff_s - HELD_OUT_DAYS * DAY_S
    known, test = past.between(-np.inf, split_s), past.between(split_s, cutoff_s)
    if len(test) < MIN_HELD_OUT or len(known) < MIN_HELD_OUT:
        return USUAL_BANDWIDTH_M
    mass = _mass(ground.lixels, known)
    asked = test.lixel * ground.n_cells + test.cell
    best = -np.inf, USUAL_BANDWIDTH_M
    smoothed = ground.kernel.smoothed(mass, bandwidths_m)
    for bandwidth_m, smooth in zip(bandwidths_m, smoothed, strict=False):
        lixel, cell, weight = _weights(ground, known, smooth)
        total = np.bincount(cell, weight, ground.n_cells)
        keys = lixel * ground.n_cells + cell
        at = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
        share = np.where(keys[at] == asked, (weight / total[cell])[at], 0.0)
        per_m = np.maximum(share, _LEAST) / ground.lixels.length_m[test.lixel]
        score = float(np.log(per_m).sum())
        if score <= best[0]:
            break
        best = score, bandwidth_m
    return best[1]


def _mass(lixels: Lixels, past: Snapped) -> FloatArray:
    """Return incidents (P,) of each lixel, a small part of them spread evenly."""
    mass = np.bincount(past.lixel, minlength=len(lixels)).astype(np.float64)
    even = lixels.length_m / lixels.length_m.sum()
    found: FloatArray = (1 - EVEN_SHARE) * mass + (EVEN_SHARE * len(past) + 1.0) * even
    return found


def _weights(
    ground: Ground, past: Snapped, smooth: FloatArray
) -> tuple[IntArray, IntArray, FloatArray]:
    """Return lixel, cell and weight of each pair, ordered by lixel and cell.

    The weight is the smoothed incidents of the lixel that lie in the cell.
    """
    own = ground.length_m / ground.lixels.length_m[ground.lixel]
    lixel, cell, there = _summed(
        np.concatenate([ground.lixel, past.lixel]),
        np.concatenate([ground.cell, past.cell]),
        np.concatenate([OWN_INCIDENTS * own, np.ones(len(past))]),
        ground.n_cells,
    )
    total = np.bincount(lixel, there, len(ground.lixels))
    return lixel, cell, smooth[lixel] * there / total[lixel]


def _pooled(
    ground: Ground, segment: IntArray, cell: IntArray, weight: FloatArray, minimum: int
) -> FloatArray:
    """Share the weight of a cell's segments of few incidents among them by their length in the cell.

    The smallest of the others joins them while they have fewer together than the minimum: one alone would
    be known by the rest.
    """
    on, at, metres = ground.metres()
    length_m = np.full(len(weight), _LEAST)
    keys, mine = segment * ground.n_cells + cell, on * ground.n_cells + at
    length_m[np.searchsorted(keys, mine)] = metres
    order = np.lexsort((weight, cell))
    sums = np.cumsum(weight[order])
    is_new = np.append(True, cell[order][1:] != cell[order][:-1])
    begin = (sums - weight[order])[is_new][np.cumsum(is_new) - 1]
    smallest = weight[order][is_new][np.cumsum(is_new) - 1]
    few = weight < minimum
    few[order] |= (sums - begin - weight[order] < minimum) & (smallest < minimum)
    mass = np.bincount(cell[few], weight[few], ground.n_cells)
    metres_of = np.bincount(cell[few], length_m[few], ground.n_cells)
    result = weight.copy()
    result[few] = mass[cell[few]] * length_m[few] / metres_of[cell[few]]
    return result


def _summed(
    row: IntArray, column: IntArray, value: FloatArray, n_columns: int
) -> tuple[IntArray, IntArray, FloatArray]:
    """Return distinct pairs in order, with the sums of their values."""
    keys, place = np.unique(row * n_columns + column, return_inverse=True)
    sums: FloatArray = np.bincount(place, value, len(keys)).astype(np.float64)
    return keys // n_columns, keys % n_columns, sums
