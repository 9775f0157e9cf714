"""The memorisation test of a fitted model; samples are withheld if it fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from app.core.errors import PermissionRefused
from app.fitting.data import TrainingData
from models.base import HORIZON_DAYS, DensityModel
from models.evaluation.memorisation import MAX_RATIO, NEAR_M, judge, places_in_cells
from models.incidents import Incidents
from models.units import DAY_S, FloatArray

N_SAMPLES = 20_000
MIN_HELD_OUT = 20
HELD_OUT_SHARE = 0.2
ALL = "all"


def memorisation_report(data: TrainingData, model: DensityModel, seed: int) -> dict[str, Any]:
    """Return {`all` or category: result of the test}, for all categories with their own density.

    The incidents of the latest 28 days (or the latest fifth, if fewer) are held out. Samples may lie
    near earlier incidents about as often as these do.
    """
    found = {}
    codes = {data.categories[code]: code for code in model.category_density_}
    for name, code in {ALL: None, **codes}.items():
        mine = data.incidents if code is None else _of_category(data.incidents, code)
        result = _tested(mine, _mixed(model, mine, code), data, seed)
        if result is not None:
            found[name] = result
    return found


def _of_category(incidents: Incidents, code: int) -> Incidents:
    return incidents.take(incidents.category == code)


def _mixed(model: DensityModel, incidents: Incidents, code: int | None) -> FloatArray:
    """Return the density (N,) mixed over the windows of the incidents."""
    windows, counts = np.unique(incidents.window, return_counts=True)
    total = np.zeros(model.probability_.shape[1])
    for window, count in zip(windows, counts, strict=True):
        total += count * model.cell_probability(int(window), code)
    return total


def _tested(
    incidents: Incidents, probability: FloatArray, data: TrainingData, seed: int
) -> dict[str, Any] | None:
    """Return the result of the test, or None with too few incidents."""
    n = len(incidents)
    first = int(np.searchsorted(incidents.time_s, data.cutoff_s - HORIZON_DAYS * DAY_S))
    first = max(first, int((1 - HELD_OUT_SHARE) * n))
    if n - first < MIN_HELD_OUT or first == 0:
        return None
    places = np.column_stack([incidents.x_m, incidents.y_m]).astype(np.float64)
    rng = np.random.default_rng(seed)
    samples = places_in_cells(probability, data.grid, N_SAMPLES, rng)
    day = incidents.time_s[first:] // DAY_S
    return asdict(judge(samples, places[:first], places[first:], day, seed))


def check_samples_allowed(report: Mapping[str, Any], category: str | None) -> None:
    """Raise if the version failed the memorisation test.

    Raises:
        PermissionRefused: samples of the version lie near training incidents too often.
    """
    test = report.get("memorisation", {}).get(category or ALL)
    if test is None or test["verdict"] != "failed":
        return
    ratio = f"over {MAX_RATIO}" if test["ratio"] is None else f"{test['ratio']:.1f}"
    raise PermissionRefused(
        f"samples are withheld: they would fall within {NEAR_M:.0f} m of training incidents "
        f"{ratio} times as often as new incidents do "
        f"(the limit is {MAX_RATIO})",
        code="samples_withheld",
    )
