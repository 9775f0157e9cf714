"""Intervals share each incident out over the hours that it touches, and lose none of it."""

import numpy as np
import pytest

from models.times.intervals import HourShares
from models.units import HOUR_S, N_WINDOWS
from tests.support.simulated.hidden_times import EVENING, exact_times, hidden, hours_of_week, within


def test_each_incident_counts_once_over_its_hours():
    known = hidden(exact_times(2_000), 0.5)
    hours = known.by_hour()
    np.testing.assert_allclose(np.bincount(hours.incident, hours.weight), 1.0, rtol=1e-6)
    exact = ~known.intervals.is_interval
    assert exact.sum() == pytest.approx(1_000, rel=0.1)
    assert (np.bincount(hours.incident)[exact] == 1).all()


def test_an_hour_counts_by_how_much_of_it_the_interval_covers():
    one = exact_times(1)
    start_s = np.array([4 * 24 * HOUR_S + 8 * HOUR_S + 1_800])  # Monday 08:30
    known = within(one, start_s, start_s + 2 * HOUR_S)
    hours = known.by_hour()
    assert hours.window.tolist() == [8, 9, 10]
    np.testing.assert_allclose(hours.weight, [0.25, 0.5, 0.25], rtol=1e-6)


def test_exact_incidents_stay_as_they_are():
    known = exact_times(500)
    hours = known.by_hour()
    assert hours.is_exact
    assert hours.incident.tolist() == list(range(500))
    assert (hours.window == known.window).all()
    assert (hours.weight == 1.0).all()
    values = np.random.default_rng(0).normal(size=500)
    assert hours.mean(values) is values
    assert hours.log_mean_exp(values) is values


def test_some_of_the_incidents_have_the_same_hours_as_among_all():
    known = hidden(exact_times(300), 0.5)
    rows = np.array([200, 7, 7, 30])
    for place, row in enumerate(rows):
        one, among = known.take(rows[place : place + 1]), known.take([row])
        assert hours_of_week(one).tolist() == hours_of_week(among).tolist()
    whole = known.by_hour()
    chosen = np.zeros(300, bool)
    chosen[rows] = True
    part = whole.of(chosen)
    found = known.take(chosen).by_hour()
    for name in ("incident", "window"):
        assert (getattr(part, name) == getattr(found, name)).all()
    np.testing.assert_allclose(part.weight, found.weight)


def test_incidents_without_intervals_among_those_taken_are_exact():
    known = hidden(exact_times(300), 0.5)
    assert known.take(~known.intervals.is_interval).intervals is None


def test_before_an_instant_only_intervals_that_have_ended_are_known():
    known = hidden(exact_times(3_000), 0.5)
    at_s = int(np.median(known.time_s))
    past = known.before(at_s)
    assert past.intervals.end_s.max() <= at_s
    is_past = known.intervals.end_s <= at_s
    is_past &= known.time_s < at_s
    assert len(past) == is_past.sum()
    assert (
        len(known.between(at_s, at_s + 50 * HOUR_S))
        == ((known.time_s >= at_s) & (known.time_s < at_s + 50 * HOUR_S)).sum()
    )


def test_drawn_hours_follow_the_shares_and_lie_in_the_interval():
    n = 40_000
    one = exact_times(n)
    start_s = np.full(n, 4 * 24 * HOUR_S + 14 * HOUR_S + 600)
    shared = within(one, start_s, start_s + 8 * HOUR_S).shared_by(EVENING[None])
    at_s = shared.at_s
    assert (at_s >= start_s).all()
    assert (at_s < start_s + 8 * HOUR_S).all()
    drawn = np.bincount(shared.window, minlength=N_WINDOWS) / n
    expected = hours_of_week(shared) / n
    np.testing.assert_allclose(drawn, expected, atol=4 * np.sqrt(0.25 / n))
    assert ((at_s // HOUR_S + 72) % N_WINDOWS == shared.window).all()


def test_means_over_hours_weigh_them():
    hours = HourShares(np.array([0, 0, 1]), np.array([1, 2, 3]), np.array([0.25, 0.75, 1.0]))
    assert hours.mean(np.array([4.0, 8.0, 5.0])).tolist() == [7.0, 5.0]
    np.testing.assert_allclose(
        hours.log_mean_exp(np.log([0.2, 0.4, 0.1])), np.log([0.35, 0.1]), rtol=1e-12
    )
