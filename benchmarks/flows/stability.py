"""How much a fit depends on its seed: 10 seeds x 5, 10, 25 blocks, single windows, ours and the study's.

Toronto (snapped coordinates) and the synthetic city, two of the fullest windows each, 84 test days. The
spread is the standard deviation over seeds of a window's held-out score, averaged over windows. Beside
them the served `maf`, of all windows and with as many seeds: its fit is convex and draws nothing.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import torch

from benchmarks.cities import load_city, machine
from benchmarks.flows.speed import TEST_DAYS, synthetic
from models.base import Cells, FitContext
from models.densities.maf import Maf
from models.flows.windows import WindowFlows, WindowSettings, paper_preset, window_preset
from models.incidents import Incidents
from models.units import DAY_S, N_WINDOWS, FloatArray

N_SEEDS = 10
BLOCKS = (5, 10, 25)
N_FULLEST = 2


def settings_of(preset: str, n_blocks: int, windows: tuple[int, ...]) -> WindowSettings:
    """A preset with that many blocks, `N_SEEDS` restarts, these windows."""
    if preset == "maf-paper":
        return replace(paper_preset(n_blocks, 64, N_SEEDS), windows=windows)
    ours = window_preset(N_SEEDS)
    return replace(ours, flow=replace(ours.flow, n_blocks=n_blocks), windows=windows)


def seed_scores(
    preset: str, n_blocks: int, past: Incidents, test: Incidents, cells: Cells, origin_s: int
) -> tuple[FloatArray, int]:
    """(seeds, windows) held-out scores, and how many fits diverged."""
    fullest = np.argsort(-np.bincount(past.window, minlength=N_WINDOWS), kind="stable")
    windows = tuple(sorted(int(w) for w in fullest[:N_FULLEST]))
    cell = cells.locate(past.x_m, past.y_m)
    fit = WindowFlows(settings_of(preset, n_blocks, windows)).fit(
        past, cell, cells, FitContext(origin_s)
    )
    rows = cells.locate(test.x_m, test.y_m)
    columns = []
    for window in windows:
        mine = rows[test.window == window]
        log_p = np.log(fit.probability_[:, window, mine]) - np.log(cells.area_km2[mine])
        columns.append(log_p.mean(axis=1))
    return np.stack(columns, axis=1), int(fit.result_.n_diverged.sum())


def served_spread(
    past: Incidents, test: Incidents, cells: Cells, origin_s: int
) -> tuple[float, float]:
    """Mean score of `maf` on all test incidents, and its standard deviation over seeds."""
    rows = cells.locate(test.x_m, test.y_m)
    inside = rows >= 0
    scores = [
        Maf()
        .fit(past, cells, FitContext(origin_s, seed=seed))
        .log_density(rows[inside], test.window[inside])
        .mean()
        for seed in range(N_SEEDS)
    ]
    return float(np.mean(scores)), float(np.std(scores, ddof=1))


def compare(name: str, incidents: Incidents, cells: Cells) -> tuple[list[float], int, float]:
    """Spread of ours by number of blocks, and its diverged fits; prints both presets."""
    origin_s = int(incidents.time_s[-1]) + 1 - TEST_DAYS * DAY_S
    incidents = incidents.take(cells.locate(incidents.x_m, incidents.y_m) >= 0)
    past, test = incidents.before(origin_s), incidents.since(origin_s)
    spread, n_diverged = [], 0
    for n_blocks in BLOCKS:
        for preset in ("maf-paper", "maf-window"):
            started = time.perf_counter()
            scores, diverged = seed_scores(preset, n_blocks, past, test, cells, origin_s)
            std = float(scores.std(axis=0, ddof=1).mean())
            print(
                f"{name}, {preset}, {n_blocks} blocks: score {scores.mean():.3f}, std over "
                f"{N_SEEDS} seeds {std:.4f}, {diverged} diverged; "
                f"{time.perf_counter() - started:.0f} s",
                flush=True,
            )
            if preset == "maf-window":
                spread.append(std)
                n_diverged += diverged
    score, served = served_spread(past, test, cells, origin_s)
    print(f"{name}, maf: score {score:.3f}, std over {N_SEEDS} seeds {served:.4f}")
    return spread, n_diverged, served


def main() -> None:
    """Run both cities; ends with the `RESULT` line."""
    torch.set_num_threads(1)
    print(machine())
    toronto = load_city("toronto")
    results = [compare("Toronto", toronto.incidents, toronto.grid)]
    results.append(compare("synthetic", *synthetic()))
    print(
        "RESULT flows-stability",
        f"std={max(max(spread) for spread, _, _ in results):.4f}",
        f"maf_std={max(served for _, _, served in results):.4f}",
        f"diverged={sum(n for _, n, _ in results)}",
        f"growth={max(spread[-1] - spread[0] for spread, _, _ in results):.4f}",
    )
