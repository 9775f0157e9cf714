"""The memorisation test of a fitted model, and what follows where it fails: samples are withheld."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from app.core.errors import PermissionRefused
from app.fitting.data import TrainingData
from models.base import DAY_S, HORIZON_DAYS, DensityModel, FloatArray, Incidents
from models.evaluation.memorisation import MAX_RATIO, NEAR_M, judge, places_in_cells

N_SAMPLES = 20_000
MIN_HELD_OUT = 20
HELD_OUT_SHARE = 0.2
ALL = "all"


def memorisation_report(data: TrainingData, model: DensityModel, seed: int) -> dict[str, Any]:
    """{`all` or category: facts of the test}; categories that the model tells apart are tested too.

    Held out are the incidents of the latest 28 days (the latest fifth where that is less): how
    often they fell beside an earlier one is how often a place drawn from the forecast may.
    """
    found = {}
    codes = {data.categories[code]: code for code in model.category_density_}
    for name, code in {ALL: None, **codes}.items():
        mine = data.incidents if code is None else _of_category(data.incidents, code)
        told = _tested(mine, _mixed(model, mine, code), data, seed)
        if told is not None:
            found[name] = told
    return found


def _of_category(incidents: Incidents, code: int) -> Incidents:
    return incidents.take(incidents.category == code)


def _mixed(model: DensityModel, incidents: Incidents, code: int | None) -> FloatArray:
    """(N,) the density of the incidents' own mixture of windows."""
    windows, counts = np.unique(incidents.window, return_counts=True)
    total = np.zeros(model.probability_.shape[1])
    for window, count in zip(windows, counts, strict=True):
        total += count * model.cell_probability(int(window), code)
    return total


def _tested(
    incidents: Incidents, probability: FloatArray, data: TrainingData, seed: int
) -> dict[str, Any] | None:
    """The facts, or None where there are too few incidents to hold any out."""
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


def refuse_betraying_samples(report: Mapping[str, Any], category: str | None) -> None:
    """Let only versions draw samples that passed the test, or that drew too little to fail it.

    Raises:
        PermissionRefused: the version's samples lie beside training incidents too often.
    """
    told = report.get("memorisation", {}).get(category or ALL)
    if told is None or told["verdict"] != "failed":
        return
    raise PermissionRefused(
        f"samples are withheld: they would fall within {NEAR_M:.0f} m of training incidents "
        f"{_times(told)} times as often as new incidents do "
        f"(the limit is {MAX_RATIO})",
        code="samples_withheld",
    )


def _times(told: Mapping[str, Any]) -> str:
    return f"over {MAX_RATIO}" if told["ratio"] is None else f"{told['ratio']:.1f}"
