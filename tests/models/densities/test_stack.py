"""The stack: a mixture of its components, weighted on the past alone."""

import numpy as np
import pytest

from models.base import FitContext
from models.densities.stack import COMPONENTS, PRIOR, Stack
from models.incidents import Incidents
from models.units import DAY_S
from tests.support.simulated.square_grid import square_grid

CUTOFF_S = 130 * DAY_S


def drawn(n, seed=0, from_s=0, to_s=CUTOFF_S):
    rng = np.random.default_rng(seed)
    x_m, y_m = np.clip(rng.normal([[600.0, 800.0]], 250.0, (n, 2)), 1, 1499).T
    time_s = np.sort(rng.integers(from_s, to_s, n))
    window = (time_s // 3600 % 168).astype(np.int16)
    return Incidents(
        x_m.astype(np.float32), y_m.astype(np.float32), time_s, window,
        rng.integers(2, size=n).astype(np.int32),
    )  # fmt: skip


@pytest.fixture(scope="module")
def fitted():
    return Stack().fit(drawn(700), square_grid(6, 6), FitContext(CUTOFF_S, seed=3))


def test_weights_are_shares_learnt_from_two_past_periods(fitted):
    report = fitted.report()
    assert report["validation_periods"] == 2
    assert tuple(report["weights"]) == COMPONENTS
    assert sum(report["weights"].values()) == pytest.approx(1.0, abs=1e-3)
    assert min(report["weights"].values()) >= 0


def test_every_hour_is_a_distribution_that_is_nowhere_zero(fitted):
    assert fitted.probability_.shape == (168, 36)
    np.testing.assert_allclose(fitted.probability_.sum(axis=1), 1.0, atol=1e-6)
    assert fitted.probability_.min() > 0


def test_the_future_and_other_seeds_of_progress_change_nothing(fitted):
    """Incidents after the cutoff are not seen; the same seed gives the same bits."""
    known, later = drawn(700), drawn(300, seed=9, from_s=CUTOFF_S, to_s=2 * CUTOFF_S)
    both = Incidents(
        *(
            np.concatenate([getattr(known, name), getattr(later, name)])
            for name in ("x_m", "y_m", "time_s", "window", "category")
        )
    )
    again = Stack().fit(both, square_grid(6, 6), FitContext(CUTOFF_S, seed=3))
    np.testing.assert_array_equal(again.probability_, fitted.probability_)
    np.testing.assert_array_equal(again.weights_, fitted.weights_)


def test_without_past_periods_the_prior_decides():
    made = Stack().fit(drawn(45), square_grid(6, 6), FitContext(CUTOFF_S))
    prior = np.array(list(PRIOR.values()))
    assert made.report()["validation_periods"] == 0
    np.testing.assert_allclose(made.weights_, prior / prior.sum())


def test_its_band_is_calibrated_on_the_past_periods(fitted):
    """Half of these cells' incidents come by chance alone; the band is neither nothing nor everything."""
    factor = fitted.band_.factor(20)
    assert factor.shape == (36,)
    assert 1.0 < factor.min() < factor.max() < 10
    assert {"band.loading", "band.variance"} < fitted.tensors().keys()
