"""`maf-window` and `maf` of all 168 windows on CUDA against the same on the CPU; says when there is none."""

from __future__ import annotations

import time

import torch

from benchmarks.cities import load_city, machine
from benchmarks.flow_rivals import mean_score
from benchmarks.flows_speed import TEST_DAYS
from models.base import DAY_S, N_WINDOWS, FitContext
from models.maf import Maf, MafWindow


def main() -> None:
    """Run Toronto on both devices; ends with the `RESULT` line."""
    torch.set_num_threads(1)
    print(machine())
    if not torch.cuda.is_available():
        print("no CUDA device: nothing was measured")
        print("RESULT flows-cuda available=0")
        return
    city = load_city("toronto")
    origin_s = int(city.incidents.time_s[-1]) + 1 - TEST_DAYS * DAY_S
    past, test = city.incidents.before(origin_s), city.incidents.since(origin_s)
    ratios, worst = {}, 0.0
    for kind in (MafWindow, Maf):
        seconds, scores = {}, {}
        for device in ("cpu", "cuda", "cuda"):  # the first on CUDA loads its kernels
            started = time.perf_counter()
            model = kind().fit(past, city.grid, FitContext(origin_s, device=device))
            torch.cuda.synchronize()
            seconds[device] = time.perf_counter() - started
            tables = {w: model.cell_probability(w) for w in range(N_WINDOWS)}
            scores[device] = mean_score(tables, test, city.grid)[0]
        ratios[kind.name] = seconds["cpu"] / seconds["cuda"]
        worst = max(worst, abs(scores["cpu"] - scores["cuda"]))
        print(f"{kind.name}: {seconds}, scores {scores}, ratio {ratios[kind.name]:.1f}")
    print(
        f"RESULT flows-cuda available=1 ratio={min(ratios.values()):.2f} score_difference={worst:.5f}"
    )
