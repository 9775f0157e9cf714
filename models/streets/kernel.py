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
from scipy.sparse.linalg import splu

from models.streets.network import Lixels, Network
from models.units import FloatArray, IntArray

STEPS = 6
"""Implicit steps from one bandwidth to the next."""


def diffused(
    network: Network, lixels: Lixels, mass: FloatArray, bandwidths_m: Sequence[float]
) -> Iterator[FloatArray]:
    """Yield the mass (P,) of each lixel after smoothing by each bandwidth, in ascending order.

    Args:
        network: the segments.
        lixels: their parts.
        mass: (P,) incidents on each lixel.
        bandwidths_m: standard deviations of the kernel along the network.
    """
    # Here, because API processes import this package and never smooth.
    from scipy.sparse.csgraph import connected_components

    flow = flows(network, lixels)
    volume = diags_array(lixels.length_m, format="csr")
    _, component = connected_components(flow, directed=False)
    total = np.bincount(component, mass)
    now_m2 = 0.0
    density = mass / lixels.length_m
    for bandwidth_m in bandwidths_m:
        until_m2 = bandwidth_m**2 / 2
        # Streets are nearly planar: a factor has some 25 numbers a lixel, and serves all steps.
        step = splu(
            csc_array(volume + flow * ((until_m2 - now_m2) / STEPS)),
            permc_spec="MMD_AT_PLUS_A",
            diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        )
        for _ in range(STEPS):
            density = step.solve(lixels.length_m * density)
        found = np.maximum(density, 0.0) * lixels.length_m
        # Against rounding: each connected part has exactly its own mass again.
        there = np.bincount(component, found)
        found *= np.divide(total, there, out=np.zeros(len(there)), where=there > 0)[component]
        density = found / lixels.length_m
        now_m2 = until_m2
        yield found


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
