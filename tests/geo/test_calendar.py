"""Holidays by the local day of the region's country."""

from datetime import UTC, datetime

import numpy as np
import pytest

from app.geo.calendar import country_of, holiday_flags


def utc(*parts):
    return int(datetime(*parts, tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("timezone", "country"),
    [
        ("America/Chicago", "US"),
        ("America/Vancouver", "CA"),
        ("America/Bogota", "CO"),
        ("Europe/London", "GB"),
        ("Australia/Sydney", "AU"),
        ("Asia/Kolkata", "IN"),
        ("US/Central", "US"),
        ("America/Montreal", "CA"),
        ("UTC", None),
        ("Etc/GMT+5", None),
    ],
)
def test_country_of_a_zone(timezone, country):
    assert country_of(timezone) == country


def test_holidays_follow_the_local_day():
    # 4 July 2019 in Chicago runs from 05:00 UTC to 05:00 UTC of the next day.
    instants = np.array([utc(2019, 7, 4, 4, 59), utc(2019, 7, 4, 5), utc(2019, 7, 5, 4, 59)])
    np.testing.assert_array_equal(holiday_flags(instants, "America/Chicago"), [False, True, True])
    np.testing.assert_array_equal(holiday_flags(instants, "America/Toronto"), [False] * 3)


def test_flags_span_years_and_unknown_countries_have_none():
    instants = np.array([utc(2018, 12, 25, 12), utc(2019, 1, 1, 12), utc(2019, 1, 3, 12)])
    np.testing.assert_array_equal(holiday_flags(instants, "America/New_York"), [True, True, False])
    assert not holiday_flags(instants, "UTC").any()
    assert len(holiday_flags(np.zeros(0, np.int64), "America/New_York")) == 0
