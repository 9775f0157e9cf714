"""Times of day that stand for unknown ones, or for a wrong zone, are warned of in blocks of any size."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.incidents.parsing.clock_counts import MIN_ROWS, MIN_ROWS_OF_ZONE, ClockCounts

BEHIND_S = -5 * 3600
DAYS = np.arange(400) * 86_400
CITY = np.array(
    [9, 7, 5, 3, 2, 2, 3, 5, 8, 9, 10, 10, 12, 11, 11, 12, 13, 14, 15, 15, 14, 13, 12, 10]
)


def city(n, shift_h=0):
    """Return local seconds of n incidents with a city's hours."""
    rng = np.random.default_rng(7)
    hours = rng.choice(24, n, p=CITY / CITY.sum()) + shift_h
    return rng.choice(DAYS, n) + hours * 3600 + rng.integers(0, 60, n) * 60


def codes(local_s, offset_s=BEHIND_S, *, states_utc=False):
    counts = ClockCounts()
    counts.note(local_s - offset_s, np.full(len(local_s), offset_s))
    return [one.code for one in counts.warnings(states_utc=states_utc)]


@given(st.lists(st.integers(0, 86_399), max_size=50), st.integers(0, 50))
def test_where_a_block_ends_does_not_matter(times, cut):
    whole, parted = ClockCounts(), ClockCounts()
    for counts, parts in ((whole, [times]), (parted, [times[:cut], times[cut:]])):
        for part in parts:
            counts.note(np.array(part, np.int64), np.full(len(part), BEHIND_S))
    assert (whole.by_minute == parted.by_minute).all()
    assert (whole.by_utc_minute == parted.by_utc_minute).all()
    assert whole.by_minute.sum() == len(times)


def test_a_citys_hours_are_not_warned_of():
    assert codes(city(5000)) == codes(city(5000), states_utc=True) == []


@pytest.mark.parametrize(("n", "expected"), [(MIN_ROWS, ["one_time_of_day"]), (MIN_ROWS - 1, [])])
def test_one_time_of_day_is_said_from_the_least_number_on(n, expected):
    assert codes(DAYS[:n] + 12 * 3600) == expected


def test_a_heap_is_said():
    assert codes(np.append(city(5000), DAYS + 1)) == ["time_heaping"]


@pytest.mark.parametrize(("shift_h", "states_utc", "n", "expected"),
                         [(-5, True, 5000, ["zone_in_doubt"]), (-5, False, 5000, []),
                          (0, True, 5000, []), (-5, True, MIN_ROWS_OF_ZONE - 1, [])])  # fmt: skip
def test_local_times_called_utc_are_doubted(shift_h, states_utc, n, expected):
    assert codes(city(n, shift_h), states_utc=states_utc) == expected
