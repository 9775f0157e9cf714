"""A table's times do not depend on where its blocks end, or the table is refused."""

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.errors import Conflict, InvalidInput
from app.readers.columns.mapping import ColumnMapping
from app.readers.columns.plan import plan_columns
from app.readers.times.time_reader import TimeReader

VALUES = st.one_of(
    st.none(),
    st.text(max_size=20),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.binary(max_size=3),
)
DAYS = st.dates(date(2026, 1, 1), date(2026, 12, 31))


def reader(form=None, header=("occurred_at", "longitude", "latitude")):
    return TimeReader(plan_columns(header, ColumnMapping(time_format=form)), "America/New_York")


@settings(max_examples=25)
@given(st.lists(DAYS, min_size=1, max_size=20), st.integers(0, 20))
def test_where_a_block_ends_does_not_matter(days, cut):
    texts = ["31/01/2026 10:00", *(f"{day:%d/%m/%Y} 10:00" for day in days)]
    parted = reader()
    read = [v for block in (texts[: cut + 1], texts[cut + 1 :]) if block
            for v in parted.read({"occurred_at": block}).values]  # fmt: skip
    assert read == ["2026-01-31T10:00:00", *(f"{day}T10:00:00" for day in days)]


@settings(max_examples=25)
@given(st.lists(DAYS.filter(lambda day: day.day <= 12), min_size=1, max_size=5))
def test_dates_converted_by_half_are_found_beyond_a_block_of_iso_dates(days):
    table = reader()
    table.read({"occurred_at": [f"{day:%Y-%d-%m} 10:00" for day in days]})
    table.read({"occurred_at": ["13/03/2026 10:00"]})
    with pytest.raises(Conflict, match="exchanged"):
        table.halves.check()


def test_an_iso_date_over_12_in_an_earlier_block_clears_the_others():
    table = reader()
    table.read({"occurred_at": ["2026-03-13T10:00"]})
    table.read({"occurred_at": ["2026-03-05 10:00", "13/03/2026 10:00"]})
    table.halves.check()


def test_summer_and_winter_keep_their_offsets():
    times = ["2026-01-05 10:00 -0500", "2026-07-05 10:00 -0400"]
    read = reader("%Y-%m-%d %H:%M %z").read({"occurred_at": times})
    assert read.values == ["2026-01-05T10:00:00-0500", "2026-07-05T10:00:00-0400"]
    columns = {"date": ["05/01/2026", "05/07/2026"], "time": ["10:00 -0500", "10:00 -0400"]}
    split = reader("%d/%m/%Y %H:%M %z", ("date", "time", "longitude", "latitude"))
    assert split.read(columns).values == read.values


@pytest.mark.slow
@settings(max_examples=30)
@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=6))
def test_no_value_fails_but_by_name(rows):
    dates, clocks = (list(column) for column in zip(*rows, strict=True))
    for columns in ({"occurred_at": dates}, {"date": dates, "time": clocks},
                    {"date": dates, "hour": clocks},
                    {"year": dates, "month": clocks, "day": clocks, "hour": dates}):  # fmt: skip
        try:
            read = reader().read(columns)
        except (InvalidInput, Conflict):
            continue
        assert len(read.values) == len(rows)
