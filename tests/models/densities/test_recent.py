"""Recent incidents count for more where the city changes, and for no more where it does not."""

import numpy as np
import pytest

from models.base import FitContext
from models.densities.recent import RecentKde, _decay
from models.incidents import Incidents
from models.units import DAY_S, N_WINDOWS
from tests.support.simulated.square_grid import square_grid

CUTOFF_S = 1_700_000_000
CELLS = square_grid(8, 4)
EAST = CELLS.ix >= 4
QUICK = {"bandwidths_m": (100.0, 300.0), "half_lives_days": (10_000.0, 40.0)}


def drawn(n, n_days, moved_days_ago, seed=0):
    """Incidents of the west half, and of the east half since so many days before the cutoff."""
    rng = np.random.default_rng(seed)
    age_s = np.sort(rng.uniform(1, n_days * DAY_S, n))[::-1]
    x = rng.uniform(0, 1_000, n) + 1_000 * (age_s < moved_days_ago * DAY_S)
    time_s = (CUTOFF_S - age_s).astype(np.int64)
    return Incidents(
        x.astype(np.float32),
        rng.uniform(0, 1_000, n).astype(np.float32),
        time_s,
        (time_s // 3600 % N_WINDOWS).astype(np.int16),
        np.zeros(n, np.int32),
    )


def fitted(incidents, **settings):
    return RecentKde(**{**QUICK, **settings}).fit(incidents, CELLS, FitContext(CUTOFF_S))


@pytest.fixture(scope="module")
def moved():
    return fitted(drawn(4_000, 600, moved_days_ago=100))


def test_a_city_that_moved_is_followed(moved):
    steady = fitted(drawn(4_000, 600, moved_days_ago=100), half_lives_days=(10_000.0,))
    assert steady.probability_[0, EAST].sum() < 0.3
    assert moved.probability_[0, EAST].sum() > 0.75
    assert moved.weights_[[1, 3]].sum() > 0.9, "of the short half-life"


def test_a_steady_city_is_learnt_from_all_its_history():
    steady = fitted(drawn(4_000, 600, moved_days_ago=0))
    assert steady.weights_[[0, 2]].sum() > 0.6


def test_probabilities_sum_to_one_and_no_cell_is_impossible(moved):
    assert moved.probability_.shape == (1, 32)
    assert moved.probability_.sum() == pytest.approx(1, abs=1e-12)
    assert moved.probability_.min() > 0
    shares = moved.report()["weights"]
    assert sum(shares.values()) == pytest.approx(1, abs=0.01)
    assert set(shares) <= {
        f"{bandwidth} m, {days} days" for bandwidth in (100, 300) for days in (10000, 40)
    }
    assert moved.report()["validation_periods"] == 3


def test_what_happens_after_the_cutoff_changes_nothing(moved):
    known = drawn(4_000, 600, moved_days_ago=100)
    later = known.take(slice(-50, None))
    with_later = Incidents(
        np.concatenate([known.x_m, later.x_m]),
        np.concatenate([known.y_m, later.y_m]),
        np.concatenate([known.time_s, later.time_s + 100 * DAY_S]),
        np.concatenate([known.window, later.window]),
        np.concatenate([known.category, later.category]),
    )
    np.testing.assert_array_equal(fitted(with_later).probability_, moved.probability_)


@pytest.mark.parametrize("n", [0, 1, 40])
def test_too_few_for_a_past_period_give_one_kernel_shrunk_to_uniform(n):
    few = fitted(drawn(n, 600, moved_days_ago=0))
    assert few.report()["validation_periods"] == 0
    assert sorted(few.weights_) == [0, 0, 0, 1]
    assert few.weights_[[0, 2]].sum() == 1, "of the longest half-life"
    uniform = CELLS.area_km2 / CELLS.area_km2.sum()
    if n == 0:
        np.testing.assert_allclose(few.probability_[0], uniform)
    assert 0.1 < few.probability_[0, EAST].sum() <= 0.5 + 1e-9


def test_an_incident_counts_half_at_its_half_life():
    ages = np.array([0, 40, 80]) * DAY_S
    np.testing.assert_allclose(_decay(CUTOFF_S - ages, CUTOFF_S, 40.0), [1, 0.5, 0.25])
