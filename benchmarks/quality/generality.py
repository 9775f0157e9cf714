"""Does the default hold where it was not tuned? Cities made of the real ones, on earlier origins.

Parts of a city, thinned cities, single categories, and other cell sizes stand for cities that nobody
has seen: each is fitted and scored like a city of its own. Origins end a year before the last incident
(half a year in a city with less), so none of them is among those of `forecast-quality`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from app.evaluation.backtests.execute import Execution, Protocol, run_protocol
from app.evaluation.backtests.result import result_json
from benchmarks.cities import FILES, City, load_city, machine
from models.base import HORIZON_DAYS
from models.units import DAY_S

MODELS = ("pooled-kde", "cox", "maf", "stack")
N_ORIGINS = 2
CELL_SIZES_M = (125.0, 500.0)
SHARES = (0.3, 0.05, 0.01)
N_CATEGORIES = 3


def variants(name: str) -> Iterator[City]:
    """The city as others might have it."""
    city = load_city(name)
    incidents = city.incidents
    rng = np.random.default_rng(0)
    for share in SHARES:
        kept = rng.random(len(incidents)) < share
        yield replace(city, name=f"{name}, {100 * share:g} %", incidents=incidents.take(kept))
    codes = np.argsort(-np.bincount(incidents.category))
    if len(city.categories) > 1:
        for code in codes[:N_CATEGORIES]:
            mine = incidents.take(incidents.category == code)
            yield replace(city, name=f"{name}, {city.categories[code]}", incidents=mine)
    for half, chosen in (
        ("west", incidents.x_m < np.median(incidents.x_m)),
        ("late start", incidents.time_s > _origins(city)[0] - 120 * DAY_S),
    ):
        yield replace(city, name=f"{name}, {half}", incidents=incidents.take(chosen))
    for cell_size_m in CELL_SIZES_M:
        other = load_city(name, cell_size_m)
        yield replace(other, name=f"{name}, {cell_size_m:g} m")


def _origins(city: City) -> list[int]:
    """UTC seconds of two back-to-back test periods that end long before the last incident."""
    first, last = int(city.incidents.time_s[0]), int(city.incidents.time_s[-1])
    end = last - (365 if last - first > 800 * DAY_S else 180) * DAY_S
    return [end - (N_ORIGINS - i) * HORIZON_DAYS * DAY_S for i in range(N_ORIGINS)]


def judge(city: City, n_jobs: int) -> dict[str, tuple[float, float, float]]:
    """{model: (gain, upper end of its interval, CAP-AUC gain)} over `pooled-kde`; prints them."""
    started = time.perf_counter()
    protocol = Protocol(MODELS, tuple(_origins(city)))
    results = run_protocol(
        city.incidents, city.grid, protocol, Execution(n_jobs), lambda _share, _message: None
    )
    result = result_json(results, city.incidents, city.grid, protocol)
    found = {}
    for d in result["differences"]:
        if d["against"] == MODELS[0]:
            found[d["model"]] = (d["log_score"], d["hi"], d["cap_auc"])
    told = "; ".join(
        f"{model} {gain:+.4f} (upper end {hi:+.4f}), CAP-AUC {auc:+.4f}"
        for model, (gain, hi, auc) in found.items()
    )
    print(
        f"{city.name}: {len(city.incidents):,} incidents, {len(city.grid):,} cells, {result['n']:,} "
        f"held out: {told}; {time.perf_counter() - started:.0f} s",
        flush=True,
    )
    return found


def main() -> None:
    """Run all variants of all cities; ends with the `RESULT` line."""
    print(machine())
    n_jobs = int(os.environ.get("HOTSLOT_BENCH_JOBS", "0"))
    chosen = [c for c in os.environ.get("HOTSLOT_BENCH_CITIES", "").split(",") if c]
    found = [judge(city, n_jobs)["stack"] for name in chosen or FILES for city in variants(name)]
    print(
        "RESULT generality",
        f"cities={len(found)}",
        f"worst={min(gain for gain, _, _ in found):.4f}",
        f"significantly_worse={sum(hi < 0 for _, hi, _ in found)}",
        f"worst_auc={min(auc for _, _, auc in found):.4f}",
        f"median={np.median([gain for gain, _, _ in found]):.4f}",
    )
