"""Data that are hardly any, strange or few: what is trained on them is a forecast, or says why not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from app.forecasts.plan import Selector
from app.forecasts.scores import PlacedIncident, score_incidents
from app.forecasts.service import ForecastService
from app.regions.store import get_region
from app.registry import store as registry
from app.runs.store import Run
from tests.resilience.drill import Drill, repeats
from tests.support.databases.database import database
from tests.support.simulated.city_rows import city_rows, region_of, train

MAX_GAP = 0.5
MASS_ERROR = 1e-6
N_FEW, N_TEST = 60, 2_000
ROBUST = ("stack", "maf", "maf-window", "pooled-kde", "multi-kde", "window-kde", "gmm", "uniform")
LEAKING = ("pooled-kde", "multi-kde", "window-kde", "gmm", "maf-window")
CELL_SIZES_M = (500.0, 1000.0)


def _told(engine: Engine, region: str, run: Run) -> Mapping[str, Any]:
    """What the version's report says of the fit."""
    with engine.connect() as connection:
        key = get_region(connection, region).key
        return registry.get_version(connection, key, run.model_version).report


def _said(report: Any, word: str) -> Iterator[Any]:
    """All values of that name, however deep."""
    if isinstance(report, Mapping):
        for name, value in report.items():
            if word in name:
                yield value
            yield from _said(value, word)


def _unsound(forecasts: ForecastService, region: str, model: str | None) -> list[str]:
    """Hours and cell sizes at which a forecast is no distribution."""
    wrong = []
    for window in range(0, 168, 168 // min(28, repeats(28))):
        for cell_size_m in CELL_SIZES_M:
            selector = Selector(window=window, cell_size_m=cell_size_m, model=model)
            made = forecasts.forecast(region, selector)
            numbers: NDArray[Any] = np.concatenate([made.probability, made.expected_count])
            sound = bool(np.isfinite(numbers).all()) and bool((numbers >= 0).all())
            if not sound or abs(made.probability.sum() - 1) > MASS_ERROR:
                wrong.append(f"{model} {window} {cell_size_m:g}")
    return wrong


def hardly_any_data() -> tuple[bool, str]:
    """M1: nothing, one incident, one place, one instant, rows without a number; every model."""
    middle = city_rows(1, 1)[0]
    days = [f"2019-{1 + d // 28:02d}-{1 + d % 28:02d}T{d % 24:02d}:10:00Z" for d in range(120)]
    cases = {
        "empty": [],
        "one": [middle],
        "equal": [dict(middle) for _ in range(120)],
        "place": [middle | {"occurred_at": day} for day in days],
        "instant": [row | {"occurred_at": days[0]} for row in city_rows(120, 2)],
        "nan": [
            *city_rows(120, 3),
            *({**middle, name: "nan"} for name in ("longitude", "latitude")),
        ],
    }
    failed, wrong = 0, []
    with database() as (engine, settings):
        forecasts = ForecastService(engine, settings)
        for name, rows in cases.items():
            region_of(engine, settings, name, rows)
            for model in ROBUST:
                run = train(engine, settings, name, model)
                if run.status == "succeeded":
                    wrong += [f"{name} {w}" for w in _unsound(forecasts, name, run.model_version)]
                    continue
                failed += 1
                if not run.message or "internal error" in run.message:
                    wrong.append(f"{name} {model}: {run.message}")
    total = len(cases) * len(ROBUST)
    return not wrong, f"{total} trainings, {failed} refused with a reason; wrong: {wrong[:5]}"


def few_points() -> tuple[bool, str]:
    """M2: sixty incidents; mean log density of those minus that of 2,000 others of the same city."""
    gaps: dict[str, float] = {}
    with database() as (engine, settings):
        forecasts = ForecastService(engine, settings)
        for seed in range(repeats(10)):
            region = f"few{seed}"
            known, others = city_rows(N_FEW, 2 * seed + 1), city_rows(N_TEST, 2 * seed + 2)
            region_of(engine, settings, region, known)
            for model in ROBUST:
                version = train(engine, settings, region, model).model_version
                means = [_mean_nats(forecasts, region, version, rows) for rows in (known, others)]
                gaps[model] = max(gaps.get(model, -np.inf), means[0] - means[1])
    told = ", ".join(f"{model} {gap:+.2f}" for model, gap in gaps.items())
    return max(gaps.values()) <= MAX_GAP, f"largest gap in nats of {repeats(10)} seeds: {told}"


def _mean_nats(
    forecasts: ForecastService, region: str, version: str | None, rows: list[dict[str, Any]]
) -> float:
    loaded = forecasts.versions.read(region, version)
    placed = [
        PlacedIncident(
            datetime.fromisoformat(row["occurred_at"]), row["longitude"], row["latitude"]
        )
        for row in rows
    ]
    scores = [s["log_density_per_km2"] for s in score_incidents(forecasts, loaded, placed)]
    return float(np.mean([score for score in scores if score is not None]))


def mass_outside() -> tuple[bool, str]:
    """M3: kernels, components and flows reach over the boundary; what is outside is told."""
    untold, wrong, shares = [], [], {}
    with database() as (engine, settings):
        forecasts = ForecastService(engine, settings)
        region_of(engine, settings, "edge", city_rows(3_000, 5))
        for model in ROBUST:
            run = train(engine, settings, "edge", model)
            wrong += _unsound(forecasts, "edge", run.model_version)
            leaked = list(_said(_told(engine, "edge", run), "leaked"))
            if model in LEAKING:
                shares[model] = max(leaked, default=float("nan"))
                if not leaked or not all(0 <= share < 1 for share in leaked):
                    untold.append(model)
    told = ", ".join(f"{model} {100 * share:.2f} %" for model, share in shares.items())
    return (
        not wrong and not untold,
        f"leaked: {told}; no distribution: {wrong[:5]}; unreported: {untold}",
    )


DRILLS = (
    Drill(
        "M1", "nothing, one place, one instant, NaN", "reason or finite forecast", hardly_any_data
    ),
    Drill("M2", "sixty incidents", "train - test <= 0.5 nats", few_points),
    Drill("M3", "mass beyond the study area", "1 within 1e-6, leaked share reported", mass_outside),
)
