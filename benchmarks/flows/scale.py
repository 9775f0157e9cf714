"""Cost and peak memory of `maf` from 10 thousand to 10 million incidents, each in a process of its own.

Incidents are drawn over a grid of 10,000 cells and 1,000 days; memory is what the fit adds to the
process's peak before it, the incidents' own columns (20 bytes each) included.
"""

from __future__ import annotations

import multiprocessing
import resource
import time

import numpy as np

from app.geo.grid import Grid
from benchmarks.cities import machine
from models.base import FitContext
from models.incidents import Incidents
from models.units import DAY_S

TORONTO = 240_000
SIZES = (10_000, 100_000, TORONTO, 1_000_000, 10_000_000)
SIDE = 100
CUTOFF_S = 1_700_000_000


def _measure(n: int) -> tuple[float, float]:
    """Seconds of a fit, MB that it and its data added."""
    import torch

    from models.densities.maf import Maf

    torch.set_num_threads(1)
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rng = np.random.default_rng(0)
    cells = Grid(
        "EPSG:32618", 0.0, 0.0, 250.0, SIDE, SIDE, np.arange(SIDE**2), np.full(SIDE**2, 0.0625)
    )
    time_s = np.sort(CUTOFF_S - rng.integers(1, 1_000 * DAY_S, n))
    incidents = Incidents(
        (250.0 * SIDE * rng.beta(2, 3, n)).astype(np.float32),
        (250.0 * SIDE * rng.beta(3, 2, n)).astype(np.float32),
        time_s,
        (time_s // 3600 % 168).astype(np.int16),
        np.zeros(n, np.int16),
    )
    started = time.perf_counter()
    Maf().fit(incidents, cells, FitContext(CUTOFF_S))
    seconds = time.perf_counter() - started
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return seconds, (peak_kb - before_kb) / 1024


def main() -> None:
    """Run all sizes; ends with the `RESULT` line."""
    print(machine())
    found = {}
    for n in SIZES:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            found[n] = pool.apply(_measure, (n,))
        print(f"{n:>10,} incidents: {found[n][0]:6.1f} s, +{found[n][1]:.0f} MB", flush=True)
    print(
        "RESULT flows-scale",
        f"time_ratio={found[SIZES[-1]][0] / found[SIZES[-2]][0]:.2f}",
        f"memory_mb={found[TORONTO][1]:.0f}",
        f"memory_10m_mb={found[SIZES[-1]][1]:.0f}",
    )
