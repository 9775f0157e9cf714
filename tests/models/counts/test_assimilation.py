"""The level of the counts, brought forward, is what a fit to all hours would give."""

import dataclasses

import numpy as np
import pytest

from models.counts.assimilation import USUAL_DAYS, assimilated
from models.counts.model import CountModel
from models.units import HOUR_S
from tests.support.simulated.simulated_counts import simulate, slots_of

HISTORY_H, NEW_H = 104 * 168, 28 * 24


def usual():
    return slots_of(USUAL_DAYS * 24, HISTORY_H - USUAL_DAYS * 24)


def new_slots(n_hours=NEW_H):
    return slots_of(n_hours, HISTORY_H)


@pytest.fixture(scope="module")
def fitted():
    rng = np.random.default_rng(4)
    slots = slots_of(HISTORY_H)
    model = CountModel.fit(slots, simulate(rng, slots, 3.0, 0.02, 0.02))
    # Without a season, whose next fit would differ.
    return dataclasses.replace(model, season=(), holiday_factor=1.0)


def counts(level, n_hours=NEW_H, seed=5):
    return simulate(np.random.default_rng(seed), new_slots(n_hours), level, 0.02, 0.02)


def test_no_hours_change_nothing(fitted):
    assert assimilated(fitted, usual(), new_slots(0), np.zeros(0, np.int64)) is fitted


def test_hours_as_expected_leave_the_level(fitted):
    model = assimilated(fitted, usual(), new_slots(), np.rint(fitted.mean(new_slots())).astype(int))
    assert model.level == pytest.approx(fitted.level, rel=0.03)
    assert model.cutoff_s == fitted.cutoff_s + NEW_H * HOUR_S


def test_the_filter_in_steps_is_the_filter_at_once(fitted):
    count = counts(6.0)
    once = assimilated(fitted, usual(), new_slots(), count)
    half = NEW_H // 2
    first = assimilated(fitted, usual(), slots_of(half, HISTORY_H), count[:half])
    before = slots_of(USUAL_DAYS * 24, HISTORY_H + half - USUAL_DAYS * 24)
    twice = assimilated(first, before, slots_of(half, HISTORY_H + half), count[half:])
    # Only the clipping of extreme hours may differ, which goes by the level before.
    assert twice.level == pytest.approx(once.level, rel=0.02)
    assert twice.level_hours == pytest.approx(once.level_hours, rel=1e-6)


def test_it_is_the_exponentially_weighted_mean_of_all_hours(fitted):
    count = counts(4.0)
    model = assimilated(fitted, usual(), new_slots(), count)
    half_life_h = fitted.level_half_life_weeks * 168
    age_h = NEW_H - 1 - np.arange(NEW_H)
    weight = 0.5 ** (age_h / half_life_h)
    shape = fitted.mean(new_slots()) / fitted.levels(new_slots().time_s)
    known = fitted.level_hours * 0.5 ** (NEW_H / half_life_h)
    level = (fitted.level * known + weight @ count) / (known + weight @ shape)
    assert model.level == pytest.approx(level, rel=0.01)
    assert fitted.level < model.level < 4.0 * 1.2


def test_a_feed_that_stops_does_not_look_like_quiet(fitted):
    count = counts(3.0)
    count[NEW_H - 10 * 24 :] = 0
    model = assimilated(fitted, usual(), new_slots(), count)
    assert model.level == pytest.approx(fitted.level, rel=0.1)
    ((start_s, end_s),) = model.undelivered_s[len(fitted.undelivered_s) :]
    assert (end_s - start_s) / HOUR_S == pytest.approx(240, abs=24)


def test_a_backlog_in_one_hour_does_not_swing_the_level(fitted):
    count = counts(3.0)
    count[-5] = 5_000
    model = assimilated(fitted, usual(), new_slots(), count)
    assert model.level == pytest.approx(fitted.level, rel=0.1)


def test_versions_that_did_not_store_the_weights_get_the_usual_ones(fitted):
    old = dataclasses.replace(fitted, level_hours=0.0, slow_level_hours=0.0)
    count = counts(6.0)
    one, other = (assimilated(m, usual(), new_slots(), count).level for m in (fitted, old))
    assert one == pytest.approx(other, rel=0.05)
