"""Near repeats: a self-exciting point process, background plus what each incident triggers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from scipy.spatial import KDTree

from models.base import (
    DAY_S,
    HORIZON_DAYS,
    Cells,
    DensityModel,
    FitContext,
    FloatArray,
    Incidents,
    IntArray,
    normalised,
)
from models.densities.kde import MultiKde
from models.densities.smoothing import Smoother, inside, snap

LEARN_DAYS = 365
MAX_LEARN_INCIDENTS = 30_000
MAX_PAIRS = 8_000_000
"""Near pairs that a fit keeps, some 100 bytes each; a few blocks that hold a city's crime have many more."""
ASKED = 1_000
REACH_M = 500.0
REACH_DAYS = 60.0
MEAN_LAG_DAYS = (1.0, 30.0)
SPREAD_M = (30.0, 250.0)
MIN_INCIDENTS = 500
N_ITERATIONS = 30


@dataclass
class Triggering:
    """Parameters of the process.

    Args:
        background_per_day: incidents that nothing triggered.
        offspring: mean number that one incident triggers.
        mean_lag_days: of the exponential lag.
        spread_m: standard deviation of the Gaussian distance, each axis.
    """

    background_per_day: float
    offspring: float = 0.1
    mean_lag_days: float = 10.0
    spread_m: float = 100.0


class Sepp(DensityModel):
    """Self-exciting process with an exponential lag and a Gaussian distance, fitted by EM.

    Mohler, Short, Brantingham, Schoenberg & Tita (2011), "Self-exciting point process modeling of
    crime", section 3. The background's shape is `multi-kde` of what came before the year that
    teaches, so that an incident cannot be its own background. The forecast adds, to the background,
    what the known incidents will trigger over the next 28 days.
    """

    name: ClassVar[str] = "sepp"

    def fit(self, incidents: Incidents, cells: Cells, context: FitContext) -> Self:
        """Learn the triggering from the latest year, then forecast the period after the cutoff."""
        known, cell = inside(incidents, cells, context.cutoff_s)
        backbone = MultiKde().fit(known, cells, context.part(0, 0.3)).probability_[0]
        self.area_km2_ = cells.area_km2
        self.category_density_ = {}
        self.process_ = self._learn(known, cell, cells, context.part(0.3, 0.9))
        self.triggered_share_ = 0.0
        probability = backbone
        if self.process_ is not None:
            triggered = _expected_offspring(known, cells, self.process_, context.cutoff_s)
            expected = backbone * self.process_.background_per_day * HORIZON_DAYS + triggered
            self.triggered_share_ = float(triggered.sum() / expected.sum())
            probability = expected
        self.probability_ = normalised(probability, self.area_km2_)[None, :]
        return self

    def _learn(
        self, known: Incidents, cell: IntArray, cells: Cells, context: FitContext
    ) -> Triggering | None:
        """The fitted process; None where there is too little to tell triggering from chance."""
        start_s = context.cutoff_s - LEARN_DAYS * DAY_S
        first = int(np.searchsorted(known.time_s, start_s))
        first = _few_pairs_from(known, max(first, len(known) - MAX_LEARN_INCIDENTS))
        if first < MIN_INCIDENTS or len(known) - first < MIN_INCIDENTS:
            return None
        before = FitContext(int(known.time_s[first]), cancelled=context.cancelled)
        shape = MultiKde(n_folds=1).fit(known, cells, before)
        latest = known.take(slice(first, None))
        density_m2 = shape.probability_[0][cell[first:]] / (cells.area_km2[cell[first:]] * 1e6)
        return _expectation_maximisation(latest, density_m2, context)

    def report(self) -> Mapping[str, Any]:
        """The triggering, and the share of the forecast that it makes up."""
        process = self.process_
        return {
            "triggered_share": self.triggered_share_,
            "process": None if process is None else {k: float(v) for k, v in vars(process).items()},
        }


