"""Clock changes: what a zone's wall clock shows is what is stored and counted, in any zone."""

import zoneinfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.incidents.parsing.row_errors import RowErrors
from app.incidents.parsing.rules import parse_block
from tests.resilience.times import zone_mismatches

ODD_ZONES = (
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Europe/Dublin",
    "Pacific/Apia",
    "Asia/Pyongyang",
)


@pytest.mark.parametrize("timezone", ODD_ZONES)
def test_zones_of_odd_changes_agree_with_the_standard_library(timezone):
    assert zone_mismatches(timezone, years=4) == 0


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(sorted(zoneinfo.available_timezones() - {"Factory", "localtime"})))
def test_any_zone_agrees_with_the_standard_library(timezone):
    assert zone_mismatches(timezone, years=1) == 0


def times(texts, timezone="America/Toronto", now_s=2**31):
    n = len(texts)
    errors = RowErrors(n)
    columns = {"occurred_at": texts, "longitude": [1.0] * n, "latitude": [2.0] * n}
    block = parse_block(columns, n, timezone=timezone, now_s=now_s, area=None, errors=errors)
    return block.time_s, {row: reason.code for row, (_, reason) in errors.reasons.items()}


def test_the_missing_hour_moves_past_the_gap_and_the_doubled_one_is_its_first_pass():
    time_s, refused = times(["2024-03-10T02:30", "2024-03-10T03:00", "2024-11-03T01:30"])
    assert refused == {}
    assert time_s[0] == time_s[1]
    assert np.datetime64(int(time_s[2]), "s") == np.datetime64("2024-11-03T05:30")


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.integers(-(10**15), 10**15),
        st.floats(),
        st.integers(-(10**15), 10**15).map(str),
        st.floats(allow_nan=False, allow_infinity=False).map(repr),
        st.text(max_size=30),
        st.booleans(),
    )
)
def test_no_number_and_no_loose_text_becomes_a_time(value):
    time_s, refused = times([value])
    assert (len(time_s), len(refused)) == (0, 1)
