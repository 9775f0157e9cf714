"""Time and peak memory of what a training fits, of a state and of replies, for regions of many cells.

Counties of squares of 100 m, without a database; `HOTSLOT_BENCH_CELLS` (default 250000) is the largest, with
0.8 incidents a cell; a sixteenth and a quarter of it come before. Each is a process of its own, and so are
the replies: densities of an hour, each computed anew, of ten by ten squares and of all.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from app.geo.grid import Grid
from benchmarks.cities import machine
from models.base import HORIZON_DAYS, FitContext
from models.incidents import Incidents
from models.units import DAY_S, N_WINDOWS

N_CELLS = int(os.environ.get("HOTSLOT_BENCH_CELLS", "250000"))
CUTOFF_S = 1_700_000_000
DAYS = 1_500
BOXES, BOX_SIDE, WHOLES = 25, 10, 5


def county(n_cells: int) -> tuple[Grid, Incidents]:
    """Twelve towns of different sizes, and a quarter of the places in the country."""
    rng = np.random.default_rng(0)
    side, n = round(n_cells**0.5), int(0.8 * n_cells)
    cells = Grid(
        "EPSG:32618", 0.0, 0.0, 100.0, side, side, np.arange(side**2), np.full(side**2, 0.01)
    )
    town, spread = rng.random((12, 2)), rng.uniform(0.01, 0.06, (12, 1))
    of = rng.choice(12, n // 4, p=rng.dirichlet(np.ones(12)))
    place = town[of] + spread[of] * rng.normal(size=(len(of), 2))
    rural = rng.random(len(of)) < 0.25
    place[rural] = rng.random((int(rural.sum()), 2))
    place = np.clip(place, 0.001, 0.999) * side * 100.0
    weight = rng.pareto(1.5, len(of)) + 0.1
    at = rng.choice(len(of), n, p=weight / weight.sum())
    time_s = np.sort(CUTOFF_S - rng.integers(1, DAYS * DAY_S, n))
    x_m, y_m = place[at].astype(np.float32).T
    window = (time_s // 3600 % 168).astype(np.int16)
    return cells, Incidents(x_m, y_m, time_s, window, rng.integers(6, size=n).astype(np.int32))


def _measure(n_cells: int) -> tuple[float, float, float]:
    """Return seconds of the validation's fit and the last, GB of this process, seconds of a state."""
    import torch

    from models.densities.refresh import Refresh
    from models.densities.stack import Stack

    torch.set_num_threads(2)
    cells, incidents = county(n_cells)
    started = time.perf_counter()
    memo: dict[object, Any] = {}
    then_s = CUTOFF_S - HORIZON_DAYS * DAY_S
    Stack().fit(incidents.before(then_s), cells, FitContext(then_s, memo=memo))
    model = Stack().fit(incidents, cells, FitContext(CUTOFF_S, memo=memo))
    train_s = time.perf_counter() - started
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    since = incidents.since(then_s)
    rows = cells.locate(since.x_m, since.y_m)
    started = time.perf_counter()
    refresh = Refresh(model.probability_.mean(axis=0), cells)
    refresh.state(rows, since.time_s, then_s, CUTOFF_S)
    return train_s, peak_gb, time.perf_counter() - started


def _measure_replies(n_cells: int) -> tuple[float, float]:
    """Return milliseconds of a density of a box and of the whole county: medians, the first ones left out."""
    from pydantic import SecretStr
    from sqlalchemy import create_engine

    from app.core.settings import Settings
    from app.forecasts.plan import Plan, Selector
    from app.forecasts.replies.serialisers import density_json
    from app.forecasts.service import ForecastService
    from app.forecasts.versions.loaded import Ground
    from app.geo.study_area import StudyArea
    from app.http.parameters import Bbox
    from app.registry.store import ALL_CATEGORIES
    from models.bands import Band
    from tests.support.simulated.made_forecasts import version_of

    rng = np.random.default_rng(1)
    cells, _ = county(n_cells)
    side_m = cells.nx * cells.cell_size_m
    ground = Ground(cells, StudyArea(shapely.box(0, 0, side_m, side_m), cells.crs))
    band = Band(rng.random((168, 3)), rng.random((3, len(cells))))
    version = replace(version_of(), ground=ground, read_band=lambda: band)
    table = rng.dirichlet(np.ones(len(cells)))
    url = "postgresql+psycopg://localhost:1/none"  # nothing is read from it
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home), database_url=SecretStr(url))
        service = ForecastService(create_engine(url), settings)
    for window in range(N_WINDOWS):
        key = ("table", version.region.key, version.record.version, ALL_CATEGORIES, window)
        service.cache.put(key, table, 0)
    longitude, latitude = cells.centres_degrees

    def box() -> Bbox:
        low = int(rng.integers(cells.nx - BOX_SIDE) * cells.nx + rng.integers(cells.nx - BOX_SIDE))
        high = low + (BOX_SIDE - 1) * (cells.nx + 1)
        (west, east), (south, north) = longitude[[low, high]], latitude[[low, high]]
        return float(west), float(south), float(east), float(north)

    def milliseconds(n: int, selector: Callable[[], Selector]) -> float:
        took = []
        for _ in range(n + 1):
            plan = Plan(version, selector(), CUTOFF_S)
            started = time.perf_counter()
            density_json(service.forecast_of(plan, only_shown=True))
            took.append(1000 * (time.perf_counter() - started))
        return float(np.median(took[1:]))

    box_ms = milliseconds(BOXES, lambda: Selector(window=0, bbox=box()))
    return box_ms, milliseconds(WHOLES, lambda: Selector(window=0))


def main() -> None:
    """Measure the three sizes; ends with the `RESULT` line."""
    print(machine())
    for n_cells in (N_CELLS // 16, N_CELLS // 4, N_CELLS):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            train_s, peak_gb, state_s = pool.apply(_measure, (n_cells,))
        print(
            f"{n_cells:>8,} cells: fits {train_s:.1f} s, {peak_gb:.2f} GB, state {state_s:.1f} s",
            flush=True,
        )
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        box_ms, whole_ms = pool.apply(_measure_replies, (N_CELLS,))
    print(
        f"{N_CELLS:>8,} cells: a density of {BOX_SIDE**2} of them {box_ms:.1f} ms, of all {whole_ms:.0f} ms, "
        f"{whole_ms / box_ms:.0f} times as long"
    )
    print(
        f"RESULT cells cells={N_CELLS} train_s={train_s:.1f} peak_gb={peak_gb:.2f} "
        f"state_s={state_s:.2f} box_ms={box_ms:.2f} whole_ms={whole_ms:.1f} "
        f"whole_per_box={whole_ms / box_ms:.1f}"
    )