def _expectation_maximisation(
    latest: Incidents, density_m2: FloatArray, context: FitContext
) -> Triggering:
    """Alternate who triggered whom and the parameters that this implies."""
    child, lag_days, distance2_m2 = _pairs(latest)
    days = float(latest.time_s[-1] - latest.time_s[0]) / DAY_S
    n = len(latest)
    process = Triggering(background_per_day=0.9 * n / days)
    for iteration in range(N_ITERATIONS):
        context.report(iteration / N_ITERATIONS, "who triggered whom")
        trigger = _intensity(process, lag_days, distance2_m2)
        background = process.background_per_day * density_m2
        total = background + np.bincount(child, trigger, n)
        share = trigger / total[child]
        triggered = max(float(share.sum()), 1e-9)
        process = Triggering(
            background_per_day=float((background / total).sum()) / days,
            offspring=triggered / n,
            mean_lag_days=float(np.clip(share @ lag_days / triggered, *MEAN_LAG_DAYS)),
            spread_m=float(np.clip(np.sqrt(share @ distance2_m2 / (2 * triggered)), *SPREAD_M)),
        )
    return process


def _few_pairs_from(known: Incidents, first: int) -> int:
    """The row at or after `first` from which on there are no more than `MAX_PAIRS` near pairs.

    Their number is that of some incidents' neighbours: to find all pairs is what must not be done.
    """
    while len(known) - first > MIN_INCIDENTS:
        scaled = _in_reaches(known.take(slice(first, None)))
        asked = scaled[:: max(1, len(scaled) // ASKED)]
        near = KDTree(scaled).query_ball_point(asked, 1.0, p=np.inf, return_length=True)
        if 0.5 * len(scaled) * (near.mean() - 1) <= MAX_PAIRS:
            break
        first += (len(known) - first) // 5
    return first


def _in_reaches(incidents: Incidents) -> FloatArray:
    """(n, 3) places and times, each axis in its reach."""
    time_days = (incidents.time_s - incidents.time_s[0]) / DAY_S
    x, y = (c.astype(np.float64) / REACH_M for c in (incidents.x_m, incidents.y_m))
    return np.stack([x, y, time_days / REACH_DAYS], axis=1)


def _pairs(latest: Incidents) -> tuple[IntArray, FloatArray, FloatArray]:
    """Later incident of each pair within reach, days and squared metres apart."""
    x = latest.x_m.astype(np.float64)
    y = latest.y_m.astype(np.float64)
    time_days = (latest.time_s - latest.time_s[0]) / DAY_S
    pair = KDTree(_in_reaches(latest)).query_pairs(1.0, p=np.inf, output_type="ndarray")
    parent, child = pair.min(axis=1), pair.max(axis=1)
    later = latest.time_s[child] > latest.time_s[parent]
    parent, child = parent[later].astype(np.int64), child[later].astype(np.int64)
    distance2 = (x[child] - x[parent]) ** 2 + (y[child] - y[parent]) ** 2
    return child, time_days[child] - time_days[parent], distance2


def _intensity(process: Triggering, lag_days: FloatArray, distance2_m2: FloatArray) -> FloatArray:
    """(pairs,) incidents per day and m2 that each parent triggers at its child's time and place."""
    variance = process.spread_m**2
    in_time = np.exp(-lag_days / process.mean_lag_days) / process.mean_lag_days
    in_space = np.exp(-distance2_m2 / (2 * variance)) / (2 * np.pi * variance)
    intensity: FloatArray = process.offspring * in_time * in_space
    return intensity


def _expected_offspring(
    known: Incidents, cells: Cells, process: Triggering, cutoff_s: int
) -> FloatArray:
    """(N,) incidents that the known ones trigger directly in the period after the cutoff."""
    fresh = known.since(int(cutoff_s - REACH_DAYS * DAY_S))
    if len(fresh) == 0:
        return np.zeros(len(cells.area_km2))
    age_days = (cutoff_s - fresh.time_s) / DAY_S
    lag = process.mean_lag_days
    due = process.offspring * np.exp(-age_days / lag) * (1 - np.exp(-HORIZON_DAYS / lag))
    sites = snap(fresh, cells)
    return Smoother(sites, cells).smooth(sites.count(due), process.spread_m)
