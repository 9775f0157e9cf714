"""How well two kinds of doubt about a flow are calibrated: restarts (an ensemble), weights (SWAG).

Windows' flows learn what came before the last 84 days of a city. Those days' incidents of a window are
counted in zones of equal expected share, given how many there were: a forecast with S densities says a
mixture of S binomials. Coverage is that of its central intervals (randomised at their ends, so that a
perfect forecast has exactly the nominal level); the score is the mean log probability of the counts.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import torch
from scipy.stats import binom

from benchmarks.cities import load_city, machine
from benchmarks.flows.speed import TEST_DAYS
from models.base import Cells, FitContext
from models.flows.swag import SwagSettings
from models.flows.windows import WindowFlows, window_preset
from models.incidents import Incidents
from models.units import DAY_S, FloatArray, IntArray

CITIES = ("toronto", "st-louis", "chicago", "vancouver")
WINDOWS = tuple(range(5, 168, 14))
N_MEMBERS = 8
N_ZONES = 40
LEVELS = (0.5, 0.9)


def zones(probability: FloatArray, cells: Cells) -> IntArray:
    """(N,) zone of each cell: strips from west to east, cut from south to north, of equal share."""
    n_strips = int(np.sqrt(N_ZONES))
    per_strip = N_ZONES // n_strips
    zone = np.zeros(len(probability), np.int64)
    by_x = np.lexsort((cells.iy, cells.ix))
    strip = np.minimum(np.cumsum(probability[by_x]) * n_strips, n_strips - 1e-9).astype(int)
    for number in range(n_strips):
        mine = by_x[strip == number]
        mine = mine[np.lexsort((cells.ix[mine], cells.iy[mine]))]
        share = np.cumsum(probability[mine]) / probability[mine].sum()
        zone[mine] = number * per_strip + np.minimum(share * per_strip, per_strip - 1e-9).astype(
            int
        )
    return zone


def judge(probability: FloatArray, count: IntArray, seed: int = 0) -> tuple[list[float], float]:
    """Coverage at `LEVELS` and mean log probability of zone counts.

    Args:
        probability: (S, W, Z) of an incident of a window lying in a zone.
        count: (W, Z).
    """
    total = count.sum(1, keepdims=True)
    upto = np.asarray(binom.cdf(count, total, probability)).mean(0)
    below = np.asarray(binom.cdf(count - 1, total, probability)).mean(0)
    transform = below + np.random.default_rng(seed).random(count.shape) * (upto - below)
    inside = [float((np.abs(transform - 0.5) <= level / 2).mean()) for level in LEVELS]
    return inside, float(np.log(np.maximum(upto - below, 1e-12)).mean())


def in_zones(probability: FloatArray, zone: IntArray) -> FloatArray:
    """(..., Z) sums over the cells of each zone."""
    onto = np.eye(zone.max() + 1)[zone]
    result: FloatArray = probability @ onto
    return result


def compare(name: str, past: Incidents, test: Incidents, cells: Cells, origin_s: int) -> FloatArray:
    """(3, levels) coverage gaps of one flow, the ensemble and SWAG; prints them."""
    cell = cells.locate(past.x_m, past.y_m)
    settings = replace(window_preset(N_MEMBERS), windows=WINDOWS)
    started = time.perf_counter()
    fit = WindowFlows(settings).fit(past, cell, cells, FitContext(origin_s))
    seconds = time.perf_counter() - started
    ensemble = fit.probability_[:, list(WINDOWS)]
    alone = WindowFlows(replace(settings, n_restarts=1)).fit(
        past, cell, cells, FitContext(origin_s)
    )
    started = time.perf_counter()
    drawn = alone.swag_probabilities(cells, FitContext(origin_s), SwagSettings(), N_MEMBERS)[:, 0]
    swag_seconds = time.perf_counter() - started
    zone = zones(np.bincount(cell, minlength=len(cells.area_km2)) / len(cell), cells)
    rows = cells.locate(test.x_m, test.y_m)
    count = np.stack(
        [np.bincount(zone[rows[test.window == w]], minlength=zone.max() + 1) for w in WINDOWS]
    )
    print(
        f"\n{name}: {count.sum():,} held-out incidents in {len(WINDOWS)} windows, {N_ZONES} zones"
    )
    gaps = []
    for label, tables in (
        ("one flow", ensemble[:1]),
        (f"{N_MEMBERS} restarts ({seconds:.0f} s)", ensemble),
        (f"{N_MEMBERS} SWAG draws ({swag_seconds:.0f} s after one fit)", drawn),
    ):
        inside, score = judge(in_zones(tables, zone), count)
        band = tables.std(0) / tables.mean(0)
        print(
            f"  {label}: 50 % intervals held {100 * inside[0]:.1f} %, 90 % {100 * inside[1]:.1f} %; "
            f"log probability of a count {score:.4f}; median band of a cell {100 * np.median(band):.0f} %",
            flush=True,
        )
        gaps.append([abs(i - level) for i, level in zip(inside, LEVELS, strict=True)])
    return np.array(gaps)


def main() -> None:
    """Run all cities; ends with the `RESULT` line."""
    torch.set_num_threads(1)
    print(machine())
    gaps = []
    for name in CITIES:
        city = load_city(name)
        rows = city.grid.locate(city.incidents.x_m, city.incidents.y_m)
        incidents = city.incidents.take(rows >= 0)
        origin_s = int(incidents.time_s[-1]) + 1 - TEST_DAYS * DAY_S
        past, test = incidents.before(origin_s), incidents.since(origin_s)
        gaps.append(compare(name, past, test, city.grid, origin_s))
    one, ensemble, swag = np.mean(gaps, axis=0)[:, -1]
    print(
        f"RESULT flows-uncertainty gap_one={one:.4f} gap_ensemble={ensemble:.4f} gap_swag={swag:.4f}"
    )
