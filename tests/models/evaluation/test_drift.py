"""Drift tests: quiet without drift, awake with it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from app.fitting.hourly_counts import slots_of
from models.counts.model import CountModel
from models.evaluation import drift
from models.units import DAY_S

HOUR_S = 3600
START_S = 1_600_000_000 // DAY_S * DAY_S
N_TRIALS = 400
HORIZON = 14
TEST_LEVEL = 0.05
"""The level at which the error is counted: rare events at `drift.LEVEL` would take too long."""


@pytest.fixture(scope="module")
def counts():
    profile = 1 + 0.5 * np.sin(np.arange(168) * 2 * np.pi / 24)
    return CountModel(
        tuple((profile / profile.mean()).tolist()),
        (),
        level=4.0,
        slow_level=4.0,
        holiday_factor=1.0,
        cutoff_s=START_S,
        by_slot=0.05,
        by_day=0.03,
        by_level=0.004,
        nominal_level=0.9,
    )


@pytest.fixture(scope="module")
def slots():
    return slots_of(START_S + HOUR_S * np.arange(24 * HORIZON, dtype=np.int64), "UTC")


def drawn(counts, slots, rng, factor=1.0):
    """Counts as the model says they come, its three kinds of error included."""
    day = (slots.time_s - START_S) // DAY_S
    rate = factor * counts.mean(slots) * rng.gamma(1 / counts.by_level, counts.by_level)
    rate = rate * rng.gamma(1 / counts.by_day, counts.by_day, HORIZON)[day]
    return rng.poisson(rate * rng.gamma(1 / counts.by_slot, counts.by_slot, len(rate)))


def at_most(n_alarms: int, n_trials: int, level: float) -> bool:
    """Whether so many alarms are in keeping with the level (or fewer)."""
    return n_alarms <= binom.ppf(0.999, n_trials, level)


def test_volume_keeps_its_level_and_sees_a_change(counts, slots):
    rng = np.random.default_rng(1)
    p_values = [
        drift.volume_p_value(counts, slots, int(drawn(counts, slots, rng).sum()))
        for _ in range(N_TRIALS)
    ]
    assert at_most(sum(p < TEST_LEVEL for p in p_values), N_TRIALS, TEST_LEVEL)
    assert sum(p < drift.LEVEL for p in p_values) <= 3
    assert 0.3 < np.mean(p_values) < 0.7, "neither blind nor nervous"
    for factor in (0.65, 1.5):
        shifted = int(drawn(counts, slots, rng, factor).sum())
        assert drift.volume_p_value(counts, slots, shifted) < drift.LEVEL


@pytest.mark.slow
def test_calibration_keeps_its_level_and_sees_a_change(counts, slots):
    rng = np.random.default_rng(2)
    p_values = [
        drift.calibration_p_value(counts, slots, drawn(counts, slots, rng))[0] for _ in range(12)
    ]
    assert min(p_values) > drift.LEVEL
    bursts = drawn(counts, slots, rng) * rng.choice([0, 3], len(slots), p=[2 / 3, 1 / 3])
    assert drift.calibration_p_value(counts, slots, bursts)[0] < drift.LEVEL


def residuals(rng, days, shift=0.0):
    """Days of 60 incidents whose residuals share a day's error."""
    day = np.repeat(np.arange(days), 60)
    own, shared = rng.normal(0, 1.2, len(day)), rng.normal(0, 0.1, days)[day]
    return drift.day_sums(day, own + shared - 0.3 + shift)


def test_place_keeps_its_level_and_sees_a_change():
    rng = np.random.default_rng(3)
    p_values = [
        drift.place_p_value(residuals(rng, 7), residuals(rng, 28)) for _ in range(2 * N_TRIALS)
    ]
    assert at_most(sum(p < TEST_LEVEL for p in p_values), len(p_values), TEST_LEVEL)
    assert sum(p < drift.LEVEL for p in p_values) <= 5
    assert drift.place_p_value(residuals(rng, 7, -0.5), residuals(rng, 28)) < drift.LEVEL
    assert drift.place_p_value(residuals(rng, 7, 0.5), residuals(rng, 28)) > 0.5, (
        "better is no drift"
    )


def test_a_version_falls_behind_only_when_it_does():
    rng = np.random.default_rng(4)
    same = [drift.falls_behind(residuals(rng, 7, 0.3)) for _ in range(2 * N_TRIALS)]
    assert at_most(sum(p < TEST_LEVEL for p in same), len(same), TEST_LEVEL)
    assert drift.falls_behind(residuals(rng, 3, -1.0)) < 0.01
    assert drift.falls_behind(residuals(rng, 7, -1.0)) < drift.LEVEL
    assert drift.falls_behind(residuals(rng, 2, -5.0)) == 1.0, "two days tell nothing"


def test_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(5)
    inside = 0
    for _ in range(N_TRIALS):
        lo, hi = drift.interval_of(residuals(rng, 10, 0.3))
        inside += lo <= 0 <= hi
    assert 0.92 <= inside / N_TRIALS <= 0.98


def test_expected_log_density_is_that_of_drawn_places():
    from app.training.validation import StoredModel

    rng = np.random.default_rng(6)
    area = rng.uniform(0.5, 1.0, 40)
    model = StoredModel(rng.gamma(0.5, size=(168, 40)), area)
    rows = rng.choice(40, 200_000, p=model.probability_[5])
    found = model.log_density(rows, np.full(len(rows), 5)).mean()
    assert abs(found - drift.expected_log_density(model)[5]) < 0.02
