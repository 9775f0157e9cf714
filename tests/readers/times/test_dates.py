"""Dates are read back; the order of day and month is proven by the column, and never by half."""

from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.errors import Conflict, InvalidInput
from app.readers.reading import Assumed
from app.readers.times.dates import parse_date, read_dates
from app.readers.times.day_order import DayOrder
from app.readers.times.half_converted import HalfConversions

DAYS = st.dates(date(1970, 1, 1), date(2099, 12, 31))
STYLES = ("%Y-%m-%d", "%Y/%m/%d", "%Y%m%d", "%d %B %Y", "%B %d, %Y", "%a, %d %b %Y", "%Y %b %d")


def order():
    return DayOrder(None, Assumed())


def days(reader, texts):
    return reader.days(read_dates(texts), texts)


@given(DAYS, st.sampled_from(STYLES))
def test_a_clear_date_is_read_back(day, style):
    assert parse_date(day.strftime(style)) == np.datetime64(day)


@given(DAYS)
def test_a_slashed_date_alone_is_open_unless_it_is_proven(day):
    found = days(order(), [day.strftime("%d/%m/%Y")]).tolist()
    assert found == [day if day.day > 12 else None]


@settings(max_examples=25)
@given(st.lists(DAYS, min_size=1, max_size=12), st.sampled_from(["%d/%m/%Y", "%m/%d/%Y"]))
def test_one_proof_orders_all_dates_of_its_block_and_of_later_ones(some, style):
    texts = [day.strftime(style) for day in some]
    proof = date(2026, 3, 31).strftime(style)
    reader = order()
    days(reader, [proof])
    assert days(reader, texts).tolist() == some
    assert days(order(), [*texts, proof]).tolist()[:-1] == some


@pytest.mark.parametrize(
    ("first", "later"), [("13/04/2026", "04/13/2026"), ("4.13.2026", "13.4.2026")]
)
def test_a_proof_that_a_later_one_contradicts_refuses_the_table(first, later):
    reader = order()
    days(reader, [first])
    with pytest.raises(InvalidInput) as caught:
        days(reader, ["03/04/2026", later])
    assert caught.value.code == "ambiguous_date"
    assert caught.value.params["values"] == [repr(first), repr(later)]


def test_a_block_with_both_orders_proves_none_for_later_blocks():
    reader = order()
    assert np.isnat(days(reader, ["13/04/2026", "04/13/2026"])).all()
    assert np.isnat(days(reader, ["13/04/2026", "03/04/2026"])).all()


@given(st.text(max_size=30))
def test_no_text_fails_as_a_date(text):
    found = read_dates([text, None])
    assert len(found.day) == 2
    assert np.isnat(found.day[1])


def converted(day):
    """Return what a spreadsheet that exchanges day and month makes of a date."""
    return f"2026-{day.day:02}-{day.month:02}" if day.day <= 12 else day.strftime("%d/%m/%Y")


YEAR = st.lists(st.dates(date(2026, 1, 1), date(2026, 12, 31)), min_size=1, max_size=20)


def verdict(texts, cuts):
    reader = HalfConversions()
    for block in np.split(np.array(texts, dtype=object), sorted(cuts)):
        reader.note(pd.Series(block, dtype=object))
    try:
        reader.check()
    except Conflict as error:
        return error.code, error.params
    return None


@settings(max_examples=25)
@given(YEAR, st.lists(st.integers(0, 20), max_size=3))
def test_half_conversion_is_found_wherever_the_blocks_end(some, cuts):
    texts = [converted(day) for day in some]
    n_text = sum(day.day > 12 for day in some)
    n_iso = len(some) - n_text
    expected = ("half_converted_dates", {"converted": n_iso, "text": n_text})
    assert verdict(texts, cuts) == (expected if n_iso and n_text else None)


@given(
    YEAR, st.lists(st.integers(0, 20), max_size=3), st.sampled_from(["2026-03-13", "05/04/2026"])
)
def test_one_date_that_was_not_converted_clears_the_file(some, cuts, clear):
    texts = [clear, *(converted(day) for day in some)]
    assert verdict(texts, cuts) is None
