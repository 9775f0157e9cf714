"""Scoring a candidate before it is trained for good: the last 28 days, against its rivals."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sqlalchemy import Engine

from app.services.backtest_run import held_out
from app.services.gate import GateDecision, decide
from app.services.training_data import TrainingData
from app.storage import registry
from models.base import (
    DAY_S,
    HORIZON_DAYS,
    Cells,
    DensityModel,
    FitContext,
    FloatArray,
    Incidents,
    normalised,
)
from models.catalog import create_model
from models.evaluation.metrics import area_shares, score_incidents, summarise
from models.evaluation.significance import Difference, paired_difference

REFERENCE = "pooled-kde"
CHAMPION = "the champion"


@dataclass(frozen=True)
class Validation:
    """Scores of the candidate and what the gate made of them."""

    scores: dict[str, Any]
    against: dict[str, Difference]
    decision: GateDecision


class StoredModel(DensityModel):
    """A registered version as a model: its stored tables, for scoring and serving."""

    name = "stored"

    def __init__(self, probability: FloatArray, area_km2: FloatArray) -> None:
        self.probability_ = normalised(probability, area_km2, floor=0.0)
        self.area_km2_ = area_km2
        self.category_probability_ = {}

    def fit(self, incidents: Incidents, cells: Cells, context: FitContext) -> StoredModel:
        """Nothing to learn: the tables are what was registered."""
        return self


def validate_model(
    engine: Engine, data: TrainingData, model: str, context: FitContext
) -> Validation:
    """Fit the candidate's model and `pooled-kde` up to 28 days before the cutoff and score both.

    The champion is scored by its own stored tables when it was trained before that day, otherwise
    its tables have seen the answer and it is left out.
    """
    origin_s = data.cutoff_s - HORIZON_DAYS * DAY_S
    past = data.incidents.before(origin_s)
    test = held_out(data.incidents, origin_s, HORIZON_DAYS)
    rows = data.grid.locate(test.x_m, test.y_m)
    if len(past) == 0 or len(test) == 0:
        nothing: dict[str, Difference] = {}
        return Validation({}, nothing, decide(nothing))
    names = dict.fromkeys((model, REFERENCE))
    rivals: dict[str, DensityModel] = {}
    for place, name in enumerate(names):
        part = context.part(place / len(names), (place + 1) / len(names), f"validating {name}: ")
        part = FitContext(
            origin_s, part.seed, part.device, part.n_threads, part.progress, part.cancelled
        )
        rivals[name] = create_model(name).fit(past, data.grid, part)
    champion = _champion(engine, data, origin_s)
    if champion is not None:
        rivals[CHAMPION] = champion
    scored = {name: score_incidents(m, rows, test.window) for name, m in rivals.items()}
    against = {
        name: paired_difference(
            scored[model].log_density, other.log_density, test.time_s, context.seed, block_s=DAY_S
        )
        for name, other in scored.items()
        if name != model
    }
    scores = {
        name: summarise(scored[name], area_shares(m, test.window)) for name, m in rivals.items()
    }
    differences = {name: asdict(d) for name, d in against.items()}
    return Validation(
        {"origin_s": origin_s, "models": scores, "differences": differences, **scores[model]},
        against,
        decide(against) if against else GateDecision(True, f"it is {REFERENCE} itself"),
    )


def _champion(engine: Engine, data: TrainingData, origin_s: int) -> StoredModel | None:
    """The champion's tables, when they are on the same cells and knew only what came before."""
    key = data.region.key
    with engine.connect() as connection:
        current = registry.champion(connection, key)
        if current is None:
            return None
        version = registry.get_version(connection, key, current.version)
        if version.cutoff.timestamp() > origin_s:
            return None
        grid, _ = registry.load_grid(connection, version.grid_sha256)
        if not np.array_equal(grid.cell_id, data.grid.cell_id):
            return None
        tables = registry.read_probabilities(
            connection, key, version.version, registry.ALL_CATEGORIES, range(168)
        )
    return StoredModel(tables.astype(np.float64), data.grid.area_km2)
