"""`maf` against its own backbone and against `cox` on four cities, and the coverage of its bands.

4 origins x 28 days, 250 m cells, all windows; beside it the flow with the hour first. Bands: share of
counts (cells x parts of the week) within their 90 % bands, where at least half an incident is expected.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.cities import FILES, City, load_city, machine
from models.bands import by_part_of_week
from models.base import HORIZON_DAYS, DensityModel, FitContext
from models.densities.cox import Cox
from models.densities.drift import CountTables
from models.densities.kde import MultiKde
from models.densities.maf import Maf
from models.evaluation.significance import Difference, paired_difference
from models.incidents import Incidents
from models.units import DAY_S, FloatArray

N_ORIGINS = 4
LEAST_EXPECTED = 0.5
MODELS: dict[str, Callable[[], DensityModel]] = {
    "multi-kde": MultiKde,
    "cox": Cox,
    "maf": Maf,
    "maf, hour first": lambda: Maf("hour first"),
}


class Scores:
    """Log scores of one city's held-out incidents under each model, and the bands of `maf`."""

    def __init__(self, city: City) -> None:
        self.city = city
        self.log_p: dict[str, list[FloatArray]] = {name: [] for name in MODELS}
        self.seconds: dict[str, list[float]] = {name: [] for name in MODELS}
        self.time_s: list[Any] = []
        self.held = self.n_bands = 0.0
        for origin_s in city.origins(N_ORIGINS):
            test = city.incidents.since(origin_s).before(origin_s + HORIZON_DAYS * DAY_S)
            rows = city.grid.locate(test.x_m, test.y_m)
            self._score(test.take(rows >= 0), rows[rows >= 0], origin_s)

    def _score(self, test: Incidents, rows: Any, origin_s: int) -> None:
        self.time_s.append(test.time_s)
        for name, create in MODELS.items():
            started = time.perf_counter()
            model = create().fit(self.city.incidents, self.city.grid, FitContext(origin_s))
            self.seconds[name].append(time.perf_counter() - started)
            self.log_p[name].append(model.log_density(rows, test.window))
            if name == "maf":
                counts = CountTables(test, self.city.grid, origin_s).by_window(np.inf)
                parts = by_part_of_week(counts, model.probability_, model.band_)
                share, n = parts.coverage(LEAST_EXPECTED)
                self.held, self.n_bands = self.held + share * n, self.n_bands + n

    def minus(self, one: str, other: str) -> Difference:
        """Compare two models, incident by incident."""
        a, b = (np.concatenate(self.log_p[name]) for name in (one, other))
        return paired_difference(a, b, np.concatenate(self.time_s), 0)


def main() -> None:
    """Run all cities; ends with the `RESULT` line."""
    torch.set_num_threads(1)
    print(machine())
    gains, over_cox, held, n_bands = [], [], 0.0, 0.0
    for name in FILES:
        scores = Scores(load_city(name))
        gain, cox = scores.minus("maf", "multi-kde"), scores.minus("maf", "cox")
        first = scores.minus("maf, hour first", "cox")
        n = sum(len(part) for part in scores.time_s)
        print(
            f"{name}: {n:,} held out; maf minus multi-kde {gain.mean:+.4f} "
            f"[{gain.lo:+.4f}, {gain.hi:+.4f}], minus cox {cox.mean:+.4f} "
            f"[{cox.lo:+.4f}, {cox.hi:+.4f}]; hour first minus cox {first.mean:+.4f} "
            f"[{first.lo:+.4f}, {first.hi:+.4f}]; bands hold "
            f"{scores.held / max(scores.n_bands, 1):.3f} of {scores.n_bands:.0f}; seconds a fit: "
            + ", ".join(f"{m} {np.median(s):.1f}" for m, s in scores.seconds.items()),
            flush=True,
        )
        gains.append(gain)
        over_cox.append(cox)
        held, n_bands = held + scores.held, n_bands + scores.n_bands
    print(
        f"RESULT flows-quality gain={np.mean([g.mean for g in gains]):.4f} "
        f"worst={min(g.lo for g in gains):.4f} "
        f"maf_minus_cox={np.mean([c.mean for c in over_cox]):.4f} "
        f"worst_minus_cox={min(c.mean for c in over_cox):.4f} bands={held / n_bands:.3f}"
    )
