"""The hours that a request names: whole local hours, one way of naming them, bounds that are said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.core.errors import InvalidInput, LimitExceeded
from app.forecasts.plan import Selector
from app.forecasts.time_span import MAX_RANGE_SLOTS, check_one_way, slots_of

ZONE = "America/Toronto"
MONDAY = datetime(2021, 1, 4, 10, 20)


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"at": MONDAY, "window": 3},
        {"window": 3, "end": MONDAY},
        {"at": MONDAY, "start": MONDAY},
    ],
)
def test_a_time_is_named_in_exactly_one_way(asked):
    with pytest.raises(InvalidInput, match="exactly one"):
        check_one_way(Selector(**asked))


def test_an_instant_is_of_the_local_hour_that_holds_it():
    local = slots_of(Selector(at=MONDAY), ZONE)
    assert local == (datetime(2021, 1, 4, 15, tzinfo=UTC), 1)
    assert slots_of(Selector(at=MONDAY.replace(hour=15, tzinfo=UTC)), ZONE) == local


def test_a_range_has_every_hour_that_it_touches_also_over_a_clock_change():
    day = timedelta(days=1)
    for start, hours in ((MONDAY, 25), (MONDAY.replace(minute=0), 24), (datetime(2021, 3, 14), 23)):
        assert slots_of(Selector(start=start, end=start + day), ZONE)[1] == hours


def test_ranges_that_are_no_ranges_or_too_long_are_refused():
    for start, end in ((MONDAY, None), (MONDAY, MONDAY), (datetime(1969, 1, 1), MONDAY)):
        with pytest.raises(InvalidInput):
            slots_of(Selector(start=start, end=end), ZONE)
    with pytest.raises(LimitExceeded) as refusal:
        slots_of(Selector(start=MONDAY, end=MONDAY + timedelta(hours=MAX_RANGE_SLOTS)), ZONE)
    assert (refusal.value.limit, refusal.value.asked) == (MAX_RANGE_SLOTS, MAX_RANGE_SLOTS + 1)
