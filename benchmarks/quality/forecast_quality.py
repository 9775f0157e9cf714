"""How well each model forecasts four cities: 4 origins x 28 days, 250 m cells, all 168 windows.

Every model is fitted on what came before an origin and scored on the 28 days after it, the same
incidents and cells for all. `HOTSLOT_BENCH_CITIES` and `HOTSLOT_BENCH_MODELS` (names, by commas)
choose fewer; `HOTSLOT_BENCH_JOBS` the number of processes (default: one per core).
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from app.evaluation.backtests.counts import count_forecasts, counts_json
from app.evaluation.backtests.execute import Execution, Protocol, run_protocol
from app.evaluation.backtests.request import DEFAULT_MODELS
from app.evaluation.backtests.result import result_json
from app.runs.words import as_text
from benchmarks.cities import DATA, FILES, load_city, machine
from models.base import HORIZON_DAYS
from models.catalog import MODEL_NAMES

N_ORIGINS = 4
CANDIDATE = "stack"
REFERENCE = "pooled-kde"


def _names(variable: str, default: tuple[str, ...]) -> tuple[str, ...]:
    given = os.environ.get(variable, "")
    return tuple(n.strip() for n in given.split(",") if n.strip()) or default


def backtest_city(name: str, models: tuple[str, ...], n_jobs: int = 0) -> dict[str, Any]:
    """One city's result JSON with `seconds` of wall time and the count model's coverage."""
    city = load_city(name)
    started = time.perf_counter()
    protocol = Protocol(models, tuple(city.origins(N_ORIGINS)))
    counts = count_forecasts(city.incidents, city.timezone, protocol)
    results = run_protocol(
        city.incidents, city.grid, protocol, Execution(n_jobs), as_text(_progress)
    )
    return {
        **result_json(results, city.incidents, city.grid, protocol),
        "counts": counts_json(counts, protocol),
        "seconds": time.perf_counter() - started,
        "n_cells": len(city.grid),
        "n_incidents": len(city.incidents),
    }


def _progress(share: float, message: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{100 * share:3.0f} % {message}  ", end="", file=sys.stderr, flush=True)


def print_city(name: str, result: dict[str, Any]) -> None:
    """The city's table, worst model first."""
    print(
        f"\n{name}: {result['n_incidents']:,} incidents, {result['n_cells']:,} cells; "
        f"{result['n']:,} held out, {N_ORIGINS} origins from {result['origins'][0][:10]}, "
        f"{HORIZON_DAYS} days each; {result['seconds']:.0f} s"
    )
    print(
        f"{'model':12} {'log score':>10} {'minus ' + REFERENCE + ' [95 %]':>32} {'CAP-AUC':>8} "
        f"{'difference [95 %]':>28} {'hits 1':>7} {'5':>6} {'10':>6} {'20 %':>6} {'PAI 5':>6} "
        f"{'5 % minus prior-counts':>22} {'seconds':>8}"
    )
    against, past = (
        {d["model"]: d for d in result["differences"] if d["against"] == name}
        for name in (REFERENCE, "prior-counts")
    )
    for model, s in sorted(result["models"].items(), key=lambda item: item[1]["log_score"]):
        d = against.get(model)
        log_score = f"{d['log_score']:+.4f} [{d['lo']:+.4f}, {d['hi']:+.4f}]" if d else ""
        area = f"{d['cap_auc']:+.4f} [{d['cap_auc_lo']:+.4f}, {d['cap_auc_hi']:+.4f}]" if d else ""
        hits = " ".join(f"{100 * s['hit_rate'][k]:6.1f}" for k in ("1", "5", "10", "20"))
        p = past.get(model)
        ends = [100 * p["hit_rate"]["5"][end] for end in ("mean", "lo", "hi")] if p else []
        points = "{:+.1f} [{:+.1f}, {:+.1f}]".format(*ends) if p else ""
        print(
            f"{model:12} {s['log_score']:10.4f} {log_score:>32} {s['cap_auc']:8.4f} {area:>28} "
            f" {hits} {s['pai']['5']:6.2f} {points:>22} {s['seconds']:8.1f}"
        )
    counts = result["counts"]
    print(
        f"counts: 90 % intervals held {100 * counts['coverage']:.1f} % of "
        f"{counts['n_slots']:,} hours"
    )


def main() -> None:
    """Run all cities; ends with the `RESULT` line."""
    cities = _names("HOTSLOT_BENCH_CITIES", tuple(FILES))
    missing = [c for c in cities if not (DATA / FILES[c][0]).exists()]
    if missing:
        raise SystemExit(f"no data for {', '.join(missing)} in {DATA}")
    models = _names("HOTSLOT_BENCH_MODELS", DEFAULT_MODELS)
    n_jobs = int(os.environ.get("HOTSLOT_BENCH_JOBS", "0"))
    print(machine())
    print(f"models: {', '.join(models)}; data: {', '.join(FILES[c][0] for c in cities)}")
    gains, areas, coverages, seconds = {}, [], [], {}
    for name in cities:
        result = backtest_city(name, models, n_jobs)
        print_city(name, result)
        for d in result["differences"]:
            if d["model"] == CANDIDATE and d["against"] == REFERENCE:
                gains[name] = d["log_score"]
                areas.append(d["cap_auc"])
        coverages.append(result["counts"]["coverage"])
        seconds[name] = result["seconds"]
    if CANDIDATE not in MODEL_NAMES or not areas:
        raise SystemExit(f"{CANDIDATE} or {REFERENCE} was not among the models")
    print(
        "RESULT forecast-quality",
        *(f"{name}={gain:.4f}" for name, gain in gains.items()),
        f"worst_auc_difference={min(areas):.5f}",
        f"lowest_coverage={min(coverages):.4f}",
        f"highest_coverage={max(coverages):.4f}",
        f"slowest_s={max(seconds.values()):.0f}",
    )
