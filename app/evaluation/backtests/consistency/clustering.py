"""How incidents cluster, estimated at each origin on earlier test periods of the same backtest.

The forecasts of these periods are those of one reference model: all models then face the same test, none
profits from having been wrong before, and a fit can be tested by whichever worker made it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from app.evaluation.backtests.checkpoints import Protocol
from app.evaluation.backtests.consistency.joint_tests import JointTest, JointTests
from app.evaluation.backtests.counts import CountForecast, known_times
from app.geo.grid import Grid
from app.releases.store import MIN_GROUP
from models.base import FitCancelled, FitContext
from models.catalog import create_model
from models.evaluation.clustering import estimate_clustering
from models.evaluation.consistency import (
    CountErrors,
    JointForecast,
    Observed,
    as_observed,
)
from models.incidents import Incidents
from models.units import FloatArray

REFERENCE = "pooled-kde"
N_BEFORE = 3
"""Earlier periods on which the clustering is estimated."""


def joint_tests(
    incidents: Incidents,
    grid: Grid,
    protocol: Protocol,
    counts: Mapping[int, CountForecast],
    cancelled: Callable[[], bool] = lambda: False,
) -> JointTests:
    """Return what the S- and CL-tests of all fits read.

    Earlier periods of few incidents teach nothing, since readers could not see them.

    Raises:
        FitCancelled: the caller asked to stop.
    """
    before = {origin_s: periods_before(protocol, origin_s) for origin_s in protocol.origins_s}
    tables = {}
    for earlier in sorted({o for origins in before.values() for o in origins}):
        if cancelled():
            raise FitCancelled("backtest cancelled")
        tables[earlier] = _table(incidents, grid, protocol, earlier)
    found = {}
    for origin_s, origins in before.items():
        known = incidents.known_at(origin_s)
        pairs = [
            (_forecast(counts[o], tables[o]), _observed(known, grid, protocol, counts[o], o))
            for o in origins
        ]
        pairs = [(forecast, seen) for forecast, seen in pairs if len(seen) >= MIN_GROUP]
        one = counts[origin_s]
        found[origin_s] = JointTest(
            one.mean,
            one.slots.window.astype(np.int64),
            one.slots.time_s,
            errors_of(one),
            estimate_clustering(pairs),
            len(pairs),
        )
    return JointTests(found)


def periods_before(protocol: Protocol, origin_s: int) -> tuple[int, ...]:
    """Return the last `N_BEFORE` origins whose test periods were over, and known, at an origin."""
    known_s = protocol.cutoff_of(origin_s)
    return tuple(o for o in sorted(protocol.origins_s) if protocol.end_of(o) <= known_s)[-N_BEFORE:]


def errors_of(counts: CountForecast) -> CountErrors:
    """Return the errors of an origin's count model."""
    return CountErrors(counts.model.by_slot, counts.model.by_day, counts.model.by_level)


def _table(incidents: Incidents, grid: Grid, protocol: Protocol, origin_s: int) -> FloatArray:
    """Return the reference's probabilities (168 or 1, N) at an origin."""
    past = protocol.known(known_times(incidents, protocol, origin_s), origin_s)
    context = FitContext(protocol.cutoff_of(origin_s), protocol.seed, protocol.device)
    return create_model(REFERENCE).fit(past, grid, context).probability_


def _forecast(counts: CountForecast, table: FloatArray) -> JointForecast:
    window = counts.slots.window.astype(np.int64)
    return JointForecast(counts.mean, window, counts.slots.time_s, table, errors_of(counts))


def _observed(
    incidents: Incidents, grid: Grid, protocol: Protocol, counts: CountForecast, origin_s: int
) -> Observed:
    """Return what happened in the delivered hours of a test period."""
    test = protocol.held_out(known_times(incidents, protocol, origin_s), origin_s)
    rows = grid.locate(test.x_m, test.y_m)
    return as_observed(rows, test.at_s, counts.slots.time_s)[0]
