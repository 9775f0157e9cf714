"""Past periods choose the half-lives without being seen by their forecasts, and split what is off."""

import numpy as np
import pytest

from app.fitting.hourly_counts import slots_of
from models.counts.fit import HalfLives
from models.counts.past_forecasts import (
    LEVEL_HALF_LIVES_WEEKS,
    N_FOLDS,
    PERIOD_HOURS,
    PastForecasts,
    fold_starts,
    past_forecasts,
)
from models.units import HOUR_S, N_WINDOWS

N = 60 * N_WINDOWS
SLOTS = slots_of(np.arange(N, dtype=np.int64) * HOUR_S, "UTC")


def test_periods_lie_back_to_back_and_have_a_history():
    starts = fold_starts(SLOTS, N_FOLDS, 12)
    assert starts[0] == N - PERIOD_HOURS
    assert set(np.diff(starts)) == {-PERIOD_HOURS}
    assert min(starts) >= 12 * N_WINDOWS
    assert fold_starts(SLOTS.take(slice(0, 12 * N_WINDOWS)), N_FOLDS, 12) == []


def test_each_forecast_knows_what_came_before_and_nothing_else():
    count = np.random.default_rng(0).poisson(3.0, N)
    seen = []

    def forecast(history, counts, half, later):
        seen.append((len(history), len(counts), int(later.time_s[0])))
        return np.full(len(later), 3.0)

    found = past_forecasts(SLOTS, count, count.astype(float), forecast)
    assert len(found.observed) == N_FOLDS
    for n_slots, n_counts, first_s in seen:
        assert n_slots == n_counts
        assert first_s == n_slots * HOUR_S


def test_the_half_life_that_forecasts_best_is_taken():
    count = np.random.default_rng(0).poisson(3.0, N)
    best = LEVEL_HALF_LIVES_WEEKS[1]

    def forecast(history, counts, half, later):
        return np.full(len(later), 3.0 if half.level_weeks == best else 5.0)

    assert past_forecasts(SLOTS, count, count.astype(float), forecast).half.level_weeks == best


def test_without_a_history_there_are_none():
    short = SLOTS.take(slice(0, 10 * N_WINDOWS))
    zeros = np.zeros(len(short))
    assert past_forecasts(short, zeros.astype(int), zeros, lambda *_: zeros) is None


@pytest.mark.parametrize("planted", ["slot", "day", "level"])
def test_what_is_off_by_hours_days_and_periods_is_told_apart(planted):
    """Rates are off by a gamma factor of variance 0.2, drawn anew for each hour, day or period."""
    rng = np.random.default_rng(1)
    lengths = {"slot": 1, "day": 24, "level": PERIOD_HOURS}
    observed, means = [], []
    for _ in range(60):
        factor = np.repeat(rng.gamma(5.0, 0.2, PERIOD_HOURS // lengths[planted]), lengths[planted])
        observed.append(rng.poisson(20.0 * factor))
        means.append(np.full(PERIOD_HOURS, 20.0))
    by_slot, by_day, by_level = PastForecasts(HalfLives(), observed, means).dispersions()
    found = {"slot": by_slot, "day": by_day, "level": by_level}
    assert found[planted] == pytest.approx(0.2, abs=0.06)
    assert sum(found.values()) - found[planted] < 0.05


def test_coverage_is_that_of_the_intervals():
    rng = np.random.default_rng(2)
    means = [np.full(PERIOD_HOURS, 8.0)] * 4
    right = [rng.poisson(8.0, PERIOD_HOURS) for _ in means]
    wide = [rng.poisson(8.0 * rng.gamma(2.0, 0.5, PERIOD_HOURS)) for _ in means]
    assert PastForecasts(HalfLives(), right, means).coverage(0.001) == pytest.approx(0.9, abs=0.03)
    assert PastForecasts(HalfLives(), wide, means).coverage(0.001) < 0.75
