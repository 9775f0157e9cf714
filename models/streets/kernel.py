"""The equal-split kernel on a network, as the heat kernel (McSwiggan, Baddeley and Nair 2017).

Their theorem: the sum over all paths of a Gaussian that is split equally at each junction, and reflected at
dead ends, is the solution of the heat equation on the network. It is solved here by finite volumes, one for
each lixel, and implicit Euler steps: mass is conserved, and nothing becomes negative. The number of incidents
costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.sparse import coo_array, csc_array, csr_array, diags_array
from scipy.sparse.linalg import SuperLU, splu

from models.streets.network import Lixels, Network
from models.units import FloatArray, IntArray

STEPS = 6
"""Implicit steps from one bandwidth to the next."""


class NetworkKernel:
    """The kernel of one network; its factors serve any number of masses."""

    def __init__(self, network: Network, lixels: Lixels) -> None:
        # Here, because API processes import this package and never smooth.
        from scipy.sparse.csgraph import connected_components

        self.length_m = lixels.length_m
        self._flow = flows(network, lixels)
        self._volume = diags_array(lixels.length_m, format="csr")
        _, self._component = connected_components(self._flow, directed=False)
        self._factors: dict[tuple[float, float], SuperLU] = {}

    def smoothed(self, mass: FloatArray, bandwidths_m: Sequence[float]) -> Iterator[FloatArray]:
        """Yield the mass (P,) of each lixel after smoothing by each bandwidth.

        Args:
            mass: (P,) incidents on each lixel.
            bandwidths_m: standard deviations of the kernel along the network, ascending.
        """
        total = np.bincount(self._component, mass)
        now_m = 0.0
        density = mass / self.length_m
        for bandwidth_m in bandwidths_m:
            step = self._factor(now_m, bandwidth_m)
            for _ in range(STEPS):
                density = step.solve(self.length_m * density)
            found = np.maximum(density, 0.0) * self.length_m
            # Against rounding: each connected part has exactly its own mass again.
            there = np.bincount(self._component, found)
            scale = np.divide(total, there, out=np.zeros(len(there)), where=there > 0)
            found *= scale[self._component]
            density = found / self.length_m
            now_m = bandwidth_m
            yield found

    def _factor(self, from_m: float, to_m: float) -> SuperLU:
        """Return the factors of one step between two bandwidths."""
        known = self._factors.get((from_m, to_m))
        if known is None:
            span_m2 = (to_m**2 - from_m**2) / 2
            # Streets are nearly planar: a factor has some 25 numbers a lixel, and serves all steps.
            known = self._factors[from_m, to_m] = splu(
                csc_array(self._volume + self._flow * (span_m2 / STEPS)),
                permc_spec="MMD_AT_PLUS_A",
                diag_pivot_thresh=0.0,
                options={"SymmetricMode": True},
            )
        return known


def flows(network: Network, lixels: Lixels) -> csr_array:
    """Return the matrix (P, P) of flows between lixels that touch; rows and columns sum to zero.

    Between neighbours of one segment mass flows by the distance of their middles. A junction has no
    volume: what flows in flows out, which joins each pair of its lixels (star and mesh).
    """
    n = len(lixels)
    inner = np.flatnonzero(lixels.segment[1:] == lixels.segment[:-1])
    pairs = [(inner, inner + 1, 2.0 / (lixels.length_m[inner] + lixels.length_m[inner + 1]))]
    pairs += _at_junctions(network, lixels)
    one = np.concatenate([pair[0] for pair in pairs])
    other = np.concatenate([pair[1] for pair in pairs])
    rate = np.concatenate([pair[2] for pair in pairs])
    between = one != other
    one, other, rate = one[between], other[between], rate[between]
    rows = np.concatenate([one, other, one, other])
    columns = np.concatenate([other, one, one, other])
    values = np.concatenate([-rate, -rate, rate, rate])
    return csr_array(coo_array((values, (rows, columns)), shape=(n, n)))


def _at_junctions(
    network: Network, lixels: Lixels
) -> Iterator[tuple[IntArray, IntArray, FloatArray]]:
    """Yield pairs of lixels that meet at junctions, with their rates, by the junctions' degree."""
    end = np.concatenate([lixels.first[:-1], lixels.first[1:] - 1])
    node = np.concatenate([network.node[:, 0], network.node[:, 1]])
    order = np.argsort(node, kind="stable")
    end, node = end[order], node[order]
    _, start, degree = np.unique(node, return_index=True, return_counts=True)
    rate = 2.0 / lixels.length_m[end]
    for size in np.unique(degree[degree > 1]).tolist():
        members = start[degree == size][:, None] + np.arange(size)
        sum_of = rate[members].sum(axis=1)
        for a in range(size):
            for b in range(a + 1, size):
                one, other = members[:, a], members[:, b]
                yield end[one], end[other], rate[one] * rate[other] / sum_of
