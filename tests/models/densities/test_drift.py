"""The backbone's drift: planted changes are carried into the horizon, the future is not seen."""

import numpy as np
import pytest

from models.base import FitContext
from models.densities.drift import DriftedBackbone, positive
from models.incidents import Incidents
from models.units import DAY_S, N_WINDOWS
from tests.support.simulated.planted_hours import CUTOFF_S, drawn, uneven_backbone
from tests.support.simulated.square_grid import square_grid

NX, NY = 16, 12
CELLS = square_grid(NX, NY)
BACKBONE = uneven_backbone(NX * NY)


def table(weight):
    return np.tile(weight / weight.sum(), (N_WINDOWS, 1))


@pytest.fixture(scope="module")
def doubled():
    """The east has had twice its share for the last half year."""
    now = BACKBONE * np.where(CELLS.ix >= NX // 2, 2.0, 1.0)
    old = drawn(CELLS, table(BACKBONE), 20_000, 7, days=900).before(CUTOFF_S - 180 * DAY_S)
    new = drawn(CELLS, table(now), 5_000, 8, days=180)
    names = ("x_m", "y_m", "time_s", "window", "category")
    both = [np.concatenate([getattr(old, n), getattr(new, n)]) for n in names]
    return Incidents(*both), now / now.sum()


def test_recent_drift_is_carried_into_the_horizon(doubled):
    known, now = doubled
    east = CELLS.ix >= NX // 2
    fit = DriftedBackbone().fit(known, CELLS, FitContext(CUTOFF_S))
    before, after = fit.backbone_.probability_[0][east].sum(), now[east].sum()
    share = fit.probability_[east].sum()
    assert before + 0.7 * (after - before) < share < after + 0.3 * (after - before)
    np.testing.assert_allclose(fit.probability_.sum(), 1.0, atol=1e-9)
    assert fit.report()["drift_log_ratio"] > 0.1


def test_without_drift_it_is_the_backbone(doubled):
    fit = DriftedBackbone(drift=None).fit(doubled[0], CELLS, FitContext(CUTOFF_S))
    np.testing.assert_array_equal(fit.ratio_, 1.0)
    np.testing.assert_array_equal(fit.probability_, positive(fit.backbone_.probability_[0]))


def test_what_comes_after_the_cutoff_changes_nothing(doubled):
    known, cutoff_s = doubled[0], CUTOFF_S - 100 * DAY_S
    alone = DriftedBackbone().fit(known.before(cutoff_s), CELLS, FitContext(cutoff_s))
    peeking = DriftedBackbone().fit(known, CELLS, FitContext(cutoff_s))
    np.testing.assert_array_equal(alone.probability_, peeking.probability_)
