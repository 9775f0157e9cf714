"""A column of midnights is one of dates; one time of day in it, or few rows, and it is not."""

import numpy as np
import pytest

from app.readers.reading import Assumed
from app.readers.times.midnights import MIN_ROWS, Midnights
from app.readers.times.refused import TimeColumn

DAYS = [f"2026-03-{day:02d}" for day in range(1, 26)]
WRITTEN = [f"{day}T00:00:00Z" for day in DAYS]
LOCAL = [f"{day}T05:00:00Z" for day in DAYS[:7]] + [f"{day}T04:00:00Z" for day in DAYS[8:]]


def read(*blocks):
    midnights = Midnights("America/New_York", Assumed())
    return [list(midnights.applied(TimeColumn(block)).values) for block in blocks]


@pytest.mark.parametrize(
    ("values", "days"),
    [
        (WRITTEN, DAYS),
        ([f"{day} 00:00" for day in DAYS], DAYS),
        (LOCAL, [*DAYS[:7], *DAYS[8:]]),
        ([*WRITTEN, None, "", "2026-04-01"], [*DAYS, None, "", "2026-04-01"]),
    ],
)
def test_midnights_become_dates(values, days):
    assert read(values) == [days]


@pytest.mark.parametrize("values", [[*WRITTEN, "2026-03-26T00:01:00Z"], WRITTEN[: MIN_ROWS - 1]])
def test_other_times_stay(values):
    assert read(values) == [values]


def test_the_first_rows_decide_for_all():
    late = ["2026-04-01T10:00:00Z", "2026-04-02T00:00:00Z"]
    assert read(WRITTEN, late)[1] == [late[0], "2026-04-02"]
    assert read([*WRITTEN, late[0]], WRITTEN)[1] == WRITTEN


def test_what_was_assumed_is_said_once():
    assumed = Assumed()
    midnights = Midnights("UTC", assumed)
    refused = TimeColumn(WRITTEN).refused
    assert midnights.applied(TimeColumn(WRITTEN, refused)).refused == refused
    midnights.applied(TimeColumn(np.array(WRITTEN, object)))
    assert {code: one.params["value"] for code, one in assumed.messages.items()} == {
        "midnights": "'2026-03-01T00:00:00Z'"
    }
