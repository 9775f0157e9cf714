"""A fitted model brought forward every day of a test period, scored beside the model as fitted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.evaluation.backtests.checkpoints import Protocol, Task
from app.geo.grid import Grid
from models.base import Cells, DensityModel, FitContext, normalised
from models.densities.state import mean_over_hours
from models.evaluation.hotspot_area import flagged_cells
from models.evaluation.metrics import ScoredIncidents, area_shares, score_rows
from models.incidents import Incidents
from models.units import DAY_S, N_WINDOWS, FloatArray

Scores = tuple[ScoredIncidents, dict[int, float], NDArray[np.int32]]
"""What a `TaskResult` has of a model on a test period."""


class Refreshed(DensityModel):
    """A fitted model whose probabilities of all hours are multiplied by factors (N,)."""

    name = "refreshed"

    def __init__(self, fitted: DensityModel, ratio: FloatArray) -> None:
        self.area_km2_ = fitted.area_km2_
        self.probability_ = normalised(fitted.probability_ * ratio, fitted.area_km2_, 0.0)
        self.category_density_ = fitted.category_density_

    def fit(self, incidents: Incidents, cells: Cells, context: FitContext) -> Refreshed:
        """Return the model unchanged: a state is made, not fitted."""
        return self


def daily_models(
    fitted: DensityModel, incidents: Incidents, grid: Grid, task: Task, protocol: Protocol
) -> Iterator[tuple[DensityModel, Incidents]]:
    """Yield each day's model, and the incidents of that day.

    A day's model knows what happened `delay_days` before the day's start, and nothing later; where arrivals
    were read, only what had arrived by then.
    """
    # Here, because it needs torch, which API processes do not load.
    from models.densities.refresh import USUAL_STRENGTH, Refresh

    cutoff_s = protocol.cutoff_of(task.origin_s)
    since = incidents.since(cutoff_s)
    rows = grid.locate(since.x_m, since.y_m)
    since, rows = since.take(rows >= 0), rows[rows >= 0]
    past = incidents.before(cutoff_s).known_at(task.origin_s)
    rates = 1.0 + np.bincount(past.window, minlength=N_WINDOWS).astype(np.float64)
    base = mean_over_hours(fitted.probability_, rates)
    learnt = fitted.state_strength_
    refresh = Refresh(base, grid, strength=USUAL_STRENGTH if learnt is None else learnt)
    end_s = protocol.end_of(task.origin_s)
    for day_s in range(task.origin_s, end_s, DAY_S):
        known_s = day_s - protocol.delay_days * DAY_S
        known = since.time_s < known_s
        if since.arrived_s is not None:
            known &= since.arrived_s <= day_s
        state = refresh.state(rows[known], since.time_s[known], cutoff_s, known_s)
        ratio = state.ratio(protocol.delay_days + 0.5)
        yield Refreshed(fitted, ratio), incidents.between(day_s, min(day_s + DAY_S, end_s))


def daily_scores(
    fitted: DensityModel, incidents: Incidents, grid: Grid, task: Task, protocol: Protocol
) -> Scores:
    """Score all days together; the flagged cells are those of the first day."""
    scored: list[ScoredIncidents] = []
    shares: list[dict[int, float]] = []
    flagged: NDArray[np.int32] | None = None
    for model, test in daily_models(fitted, incidents, grid, task, protocol):
        scored.append(score_rows(model, grid, test))
        shares.append(area_shares(model, test.window))
        flagged = flagged_cells(model) if flagged is None else flagged
    if flagged is None:
        raise ValueError("a test period has at least one day")
    return *merged(scored, shares), flagged


def merged(
    scored: Sequence[ScoredIncidents], shares: Sequence[dict[int, float]]
) -> tuple[ScoredIncidents, dict[int, float]]:
    """Return the scores of several periods as one, and the shares weighted by incidents."""
    weights = [max(len(s), 1) for s in scored]

    def column(name: str) -> Any:
        return np.concatenate([getattr(s, name) for s in scored])

    percents = shares[0]
    mean = {k: float(np.average([s[k] for s in shares], weights=weights)) for k in percents}
    whole = ScoredIncidents(
        column("log_density"),
        column("mid_rank"),
        column("place").astype(np.int64),
        column("pit_values"),
        column("hit_shares"),
        scored[0].n_cells,
        {k: sum(s.best_hits[k] for s in scored) for k in percents},
    )
    return whole, mean
