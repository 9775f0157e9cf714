"""`maf` against its own backbone on four cities; beside it flows whose slopes a network gives.

4 origins x 28 days, 250 m cells, all windows. The networks (affine, mixture, spline conditionals) learn
on the same backbone, on the last origin only: they take a minute each.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

from benchmarks.cities import FILES, City, load_city, machine
from models.base import DAY_S, HORIZON_DAYS, FitContext, FloatArray
from models.densities.maf import Maf
from models.evaluation.significance import paired_difference
from models.flows.flow import FlowSettings

N_ORIGINS = 4
NETWORKS: dict[str, dict[str, Any]] = {
    kind: {"flow": FlowSettings(conditional=kind, n_blocks=2, hidden=(64, 64))}
    for kind in ("affine", "mixture", "spline")
}


def gains(city: City, origin_s: int, model: Maf) -> tuple[FloatArray, FloatArray, float]:
    """Gain of each held-out incident (n,) over the backbone, their times (n,), seconds."""
    started = time.perf_counter()
    model.fit(city.incidents, city.grid, FitContext(origin_s))
    seconds = time.perf_counter() - started
    test = city.incidents.since(origin_s).before(origin_s + HORIZON_DAYS * DAY_S)
    rows = city.grid.locate(test.x_m, test.y_m)
    test, rows = test.take(rows >= 0), rows[rows >= 0]
    backbone = np.log(model.backbone_.probability_[0][rows])
    own = np.log(model.probability_[test.window.astype(np.int64), rows])
    return own - backbone, test.time_s.astype(np.float64), seconds


def main() -> None:
    """Run all cities; ends with the `RESULT` line."""
    torch.set_num_threads(1)
    print(machine())
    mean, lowest = [], []
    for name in FILES:
        city = load_city(name)
        origins = city.origins(N_ORIGINS)
        parts = [gains(city, origin_s, Maf()) for origin_s in origins]
        gain = np.concatenate([p[0] for p in parts])
        time_s = np.concatenate([p[1] for p in parts]).astype(np.int64)
        difference = paired_difference(gain, np.zeros(len(gain)), time_s, 0)
        print(
            f"{name}: {len(gain):,} held out; maf minus multi-kde {difference.mean:+.4f} "
            f"[{difference.lo:+.4f}, {difference.hi:+.4f}], by origin "
            f"{', '.join(f'{p[0].mean():+.4f}' for p in parts)}; {parts[-1][2]:.1f} s a fit",
            flush=True,
        )
        mean.append(difference.mean)
        lowest.append(difference.lo)
        for kind, network in NETWORKS.items():
            own, _, seconds = gains(city, origins[-1], Maf(network))
            print(
                f"  network, {kind}: {own.mean():+.4f} (last origin); {seconds:.1f} s", flush=True
            )
    print(f"RESULT flows-quality gain={np.mean(mean):.4f} worst={min(lowest):.4f}")
