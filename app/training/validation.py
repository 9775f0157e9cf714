"""Validation of a candidate on the last 28 days, against its rivals, before the final fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from sqlalchemy import Engine

from app.core.retry import retry_outages
from app.evaluation.backtests.execute import held_out
from app.evaluation.fairness.shares import share_report
from app.fitting.data import TrainingData
from app.registry import store as registry
from app.registry.champions import get_champion
from app.registry.stored_model import StoredModel
from app.training.promotion_policy import CHAMPION, PROMOTION_REASONS, PromotionDecision, decide
from models.base import HORIZON_DAYS, DensityModel, FitContext
from models.catalog import create_model
from models.densities.small_counts import pool_small_counts
from models.evaluation.drift import day_sums, expected_log_density
from models.evaluation.hotspot_area import flagged_cells
from models.evaluation.metrics import area_shares, score_incidents, summarise
from models.evaluation.significance import (
    Difference,
    hit_rate_differences,
    paired_difference,
)
from models.evaluation.worth import score_all_hours, worth_json
from models.incidents import Incidents
from models.times.aoristic import shared_out
from models.units import DAY_S, N_WINDOWS, FloatArray

REFERENCE = "pooled-kde"
PAST = "prior-counts"
"""Shown beside every model, but not decisive: it is a list of places, and a poor density."""


@dataclass(frozen=True)
class Validation:
    """Scores of the candidate and the decision of the promotion policy."""

    scores: dict[str, Any]
    against: dict[str, Difference]
    decision: PromotionDecision


def validate_model(
    engine: Engine, data: TrainingData, model: str, context: FitContext
) -> Validation:
    """Fit the candidate's model and its rivals up to 28 days before the cutoff and score them.

    Rivals are `pooled-kde`, `prior-counts` and the champion. The champion is scored by its stored tables if
    it was trained on earlier incidents only; otherwise its model is refitted to the same past.
    """
    origin_s = data.cutoff_s - HORIZON_DAYS * DAY_S
    shared = shared_out(data.incidents, data.incidents.before(origin_s))
    past, test = shared.before(origin_s), held_out(shared, origin_s, HORIZON_DAYS)
    if len(past) == 0 or len(test) == 0:
        nothing: dict[str, Difference] = {}
        return Validation({}, nothing, decide(nothing))
    current = retry_outages(lambda: _champion(engine, data, origin_s))
    fitted = {model: model, REFERENCE: REFERENCE, PAST: PAST}
    if current is not None and current.tables is None and current.model != model:
        fitted[CHAMPION] = current.model
    rivals = _fit(fitted, past, data, origin_s, context)
    if current is not None and current.tables is not None:
        rivals[CHAMPION] = current.tables
    return _compare(rivals, model, test, past, data, context.seed)


def _fit(
    names: Mapping[str, str],
    past: Incidents,
    data: TrainingData,
    origin_s: int,
    context: FitContext,
) -> dict[str, DensityModel]:
    """Fit a model of each name, by label, with small counts pooled; fit equal names once."""
    rows, minimum = data.grid.locate(past.x_m, past.y_m), data.policy.minimum_count
    distinct = list(dict.fromkeys(names.values()))
    fitted: dict[str, DensityModel] = {}
    for place, name in enumerate(distinct):
        part = context.part(
            place / len(distinct), (place + 1) / len(distinct), f"validating {name}: "
        )
        model = create_model(name).fit(past, data.grid, replace(part, cutoff_s=origin_s))
        pool_small_counts(model, rows, past.category, minimum)
        fitted[name] = model
    return {label: fitted[name] for label, name in names.items()}


def _compare(
    rivals: Mapping[str, DensityModel],
    model: str,
    test: Incidents,
    past: Incidents,
    data: TrainingData,
    seed: int,
) -> Validation:
    """Score models on the same incidents, compare the candidate with rivals, and decide."""
    rows = data.grid.locate(test.x_m, test.y_m)
    hours = test.by_hour()
    scored = {
        name: score_incidents(m, rows, test.window, hours=hours) for name, m in rivals.items()
    }
    # Days, because four weeks are too few blocks for a bootstrap.
    against = {
        name: paired_difference(
            scored[model].log_density, other.log_density, test.time_s, seed, block_s=DAY_S
        )
        for name, other in scored.items()
        if name != model
    }
    scores = {
        name: summarise(scored[name], area_shares(m, test.window)) for name, m in rivals.items()
    }
    flagged = {name: [flagged_cells(m)] for name, m in rivals.items()}
    flat = score_all_hours(rivals[model], rows, past.window)
    details = {
        "models": scores,
        "differences": {
            name: asdict(d)
            | {
                "hit_rate": hit_rate_differences(
                    scored[model], scored[name], test.time_s, seed, DAY_S
                )
            }
            for name, d in against.items()
        },
        "worth": worth_json(scored[model], flat, scored, test.time_s, seed, DAY_S),
        "place_reference": _reference(rivals[model], scored[model].log_density, test),
        "neighbourhoods": share_report(
            flagged,
            rows,
            test.time_s,
            data.grid,
            data.region.neighbourhoods,
            data.policy.minimum_count,
        ),
    }
    decision = _decided({name: d for name, d in against.items() if name != PAST})
    origin_s = data.cutoff_s - HORIZON_DAYS * DAY_S
    return Validation({"origin_s": origin_s, **details, **scores[model]}, against, decision)


def _decided(against: Mapping[str, Difference]) -> PromotionDecision:
    """Decide by differences to rivals; without any, the candidate is the reference model."""
    if not against:
        reason = PROMOTION_REASONS.make("promoted_reference", model=REFERENCE)
        return PromotionDecision(True, reason)
    return decide(against)


def _reference(model: DensityModel, log_density: FloatArray, test: Incidents) -> dict[str, Any]:
    """Return held-out residuals by day, the reference of drift tests of live scores."""
    window = test.window.astype(np.int64) % len(model.probability_)
    sums = day_sums(test.time_s // DAY_S, log_density - expected_log_density(model)[window])
    return {"n": sums.n.tolist(), "total": sums.total.tolist()}


@dataclass(frozen=True)
class _Champion:
    """The champion's model, and its tables if they may be scored on the last 28 days."""

    model: str
    tables: StoredModel | None


def _champion(engine: Engine, data: TrainingData, origin_s: int) -> _Champion | None:
    """Read the champion; its tables are used if they have the same cells and earlier data only."""
    key = data.region.key
    with engine.connect() as connection:
        current = get_champion(connection, key)
        if current is None:
            return None
        version = registry.sound_version(connection, key, current.version)
        if version is None:
            return None
        grid, _ = registry.grid_of(connection, version)
        same_cells = np.array_equal(grid.cell_id, data.grid.cell_id)
        if version.cutoff.timestamp() > origin_s or not same_cells:
            return _Champion(version.model, None)
        tables = registry.read_probabilities(
            connection, key, version.version, registry.ALL_CATEGORIES, range(N_WINDOWS)
        )
    return _Champion(version.model, StoredModel(tables.astype(np.float64), data.grid.area_km2))
