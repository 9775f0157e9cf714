"""Intervals widen with the lead where the level wanders, and only there."""

import numpy as np
import pytest

from models.counts.lead import FOLD_LEAD_WEEKS, level_growth
from models.counts.model import CountModel
from models.units import DAY_S
from tests.support.simulated.simulated_counts import simulate, slots_of

N_WEEKS = 200


def wandering(sd_per_week, seed=3):
    """A history whose level takes a random step every week."""
    rng = np.random.default_rng(seed)
    slots = slots_of(N_WEEKS * 168)
    steps = rng.normal(0, sd_per_week, N_WEEKS)
    level = np.exp(np.cumsum(steps) - np.cumsum(steps).mean())
    return slots, rng.poisson(simulate(rng, slots, 8.0, 1e-3, 1e-3) * np.repeat(level, 168))


@pytest.fixture(scope="module")
def restless():
    return CountModel.fit(*wandering(0.04))


def test_the_level_of_a_wandering_feed_is_less_certain_further_ahead(restless):
    assert restless.by_level_per_week > 0
    widths = []
    for days in (0, 7, 28, 90):
        model = restless.at_lead(restless.cutoff_s + days * DAY_S)
        low, high = model.interval(np.array([400.0]))
        widths.append(float(high[0] - low[0]))
    assert widths == sorted(widths)
    assert widths[-1] > 1.1 * widths[0]


@pytest.mark.slow
def test_a_steady_level_is_as_certain_in_three_months():
    steady = CountModel.fit(*wandering(0.0))
    at = [steady.at_lead(steady.cutoff_s + days * DAY_S).dispersion for days in (0, 90)]
    assert at[1] - at[0] < 0.003


def test_years_ahead_are_as_uncertain_as_one(restless):
    one, ten = (restless.at_lead(restless.cutoff_s + y * 365 * DAY_S).by_level for y in (1, 10))
    assert one == ten > restless.by_level


def test_the_line_passes_through_the_folds_at_their_mean_lead(restless):
    middle = restless.at_lead(restless.cutoff_s + int(FOLD_LEAD_WEEKS * 7 * DAY_S))
    assert middle.by_level == pytest.approx(restless.by_level)
    assert restless.at_lead(restless.cutoff_s - DAY_S).by_level >= 0
    old = CountModel.from_state({k: v for k, v in restless.state().items() if "per_week" not in k})
    assert old.at_lead(restless.cutoff_s + 90 * DAY_S) == old


def test_growth_is_that_of_a_planted_variance():
    slots = slots_of(400 * 168)
    count = np.full(len(slots), 50)
    wanted, by_level = 0.004, 0.01
    step = 28 * 24

    def forecast(start, later):
        """Forecasts whose error has a variance that grows by `wanted` every week."""
        ahead = (np.arange(len(later)) // 168) + 0.5
        variance = by_level + wanted * (ahead - FOLD_LEAD_WEEKS)
        sign = 1 if (start // step) % 2 else -1
        return 50.0 / (1 + sign * np.sqrt(np.maximum(variance, 0)))

    found = level_growth(slots, count, by_level, 12 * 168, forecast)
    assert 0.5 * wanted < found <= by_level / FOLD_LEAD_WEEKS
    assert level_growth(slots, count, 0.0, 12 * 168, forecast) == 0.0
    assert level_growth(slots_of(12 * 168), count[: 12 * 168], 0.1, 12 * 168, forecast) == 0.0
