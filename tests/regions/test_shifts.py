"""Shifts: their spans by the wall clock, also where clocks change, and their settings."""

import itertools
from datetime import UTC, date, datetime, time, timedelta

import pytest

from app.core.errors import InvalidInput
from app.core.zones import zone
from app.regions.shifts import DEFAULT_SHIFTS, Shift, shifts_json, shifts_of

ZONE = "America/Toronto"


@pytest.mark.parametrize(
    ("day", "hours"), [((2022, 3, 12), 7), ((2022, 11, 5), 9), ((2022, 6, 1), 8)]
)
def test_a_night_is_as_long_as_the_clock_makes_it(day, hours):
    start, end = DEFAULT_SHIFTS["night"].span(date(*day), ZONE)
    assert end - start == timedelta(hours=hours)
    assert start.astimezone(zone(ZONE)).hour == 22
    assert end.astimezone(zone(ZONE)).hour == 6


@pytest.mark.parametrize("timezone", [ZONE, "Australia/Lord_Howe", "Asia/Kolkata", "Africa/Cairo"])
def test_the_shifts_of_a_year_follow_one_another_without_gap_or_overlap(timezone):
    spans = [
        shift.span(date(2024, 1, 1) + timedelta(days=k), timezone)
        for k in range(366)
        for shift in DEFAULT_SHIFTS.values()
    ]
    for (_, end), (start, _) in itertools.pairwise(spans):
        assert end == start


def test_the_next_shift_is_the_first_that_has_not_ended():
    night = DEFAULT_SHIFTS["night"]
    for hour, day in ((3, 9), (6, 10), (21, 10), (23, 10)):
        local = datetime(2022, 6, 10, hour, tzinfo=zone(ZONE))
        assert night.next_day(local.astimezone(UTC), ZONE) == date(2022, 6, day)


def test_equal_times_are_a_whole_day():
    start, end = Shift(time(7), time(7)).span(date(2022, 6, 1), ZONE)
    assert end - start == timedelta(hours=24)


def test_what_a_region_stores_replaces_the_defaults_by_name():
    settings = {"plan": {"shifts": {"late": {"start": "15:00", "end": "23:30"}}}}
    assert shifts_of(settings)["late"] == Shift(time(15), time(23, 30))
    assert shifts_of(settings)["early"] == DEFAULT_SHIFTS["early"]
    assert shifts_json({})["night"] == {"start": "22:00", "end": "06:00"}


@pytest.mark.parametrize("text", ["24:00", "6:00", "06:00:00", "", "06:60"])
def test_a_wrong_time_is_refused(text):
    with pytest.raises(InvalidInput):
        Shift.of(text, "06:00", "shifts.early")
