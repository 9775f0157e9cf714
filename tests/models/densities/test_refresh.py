"""A refreshed density follows what arrives, forgets it with time, and is nearly what a new fit is."""

from itertools import pairwise

import numpy as np
import pytest

from models.base import HORIZON_DAYS, FitContext
from models.densities.drift import DriftedBackbone
from models.densities.refresh import (
    AGES_DAYS,
    STRENGTHS,
    Refresh,
    learnt_strength,
    strength_gains,
)
from models.incidents import Incidents
from models.units import DAY_S, N_WINDOWS
from tests.support.simulated.planted_hours import CUTOFF_S, drawn, uneven_backbone
from tests.support.simulated.square_grid import square_grid

NX, NY = 16, 12
CELLS = square_grid(NX, NY)
BASE = uneven_backbone(NX * NY)
EAST = CELLS.ix >= NX // 2
TURNED = BASE * np.where(EAST, 2.0, 1.0) / (BASE * np.where(EAST, 2.0, 1.0)).sum()


def after_cutoff(weight, n, days, seed=5):
    """Incidents of the `days` after the cutoff: their cells and times."""
    table = np.tile(weight / weight.sum(), (N_WINDOWS, 1))
    found = drawn(CELLS, table, n, seed, days=days)
    return CELLS.locate(found.x_m, found.y_m), found.time_s + days * DAY_S


def refreshed(weight, n=3_000, days=28, **options):
    rows, time_s = after_cutoff(weight, n, days)
    end_s = CUTOFF_S + days * DAY_S
    return Refresh(BASE, CELLS, **options).state(rows, time_s, CUTOFF_S, end_s)


def east_share(state, lead_days=0.0):
    moved = BASE * state.ratio(lead_days)
    return moved[EAST].sum() / moved.sum()


def test_without_new_incidents_it_is_the_fit():
    refresh = Refresh(BASE, CELLS)
    none = np.zeros(0, np.int64)
    for state in (refresh.nothing(), refresh.state(none, none, CUTOFF_S, CUTOFF_S + DAY_S)):
        np.testing.assert_array_equal(state.ratio(0.0), 1.0)


def test_incidents_as_expected_move_little():
    state = refreshed(BASE, n=20_000)
    assert abs(east_share(state) - BASE[EAST].sum()) < 0.01


def test_a_change_is_followed_and_forgotten_with_the_lead_time():
    state = refreshed(TURNED)
    before, after = BASE[EAST].sum(), TURNED[EAST].sum()
    shares = [east_share(state, lead) for lead in (0.0, 7.0, 28.0, 365.0, 36_500.0)]
    assert shares[0] > before + 0.5 * (after - before)
    assert all(one > other for one, other in pairwise(shares))
    assert abs(shares[-1] - before) < 1e-3
    later = state.later(7.0)
    np.testing.assert_allclose(later.ratio(1.0), state.ratio(8.0), rtol=1e-5)


def test_the_order_of_the_incidents_does_not_matter():
    rows, time_s = after_cutoff(TURNED, 500, 28)
    end_s = CUTOFF_S + 28 * DAY_S
    turned = Refresh(BASE, CELLS).state(rows[::-1], time_s[::-1], CUTOFF_S, end_s)
    same = Refresh(BASE, CELLS).state(rows, time_s, CUTOFF_S, end_s)
    np.testing.assert_array_equal(turned.log_ratio_by_memory, same.log_ratio_by_memory)


def test_pooled_cells_share_one_factor():
    pooled = np.zeros(NX * NY, bool)
    pooled[[3, 40, 41, 100]] = True
    ratio = refreshed(TURNED, pooled=pooled).ratio(0.0)
    assert len(np.unique(ratio[pooled])) == 1
    assert len(np.unique(ratio)) > 100


