"""Times in requests: RFC 3339 and nothing else."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from app.core.errors import InvalidInput
from app.http.parameters import Moment, moment, parse_time

offsets = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda m: timezone(timedelta(minutes=m)))
times = st.datetimes(datetime(1000, 1, 1), timezones=st.one_of(st.none(), offsets))


@given(times)
def test_every_written_time_is_read_back(time):
    text = time.isoformat()
    assert parse_time(text) == time
    assert parse_time(text).tzinfo == time.tzinfo
    # A plus sign that was not percent-encoded arrives as a space.
    assert parse_time(text.replace("+", " ")) == time
    assert moment(f" {text} ", "at") == time


@given(st.dates())
def test_a_date_is_its_midnight(date):
    if date.year >= 1000:
        assert parse_time(date.isoformat()) == datetime(date.year, date.month, date.day)


@pytest.mark.parametrize(
    "text",
    [
        "", "now", "2026", "1700000000", "2026-1-10", "2026-13-01", "2026-02-30", "2026-04-31",
        "2025-02-29", "2026-01-10T24:00", "2026-01-10T23:60", "2026-01-10T23", "2026-01-10T23:00:60",
        "2026-01-10T23:00+24:00", "2026-01-10T23:00Zulu", "２０２６-01-10", "20260110",
    ],
)  # fmt: skip
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match=r"RFC 3339|day is out of range"):
        parse_time(text)
    with pytest.raises(InvalidInput) as refused:
        moment(text, "from")
    assert refused.value.field == "from"


def test_a_missing_parameter_is_none():
    assert moment(None, "at") is None


@pytest.mark.parametrize("value", [1_700_000_000, 1.5, True, None, ["2026-01-10"], "17"])
def test_a_body_takes_no_bare_number(value):
    with pytest.raises(ValidationError):
        TypeAdapter(Moment).validate_python(value)


def test_zulu_is_utc():
    assert parse_time("2026-01-10T23:00:00z") == datetime(2026, 1, 10, 23, tzinfo=UTC)
