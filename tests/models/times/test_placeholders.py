"""Records of midnight and noon beyond what the hours around suggest have no known time of day."""

from dataclasses import replace

import numpy as np
import pytest

from app.geo.hour_of_week import minute_of_hour, windows_of
from models.times.aoristic import Aoristic, shared_out
from models.times.placeholders import placeholder_chances, with_unknown_times
from models.units import DAY_S, HOUR_S, N_WINDOWS
from tests.support.simulated.hidden_times import exact_times, hours_of_week, within


def heaped(share, hour, minute=0, minutes=True, seed=2):
    """Incidents of which a share is written as one time of day, and which ones these are."""
    known = exact_times(minutes=minutes)
    unknown = np.random.default_rng(seed).random(len(known)) < share
    written_s = known.time_s // DAY_S * DAY_S + hour * HOUR_S + minute * 60
    time_s = np.where(unknown, written_s, known.time_s)
    order = np.argsort(time_s, kind="stable")
    moved = replace(
        known,
        time_s=time_s,
        window=windows_of(time_s, "UTC"),
        minute=minute_of_hour(time_s, "UTC"),
    )
    return known, moved.take(order), unknown[order]


@pytest.mark.parametrize(
    ("hour", "minute", "minutes"), [(0, 0, True), (12, 0, True), (0, 1, True), (12, 0, False)]
)
def test_a_heap_is_spread_over_its_days_and_the_hours_are_as_before(hour, minute, minutes):
    true, written, unknown = heaped(0.15, hour, minute, minutes)
    aoristic = Aoristic().fit(written)
    assert aoristic.report_[0]["placeholders"] == pytest.approx(unknown.sum(), rel=0.05)
    found = hours_of_week(aoristic.share(written)).reshape(7, 24).sum(axis=0)
    expected = np.bincount(true.window, minlength=N_WINDOWS).reshape(7, 24).sum(axis=0)
    np.testing.assert_allclose(found, expected, rtol=0.12)
    assert found.sum() == pytest.approx(len(written), rel=1e-6)


def test_days_stay_the_days_they_were():
    _, written, _ = heaped(0.3, 12)
    shared = shared_out(written, written)
    days = written.time_s // DAY_S
    assert (shared.at_s // DAY_S == days).all()
    found = hours_of_week(shared).reshape(7, 24).sum(axis=1)
    np.testing.assert_allclose(found, np.bincount(written.window // 24, minlength=7), rtol=1e-6)


@pytest.mark.parametrize("minutes", [True, False])
def test_hours_that_people_round_to_are_no_heap(minutes):
    known = exact_times(minutes=minutes)
    rounded_s = known.time_s // HOUR_S * HOUR_S
    time_s = np.where(np.random.default_rng(0).random(len(known)) < 0.4, rounded_s, known.time_s)
    rounded = replace(known, time_s=time_s, minute=minute_of_hour(time_s, "UTC"))
    assert shared_out(rounded, rounded) is rounded


def test_a_few_records_at_midnight_are_chance():
    hour = np.concatenate([np.arange(24), [0, 0, 0]])
    assert placeholder_chances(hour, np.zeros(27, np.int16)).tolist() == [0.0, 0.0]


def test_where_all_records_have_one_time_of_day_none_is_known():
    hour = np.full(500, 12)
    assert placeholder_chances(hour, np.zeros(500, np.int16)).tolist() == [0.0, 1.0]


def test_intervals_that_start_at_noon_are_what_they_say():
    known = exact_times(2_000)
    noon_s = known.time_s // DAY_S * DAY_S + 12 * HOUR_S
    given = within(known, noon_s, noon_s + 3 * HOUR_S)
    assert Aoristic().fit(given).report_[0]["placeholders"] == 0
    assert set((shared_out(given, given).window % 24).tolist()) == {12, 13, 14}


def test_without_minutes_nothing_is_taken_for_a_placeholder():
    _, written, _ = heaped(0.3, 0)
    blind = replace(written, minute=None)
    assert with_unknown_times(blind, np.ones((len(blind), 2))) is blind
    assert shared_out(blind, blind) is blind
