"""When a publisher changed a record: the same instant in every writing, or counted as not understood."""

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.incidents.parsing.revisions import revisions_s

ZONE = "America/Bogota"
MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2090, 1, 1)).map(
    lambda m: m.replace(microsecond=0)
)


@given(st.lists(st.tuples(MOMENTS, st.integers(-14, 14)), min_size=1, max_size=6))
def test_offsets_of_one_block_may_differ(rows):
    moments = [m.replace(tzinfo=timezone(timedelta(hours=hours))) for m, hours in rows]
    seconds, unread = revisions_s([m.isoformat() for m in moments], None, ZONE)
    assert (seconds.tolist(), unread) == ([m.timestamp() for m in moments], 0)


@given(MOMENTS, st.sampled_from(["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%d/%m/%Y %H:%M:%S"]))
def test_times_without_an_offset_are_the_regions(moment, form):
    seconds, unread = revisions_s([moment.strftime(form), "", None], "%d/%m/%Y %H:%M:%S", ZONE)
    assert seconds[0] == moment.replace(tzinfo=ZoneInfo(ZONE)).timestamp()
    assert (np.isnan(seconds).tolist(), unread) == ([False, True, True], 0)


ONE_INSTANT = (
    "2026-03-05T10Z",
    "2026-03-05T10:00Z",
    "2026-03-05 05-05",
    "2026-03-05T05:00-05",
    "2026-03-05T11:00:00.000+0100",
    "2026-03-05 05:00",
    "05/03/2026 05:00",
)
VALUES = st.one_of(st.none(), st.text(max_size=12), st.integers(), st.floats(), st.lists(st.none()))


@pytest.mark.parametrize("text", ONE_INSTANT)
def test_one_instant_in_every_writing(text):
    seconds, unread = revisions_s([text], "%d/%m/%Y %H:%M", ZONE)
    assert (seconds[0], unread) == (datetime.fromisoformat("2026-03-05T10:00Z").timestamp(), 0)


def test_a_date_alone_is_its_first_minute():
    seconds, _ = revisions_s(["2026-03-05", "05/03/2026"], "%d/%m/%Y %H:%M", "UTC")
    assert seconds.tolist() == [1_772_668_800.0] * 2


@given(
    st.lists(VALUES, max_size=5),
    st.sampled_from([None, "%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M %z"]),
)
def test_each_value_is_read_or_counted(values, form):
    seconds, unread = revisions_s([*values, "2026-02-30", "2026-01-01T10+01:00"], form, ZONE)
    n_given = sum(value not in (None, "") for value in values) + 2
    assert n_given - unread == (~np.isnan(seconds)).sum() >= 1
