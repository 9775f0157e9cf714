from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from app.geo.hour_of_week import (
    minute_of_hour,
    next_slot_of,
    slot_start,
    touched_hours,
    window_of,
    windows_of,
)

ZONES = (
    "America/Toronto",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Europe/Madrid",
    "Asia/Kathmandu",
)


@pytest.mark.parametrize("timezone", ZONES)
def test_windows_follow_the_wall_clock_for_ten_years(timezone):
    start = int(datetime(2015, 1, 1, tzinfo=UTC).timestamp())
    time_s = start + np.arange(10 * 366 * 24 * 2, dtype=np.int64) * 1800
    zone = ZoneInfo(timezone)
    sample = np.linspace(0, len(time_s) - 1, 20_000).astype(int)
    expected = [
        (local := datetime.fromtimestamp(int(t), zone)).weekday() * 24 + local.hour
        for t in time_s[sample]
    ]
    assert windows_of(time_s[sample], timezone).tolist() == expected


def test_a_clock_change_leaves_an_hour_out_or_doubles_it():
    def quarters(start, hours):
        first = int(start.timestamp())
        return windows_of(np.arange(first, first + hours * 3600, 900), "America/Toronto").tolist()

    spring = quarters(datetime(2024, 3, 4, 5, tzinfo=UTC), 167)
    assert spring.count(6 * 24 + 2) == 0
    assert {spring.count(window) for window in range(168) if window != 6 * 24 + 2} == {4}
    autumn = quarters(datetime(2024, 10, 28, 4, tzinfo=UTC), 169)
    assert autumn.count(6 * 24 + 1) == 8


def test_next_slot_starts_its_window():
    after = datetime(2024, 3, 9, tzinfo=UTC)
    for window in range(168):
        slot = next_slot_of(window, after, "America/Toronto")
        assert slot >= after
        assert window_of(slot, "America/Toronto") == window
        assert slot_start(slot, "America/Toronto") == slot


def seconds(*clock, zone="America/Toronto"):
    return int(datetime(*clock, tzinfo=ZoneInfo(zone)).timestamp())


def touched(start, end, zone="America/Toronto"):
    """Number of hours, windows and covered shares of one interval between two local times."""
    both = (np.array([seconds(*clock, zone=zone)]) for clock in (start, end))
    n_hours, window, overlap = touched_hours(*both, zone)
    return int(n_hours[0]), window.tolist(), overlap.tolist()


def test_an_interval_touches_its_hours_by_what_it_covers():
    # 8 January 2024 was a Monday.
    found = touched((2024, 1, 8, 7, 45), (2024, 1, 8, 10, 15))
    assert found == (4, [7, 8, 9, 10], [0.25, 1, 1, 0.25])


def test_within_one_hour_a_time_is_exact():
    assert touched((2024, 1, 8, 7), (2024, 1, 8, 8)) == (0, [], [])
    assert touched((2024, 1, 8, 7, 59), (2024, 1, 8, 7, 59)) == (0, [], [])
    assert touched((2024, 1, 8, 7, 59), (2024, 1, 8, 8, 1))[0] == 2


def test_clock_changes_skip_an_hour_or_have_it_twice():
    spring = touched((2024, 3, 10), (2024, 3, 11))
    assert spring[0] == 23
    assert 6 * 24 + 2 not in spring[1]
    autumn = touched((2024, 11, 3), (2024, 11, 4))
    assert autumn[0] == 25
    assert autumn[1].count(6 * 24 + 1) == 2
    assert set(autumn[2]) == {1.0}


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "Asia/Kathmandu"])
def test_hours_are_those_of_the_local_clock(zone):
    found = touched((2024, 1, 8, 9), (2024, 1, 8, 11), zone)
    assert found == (2, [9, 10], [1, 1])
    at = np.array([seconds(2024, 1, 8, 9, 41, zone=zone)])
    assert minute_of_hour(at, zone).tolist() == [41]


def test_several_intervals_follow_one_another():
    start = np.array([seconds(2024, 1, 8, h, 30) for h in (1, 5, 9)])
    end = start + np.array([3600, 0, 7200])
    n_hours, window, overlap = touched_hours(start, end, "America/Toronto")
    assert n_hours.tolist() == [2, 0, 3]
    assert window.tolist() == [1, 2, 9, 10, 11]
    assert overlap.tolist() == [0.5, 0.5, 0.5, 1, 0.5]
