"""Intervals are shared out by what exact times say of their kind, as far as the intervals agree."""

import numpy as np
import pytest

from models.incidents import Incidents
from models.times.aoristic import Aoristic, shared_out
from models.times.intervals import Intervals
from models.units import HOUR_S, N_WINDOWS
from tests.support.simulated.hidden_times import EVENING, exact_times, hidden, hours_of_week, within

MORNING = 1.0 + 0.8 * np.cos((np.arange(N_WINDOWS) % 24 - 8) / 24 * 2 * np.pi)


def log_score(counts, truth):
    """Mean log probability of the true hours of the week under counts (168,)."""
    profile = (counts + 1.0) / (counts + 1.0).sum()
    return float(truth @ np.log(profile) / truth.sum())


@pytest.mark.parametrize(("share", "least"), [(0.3, 0.95), (0.6, 0.95), (0.9, 0.9)])
def test_most_of_what_the_starts_lose_is_recovered(share, least):
    exact = exact_times()
    known = hidden(exact, share)
    truth = np.bincount(exact_times(seed=5).window, minlength=N_WINDOWS)
    best, start = (
        log_score(np.bincount(one.window, minlength=N_WINDOWS), truth) for one in (exact, known)
    )
    even = log_score(hours_of_week(known), truth)
    found = log_score(hours_of_week(shared_out(known, known)), truth)
    assert found > even > start
    assert (found - start) / (best - start) > least


def test_times_that_are_all_exact_stay_bit_for_bit():
    exact = exact_times(3_000)
    assert shared_out(exact, exact) is exact


def test_burglaries_of_the_working_day_do_not_pile_up_when_people_leave():
    """Most are known from 8 to 18 o'clock; those known exactly, at night, say nothing of the others."""
    day_s = 4 * 24 * HOUR_S + np.arange(240) * 24 * HOUR_S
    by_day = np.arange(240) % 6 > 0
    from_s = day_s + np.where(by_day, 8, 2) * HOUR_S + 600
    to_s = np.where(by_day, day_s + 18 * HOUR_S, from_s)
    known = within(exact_times(240), from_s, to_s)
    aoristic = Aoristic().fit(known)
    by_hour = hours_of_week(aoristic.share(known)).reshape(7, 24).sum(axis=0)
    assert by_hour[8:18].sum() == pytest.approx(200, abs=1e-3)
    assert by_hour[9:18].max() < 1.1 * by_hour[9:18].min()
    assert by_hour[8] < by_hour[9]
    assert by_hour[2] == 40
    assert aoristic.report_[0] == {"exact": 40, "intervals": 200, "placeholders": 0, "trust": 0.0}


def test_exact_times_of_the_night_do_not_move_those_of_the_day():
    """Whether a time is known exactly depends on it: the shares fall back on the intervals."""
    exact = exact_times(profile=MORNING)
    by_day = (exact.window % 24 >= 8) & (exact.window % 24 < 18)
    known = hidden(exact, np.where(by_day, 0.95, 0.05), hours=6)
    aoristic = Aoristic().fit(known)
    assert aoristic.report_[0]["trust"] < 0.5
    truth = np.bincount(exact.window, minlength=N_WINDOWS)
    start = log_score(np.bincount(known.window, minlength=N_WINDOWS), truth)
    found = log_score(hours_of_week(aoristic.share(known)), truth)
    assert found - start > 0.7 * (log_score(truth, truth) - start)


def test_each_kind_has_hours_of_its_own():
    parts = [exact_times(6_000, profile=p, category=c) for c, p in enumerate((EVENING, MORNING))]
    merged = Incidents(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("x_m", "y_m", "time_s", "window", "category")
        )
    )
    known = hidden(merged, 0.6)
    shared = shared_out(known, known)
    for code, peak in ((0, 20), (1, 8)):
        by_hour = hours_of_week(shared.take(shared.category == code)).reshape(7, 24).sum(axis=0)
        assert abs(int(by_hour.argmax()) - peak) <= 2


def test_profiles_of_the_past_share_out_what_follows_and_do_not_look_at_it():
    known = hidden(exact_times(), 0.6)
    half_s = int(np.median(known.time_s))
    past, later = known.before(half_s), known.between(half_s, int(known.time_s[-1]) + 1)
    alone = shared_out(later, past)
    together = shared_out(known, past).between(half_s, int(known.time_s[-1]) + 1)
    np.testing.assert_allclose(alone.intervals.share, together.intervals.share, rtol=1e-6)


def test_a_kind_that_the_past_does_not_know_is_spread_evenly():
    past = hidden(exact_times(1_000), 0.5)
    new = hidden(exact_times(50, seed=3, category=7), 1.0)
    shared = shared_out(new, past)
    np.testing.assert_allclose(shared.intervals.share, new.intervals.share, rtol=1e-6)


def test_a_kind_whose_past_times_were_exact_lends_them_to_its_first_intervals():
    morning = exact_times(6_000, profile=MORNING, category=1)
    others = hidden(exact_times(6_000), 0.5)
    past = Incidents(
        *(
            np.concatenate([getattr(part, name) for part in (morning, others)])
            for name in ("x_m", "y_m", "time_s", "window", "category")
        ),
        intervals=Intervals.evenly(
            np.concatenate([morning.time_s, others.intervals.start_s]),
            np.concatenate([morning.time_s, others.intervals.end_s]),
            np.concatenate([np.zeros(6_000, np.int64), np.diff(others.intervals.first)]),
            others.intervals.window,
            others.intervals.overlap,
        ),
    )
    new = hidden(exact_times(500, seed=3, profile=MORNING, category=1), 1.0, hours=20)
    by_hour = hours_of_week(shared_out(new, past)).reshape(7, 24).sum(axis=0)
    assert by_hour[6:11].sum() > 2.0 * by_hour[18:23].sum()
