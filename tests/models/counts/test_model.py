"""The count model: calibrated on held-out slots, exact in distribution, stable on thin data."""

import json

import numpy as np
import pytest

from models.counts.fit import clipped, usable_history
from models.counts.model import CountModel
from models.counts.negative_binomial import (
    cumulative,
    log_mass,
    nearest_interval,
    nominal_level,
)
from models.units import DAY_S, N_WINDOWS
from tests.support.simulated.simulated_counts import MONDAY_S, simulate, slots_of, weekly_shape


@pytest.mark.parametrize("dispersion", [0.0, 0.05, 1.5])
def test_distribution_agrees_with_its_own_mass(dispersion):
    counts = np.arange(3000)
    for mean in (0.01, 0.7, 6.0, 40.0):
        mass = np.exp(log_mass(counts, mean, dispersion))
        assert mass.sum() == pytest.approx(1.0, abs=1e-6)
        assert (counts * mass).sum() == pytest.approx(mean, rel=1e-3)
        np.testing.assert_allclose(np.cumsum(mass), cumulative(counts, mean, dispersion), atol=1e-9)
        variance = ((counts - mean) ** 2 * mass).sum()
        assert variance == pytest.approx(mean + dispersion * mean**2, rel=2e-2)


def test_interval_cuts_each_tail_where_its_mass_is_nearest():
    # Poisson(1): P(C <= 0, 1, 2, 3) = .3679 .7358 .9197 .9810; the upper 5 % tail is nearest at 2
    # (.0803 away from .95 by .0303) against 3 (.0310), the lower at none (0 is .05 away).
    assert tuple(map(float, nearest_interval(1.0, 0.0, 0.9))) == (0.0, 2.0)
    assert tuple(map(float, nearest_interval(1e-6, 0.2, 0.9))) == (0.0, 0.0)


@pytest.mark.parametrize("dispersion", [0.0, 0.1])
def test_interval_against_brute_force(dispersion):
    for mean in (0.3, 2.5, 11.0, 200.0):
        upto = cumulative(np.arange(-1, 2000), mean, dispersion)
        low, high = nearest_interval(mean, dispersion, 0.9)
        assert low == np.argmin(np.abs(upto - 0.05))  # index 0 is "below zero": low = (k + 1)
        assert high == np.argmin(np.abs(upto - 0.95)) - 1


