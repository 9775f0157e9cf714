"""Near repeats: a self-exciting point process of background and triggered incidents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from scipy.spatial import KDTree

from models.base import HORIZON_DAYS, Cells, DensityModel, FitContext, normalised
from models.densities.kde import MultiKde
from models.densities.smoothing import Smoother, inside, snap
from models.incidents import Incidents
from models.units import DAY_S, FloatArray, IntArray

LEARN_DAYS = 365
MAX_LEARN_INCIDENTS = 30_000
MAX_PAIRS = 8_000_000
"""Maximum number of near pairs of a fit, about 100 bytes each; crime in few blocks gives many more."""
N_PROBED = 1_000
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
        background_per_day: background incidents per day.
        offspring: mean number of incidents that one incident triggers.
        mean_lag_days: mean of the exponential lag.
        spread_m: standard deviation of the Gaussian displacement along each axis.
    """

    background_per_day: float
    offspring: float = 0.1
    mean_lag_days: float = 10.0
    spread_m: float = 100.0


class Sepp(DensityModel):
    """Self-exciting process with an exponential lag and a Gaussian distance, fitted by EM.

    Mohler, Short, Brantingham, Schoenberg & Tita (2011), "Self-exciting point process modeling of
    crime", section 3. The shape of the background is `multi-kde` of the incidents before the training
    year, so that no incident contributes to its own background. The forecast is the background plus
    the incidents that the known ones are expected to trigger over the next 28 days.
    """

    name: ClassVar[str] = "sepp"

    def fit(self, incidents: Incidents, cells: Cells, context: FitContext) -> Self:
        """Fit the triggering to the latest year, then forecast the period after the cutoff."""
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
        """Fit the process; None when there are too few incidents."""
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
        """Return the process and the triggered share of the forecast."""
        process = self.process_
        return {
            "triggered_share": self.triggered_share_,
            "process": None if process is None else {k: float(v) for k, v in vars(process).items()},
        }


def _expectation_maximisation(
    latest: Incidents, density_m2: FloatArray, context: FitContext
) -> Triggering:
    """Alternate between triggering probabilities and the parameters that they imply."""
    child, lag_days, distance2_m2 = _pairs(latest)
    days = float(latest.time_s[-1] - latest.time_s[0]) / DAY_S
    n = len(latest)
    process = Triggering(background_per_day=0.9 * n / days)
    for iteration in range(N_ITERATIONS):
        context.report(iteration / N_ITERATIONS, "fitting near repeats")
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
    """Return the first row from which on there are at most `MAX_PAIRS` near pairs.

    Their number is estimated from the neighbours of a sample, because listing all pairs is too costly.
    """
    while len(known) - first > MIN_INCIDENTS:
        scaled = _in_reaches(known.take(slice(first, None)))
        probed = scaled[:: max(1, len(scaled) // N_PROBED)]
        near = KDTree(scaled).query_ball_point(probed, 1.0, p=np.inf, return_length=True)
        if 0.5 * len(scaled) * (near.mean() - 1) <= MAX_PAIRS:
            break
        first += (len(known) - first) // 5
    return first


def _in_reaches(incidents: Incidents) -> FloatArray:
    """Return places and times (n, 3), each axis in units of its reach."""
    time_days = (incidents.time_s - incidents.time_s[0]) / DAY_S
    x, y = (c.astype(np.float64) / REACH_M for c in (incidents.x_m, incidents.y_m))
    return np.stack([x, y, time_days / REACH_DAYS], axis=1)


def _pairs(latest: Incidents) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return the later incident of each near pair, and days and squared metres between both."""
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
    """Return the intensity (pairs,), per day and m2, of each parent at its child's time and place."""
    variance = process.spread_m**2
    in_time = np.exp(-lag_days / process.mean_lag_days) / process.mean_lag_days
    in_space = np.exp(-distance2_m2 / (2 * variance)) / (2 * np.pi * variance)
    intensity: FloatArray = process.offspring * in_time * in_space
    return intensity


def _expected_offspring(
    known: Incidents, cells: Cells, process: Triggering, cutoff_s: int
) -> FloatArray:
    """Return the expected incidents (N,) triggered directly in the period after the cutoff."""
    fresh = known.since(int(cutoff_s - REACH_DAYS * DAY_S))
    if len(fresh) == 0:
        return np.zeros(len(cells.area_km2))
    age_days = (cutoff_s - fresh.time_s) / DAY_S
    lag = process.mean_lag_days
    due = process.offspring * np.exp(-age_days / lag) * (1 - np.exp(-HORIZON_DAYS / lag))
    sites = snap(fresh, cells)
    return Smoother(sites, cells).smooth(sites.count(due), process.spread_m)
