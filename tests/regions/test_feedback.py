"""States do not carry a loop between patrols and forecasts where discoveries are not learnt from."""

from dataclasses import replace

import numpy as np
import pytest

from tests.support.simulated.feedback import NAIVE, OURS, simulate_states
from tests.support.simulated.square_grid import square_grid

CELLS = square_grid(2, 1)
DAYS = 120


def last_shares(urn, n_runs=6):
    return simulate_states(replace(urn, n_days=DAYS), CELLS, n_runs, seed=1)[:, -1]


@pytest.fixture(scope="module")
def ours():
    return last_shares(OURS)


def test_equal_places_stay_about_equal_from_day_to_day(ours):
    assert np.all((ours > 0.4) & (ours < 0.6))
    assert abs(ours.mean() - 0.5) < 0.03


@pytest.mark.slow
def test_patrols_have_no_influence_on_what_is_learnt_from_reports(ours):
    more = last_shares(replace(OURS, discovery_rate=50.0))
    assert abs(more.mean() - ours.mean()) < 0.05


@pytest.mark.slow
def test_where_discoveries_are_learnt_from_the_first_place_stays_ahead():
    naive = last_shares(NAIVE)
    assert naive.mean() > 0.7
