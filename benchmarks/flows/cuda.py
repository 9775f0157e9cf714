"""`maf-window` and `maf` of all 168 windows on CUDA against the same on the CPU; says when there is none."""

from __future__ import annotations

import time
from dataclasses import replace

import torch

from benchmarks.cities import load_city, machine
from benchmarks.flows.rivals import mean_score
from benchmarks.flows.speed import TEST_DAYS
from models.base import FitContext
from models.densities.maf import Maf
from models.densities.maf_window import MafWindow
from models.units import DAY_S, N_WINDOWS

CUDA = FitContext(0, device="cuda")
WAYS = {
    "cpu": FitContext(0),
    "cuda, first": CUDA,  # loads the kernels
    "cuda": CUDA,
    "cuda, tf32": replace(CUDA, precision="tf32"),
    "cuda, bf16": replace(CUDA, precision="bf16"),
    "cuda, graphs": replace(CUDA, cuda_graphs=True),
}


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
        for label, context in WAYS.items():
            started = time.perf_counter()
            model = kind().fit(past, city.grid, replace(context, cutoff_s=origin_s))
            torch.cuda.synchronize()
            seconds[label] = time.perf_counter() - started
            tables = {w: model.cell_probability(w) for w in range(N_WINDOWS)}
            scores[label] = mean_score(tables, test, city.grid)[0]
        ratios[kind.name] = seconds["cpu"] / seconds["cuda"]
        worst = max(worst, *(abs(scores["cpu"] - score) for score in scores.values()))
        print(f"{kind.name}: {seconds}, scores {scores}, ratio {ratios[kind.name]:.1f}")
    print(
        f"RESULT flows-cuda available=1 ratio={min(ratios.values()):.2f} score_difference={worst:.5f}"
    )
