"""Times as instants: offsets, wall times over changes of the clock, and why a text is none."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.incidents.parsing.instants import DAY_S, local_to_utc, read_instants
from app.incidents.parsing.row_errors import RowErrors

BERLIN = "Europe/Berlin"
NOW_S = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())


def read(*texts, timezone=BERLIN, **options):
    """The instants of a column, and {row: code} of its errors."""
    errors = RowErrors(len(texts))
    found = read_instants(
        pd.Series(texts, dtype=object), "occurred_at", timezone=timezone, now_s=NOW_S, errors=errors,
        **options,
    )  # fmt: skip
    return found, {row: reason.code for row, (_, reason) in errors.reasons.items()}


def in_utc(seconds):
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%m-%d %H:%M:%S")


@given(
    st.lists(st.integers(0, 2_000_000_000), min_size=1, max_size=20),
    st.sampled_from([BERLIN, "America/St_Johns", "Australia/Lord_Howe", "Asia/Kolkata"]),
    st.booleans(),
)
def test_wall_times_are_what_the_time_zones_say(wall_s, timezone, second_pass):
    found = local_to_utc(np.array(wall_s), timezone, second_pass=second_pass)
    for wall, seconds in zip(wall_s, found, strict=True):
        naive = datetime(1970, 1, 1) + timedelta(seconds=wall)
        aware = naive.replace(tzinfo=ZoneInfo(timezone), fold=second_pass)
        if aware.astimezone(UTC).astimezone(ZoneInfo(timezone)).replace(tzinfo=None) == naive:
            assert int(seconds) == int(aware.timestamp())


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2024-03-31T02:00:00", "03-31 01:00:00"),
        ("2024-03-31T02:59:59", "03-31 01:00:00"),
        ("2024-03-31T03:00:00", "03-31 01:00:00"),
        ("2024-10-27T02:30:00", "10-27 00:30:00"),
        ("2024-10-27T02:30:00+01:00", "10-27 01:30:00"),
        ("2024-07-01T12:00-0330", "07-01 15:30:00"),
        (" 2024-07-01t12:00z ", "07-01 12:00:00"),
        ("2024-07-01 12:00", "07-01 10:00:00"),
    ],
)
def test_a_skipped_time_is_the_end_of_the_gap_and_a_repeated_one_its_first_pass(text, instant):
    found, errors = read(text)
    assert errors == {}
    assert in_utc(found.time_s[0]) == instant
    assert bool(found.is_local[0]) == ("+" not in text and "-0330" not in text and "z" not in text)


def test_the_second_pass_is_taken_of_wall_times_alone_where_it_is_asked_for():
    found, _ = read(*["2024-10-27T02:30:00"] * 2, "2024-10-27T02:30:00+02:00")
    later = found.second_pass(np.array([True, False, True]))
    assert (later - found.time_s).tolist() == [3600, 0, 0]


@pytest.mark.parametrize(
    ("day", "hours"), [("2024-03-31", 23), ("2024-10-27", 25), ("2024-07-01", 24)]
)
def test_a_date_alone_is_its_local_day(day, hours):
    found, errors = read(day, f"{day}T00:00", date_only=True)
    assert errors == {}
    assert found.is_day.tolist() == [True, False]
    assert (found.day_ends() - found.time_s).tolist() == [hours * 3600, 0]
    assert found.time_s[0] == found.time_s[1]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "missing"),
        ("", "missing"),
        (1_700_000_000, "epoch_not_accepted"),
        ("1700000000", "epoch_not_accepted"),
        ("01/02/2024", "ambiguous_date"),
        ("2024-01-05", "bad_time"),
        ("2024-02-30T10:00", "bad_time"),
        ("2024-01-05T10:00\ud800", "bad_time"),
        ("1969-12-31T23:59:59Z", "too_old"),
        ("2030-01-01T00:00Z", "in_the_future"),
    ],
)
def test_a_time_that_is_none_is_refused_by_its_reason(value, code):
    found, errors = read(value, "2024-01-05T10:00Z")
    assert errors == {0: code}
    assert in_utc(found.time_s[1]) == "01-05 10:00:00"


def test_a_day_of_slack_is_left_to_clocks_that_are_ahead_and_nothing_may_be_missing():
    edge = datetime.fromtimestamp(NOW_S + DAY_S, UTC)
    texts = [(edge + timedelta(seconds=k)).strftime("%Y-%m-%dT%H:%M:%SZ") for k in (0, 1)]
    assert read(*texts)[1] == {1: "in_the_future"}
    found, errors = read(None, is_required=False)
    assert (errors, found.missing.tolist()) == ({}, [True])