def test_thinned_counts_keep_the_dispersion():
    rng = np.random.default_rng(0)
    mean, dispersion, share = 12.0, 0.3, 0.25
    totals = rng.poisson(mean * rng.gamma(1 / dispersion, dispersion, 200_000))
    part = rng.binomial(totals, share)
    expected = mean * share + dispersion * (mean * share) ** 2
    assert part.var() == pytest.approx(expected, rel=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("level", [0.4, 1.3, 8.0])
def test_held_out_slots_are_covered(level):
    """90 % intervals hold 88 to 92 % of the slots of the next four weeks."""
    rng = np.random.default_rng(3)
    covered = []
    for _ in range(4):
        slots = slots_of(60 * N_WINDOWS)
        count = simulate(rng, slots, level, slot=0.05, day=0.02)
        past, future = slice(0, 56 * N_WINDOWS), slice(56 * N_WINDOWS, None)
        model = CountModel.fit(slots.take(past), count[past])
        low, high = model.interval(model.mean(slots.take(future)))
        covered.append(((count[future] >= low) & (count[future] <= high)).mean())
    assert 0.88 <= np.mean(covered) <= 0.92


@pytest.mark.slow
def test_sums_share_the_errors_of_days_but_not_of_slots():
    rng = np.random.default_rng(5)
    slots = slots_of(80 * N_WINDOWS)
    count = simulate(rng, slots, 6.0, slot=0.2, day=0.04)
    split = 60 * N_WINDOWS
    model = CountModel.fit(slots.take(slice(0, split)), count[:split])
    assert model.by_slot == pytest.approx(0.2, abs=0.05)
    assert model.by_day == pytest.approx(0.04, abs=0.025)
    future = slots.take(slice(split, None))
    mean = model.mean(future)
    inside = []
    for start in range(0, len(future), 24):
        day = slice(start, start + 24)
        low, high = model.interval_of_sum(mean[day], future.time_s[day])
        inside.append(low <= count[split:][day].sum() <= high)
    assert 0.82 <= np.mean(inside) <= 0.975  # of 140 days
    one = model.sum_dispersion(mean[:1], future.time_s[:1])
    assert one == pytest.approx(model.dispersion)
    assert model.sum_dispersion(mean, future.time_s) < 0.2 * one


@pytest.mark.slow
def test_profile_is_recovered_and_thin_windows_are_shrunk():
    rng = np.random.default_rng(1)
    slots = slots_of(70 * N_WINDOWS)
    model = CountModel.fit(slots, simulate(rng, slots, 5.0, slot=0.02, day=0.01))
    truth = weekly_shape() / weekly_shape().mean()
    assert np.mean(model.profile) == pytest.approx(1.0)
    assert np.corrcoef(model.profile, truth)[0, 1] > 0.97
    thin = np.zeros(len(slots), np.int64)
    thin[37] = 1
    lonely = CountModel.fit(slots, thin)
    assert max(lonely.profile) < 2.0


@pytest.mark.slow
def test_season_is_fitted_only_where_it_can_be_told_from_the_trend():
    slots = slots_of(3 * 52 * N_WINDOWS)
    season = 1 + 0.3 * np.cos(2 * np.pi * (slots.time_s - MONDAY_S) / (365.25 * DAY_S))
    count = np.random.default_rng(2).poisson(4.0 * season)
    model = CountModel.fit(slots, count)
    ahead = slots_of(26 * N_WINDOWS, first=len(slots))
    assert len(model.season) == 4
    expected = 4.0 * (1 + 0.3 * np.cos(2 * np.pi * (ahead.time_s - MONDAY_S) / (365.25 * DAY_S)))
    assert (
        np.abs(
            model.mean(ahead).reshape(26, -1).mean(1) / expected.reshape(26, -1).mean(1) - 1
        ).max()
        < 0.1
    )
    short = slice(0, 60 * N_WINDOWS)
    assert CountModel.fit(slots.take(short), count[short]).season == ()


@pytest.mark.slow
def test_piles_at_midnight_do_not_raise_the_forecast():
    rng = np.random.default_rng(7)
    slots = slots_of(100 * N_WINDOWS)
    clean = simulate(rng, slots, 3.0, slot=0.05, day=0.02)
    piled = clean.copy()
    piled[slots.holiday & (slots.window % 24 == 0)] = 500
    future = slots_of(4 * N_WINDOWS, first=len(slots))
    without, with_piles = (CountModel.fit(slots, c) for c in (clean, piled))
    assert with_piles.mean(future).sum() == pytest.approx(without.mean(future).sum(), rel=0.02)
    assert with_piles.holiday_factor == pytest.approx(without.holiday_factor, abs=0.25)
    assert clipped(piled, without.mean(slots)).max() < 50


def test_history_starts_where_the_feed_does():
    slots = slots_of(40 * N_WINDOWS)
    count = np.zeros(len(slots), np.int64)
    count[5] = 1
    count[10 * N_WINDOWS :] = 2
    assert usable_history(slots, count).start == 10 * N_WINDOWS
    assert CountModel.fit(slots, count).level == pytest.approx(2.0, rel=0.01)


def test_level_follows_recent_weeks_and_returns_slowly_to_the_years():
    slots = slots_of(60 * N_WINDOWS)
    count = np.where(np.arange(len(slots)) < 50 * N_WINDOWS, 8, 4)
    model = CountModel.fit(slots, count)
    soon = model.mean(slots_of(N_WINDOWS, first=len(slots))).mean()
    late = model.mean(slots_of(N_WINDOWS, first=len(slots) + 104 * N_WINDOWS)).mean()
    assert soon == pytest.approx(4.0, rel=0.1)
    assert soon < late < 8.0


@pytest.mark.parametrize("n_hours", [0, 1, 24, 30 * N_WINDOWS])
def test_thin_or_empty_history_gives_finite_forecasts(n_hours):
    slots = slots_of(n_hours)
    for count in (np.zeros(n_hours, np.int64), np.ones(n_hours, np.int64)):
        model = CountModel.fit(slots, count)
        mean = model.mean(slots_of(N_WINDOWS, first=n_hours))
        low, high = model.interval(mean)
        assert np.all(np.isfinite(mean))
        assert np.all((low >= 0) & (low <= high) & np.isfinite(high))


def test_state_survives_json():
    slots = slots_of(30 * N_WINDOWS)
    count = np.random.default_rng(0).poisson(2.0, len(slots))
    model = CountModel.fit(slots, count).with_categories(
        slots.window, slots.window % 3, 3, slots.time_s
    )
    assert CountModel.from_state(json.loads(json.dumps(model.state()))) == model


def test_category_shares_sum_to_one_and_rare_categories_are_shrunk():
    slots = slots_of(10 * N_WINDOWS)
    category = np.zeros(len(slots), np.int64)
    category[100] = 1
    model = CountModel.fit(slots, np.ones(len(slots), np.int64)).with_categories(
        slots.window, category, 3, slots.time_s
    )
    for window in range(N_WINDOWS):
        shares = [model.category_share(c, window) for c in range(3)]
        assert sum(shares) == pytest.approx(1.0)
        assert 0 < shares[2] < shares[1] < 0.02
    assert model.category_share(-1, 0) == 1.0


def test_nominal_level_makes_expected_coverage_meet_the_target():
    mean = 1.5 * weekly_shape()
    level = nominal_level(mean, 0.05, 0.9)
    low, high = nearest_interval(mean, 0.05, level)
    inside = cumulative(high, mean, 0.05) - cumulative(low - 1, mean, 0.05)
    assert inside.mean() == pytest.approx(0.9, abs=0.005)