def test_a_step_moves_at_most_so_much_of_the_mass():
    refresh = Refresh(BASE, CELLS)
    wanted = refreshed(np.where(EAST, BASE, BASE / 50))
    same, distance = refresh.limited(refresh.nothing(), wanted, 1.0)
    assert same is wanted
    assert distance > 0.05
    less, still = refresh.limited(refresh.nothing(), wanted, 0.05)
    moved = BASE * less.ratio(0.0)
    assert still == distance
    assert 0.0499 < np.abs(moved / moved.sum() - BASE).sum() / 2 <= 0.05 + 1e-6
    assert east_share(less) > BASE[EAST].sum()


def test_memory_does_not_grow_with_the_time_since_the_fit():
    bins = []
    import models.densities.refresh as module

    def spy(counts, *args, **kwargs):
        bins.append(len(counts))
        return original(counts, *args, **kwargs)

    original, module.fit_tilt = module.fit_tilt, spy
    try:
        refreshed(BASE, n=2_000, days=3_650)
    finally:
        module.fit_tilt = original
    assert bins == [len(AGES_DAYS) + 1]


@pytest.fixture(scope="module")
def known():
    """A city whose east has had twice its share since the cutoff, and 28 days of that."""
    old = drawn(CELLS, np.tile(BASE, (N_WINDOWS, 1)), 20_000, 7, days=900)
    new = drawn(CELLS, np.tile(TURNED, (N_WINDOWS, 1)), 900, 8, days=HORIZON_DAYS)
    moved = Incidents(new.x_m, new.y_m, new.time_s + HORIZON_DAYS * DAY_S, new.window, new.category)
    names = ("x_m", "y_m", "time_s", "window", "category")
    return Incidents(*(np.concatenate([getattr(old, n), getattr(moved, n)]) for n in names))


def test_a_state_after_28_days_is_nearly_a_new_fit(known):
    now_s = CUTOFF_S + HORIZON_DAYS * DAY_S
    then = DriftedBackbone().fit(known.before(CUTOFF_S), CELLS, FitContext(CUTOFF_S))
    new = DriftedBackbone().fit(known, CELLS, FitContext(now_s))
    since = known.since(CUTOFF_S)
    rows = CELLS.locate(since.x_m, since.y_m)
    state = Refresh(then.probability_, CELLS).state(rows, since.time_s, CUTOFF_S, now_s)
    moved = then.probability_ * state.ratio(0.5)

    def score(probability):
        return float(TURNED @ np.log(probability / probability.sum()))

    assert score(moved) > score(then.probability_)
    assert score(moved) > score(new.probability_) - 0.001


def gains(weight, seed, n=1_500):
    """What states of each strength are worth in four weeks of incidents drawn from a density."""
    rows, time_s = after_cutoff(weight, n, HORIZON_DAYS, seed)
    window = (time_s // 3600 % N_WINDOWS).astype(np.int64)
    table = np.tile(BASE, (N_WINDOWS, 1))
    return strength_gains(table, CELLS, rows, window, time_s, CUTOFF_S, HORIZON_DAYS)


def test_states_follow_a_city_that_changes_and_hardly_one_that_does_not():
    assert learnt_strength(gains(TURNED, 5)) == 1.0
    still = [learnt_strength(gains(BASE, seed)) for seed in (5, 6, 7)]
    assert np.mean(still) <= 0.5


def test_without_a_past_period_to_tell_the_prior_decides():
    assert learnt_strength(np.zeros(len(STRENGTHS))) == 1.0
    none = np.zeros(0, np.int64)
    table = BASE[None, :]
    np.testing.assert_array_equal(
        strength_gains(table, CELLS, none, none, none, CUTOFF_S, HORIZON_DAYS), 0.0
    )


def test_the_strength_scales_the_change():
    whole, half = refreshed(TURNED), refreshed(TURNED, strength=0.5)
    np.testing.assert_allclose(
        half.log_ratio_by_memory, 0.5 * whole.log_ratio_by_memory, rtol=1e-5, atol=1e-7
    )
