"""Formats of times: what was written in one is read back, and a wrong one is refused by name."""

from datetime import datetime, timedelta, timezone

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.errors import InvalidInput
from app.readers.times.formats import MAX_OFFSETS, TimeFormat, parsed_by
from app.readers.times.month_names import MONTHS

FORMS = ("%d/%m/%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p", "%Y%m%d%H%M%S", "%d %B %Y %H.%M.%S")
MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)).map(
    lambda one: one.replace(microsecond=0)
)
DIRECTIVES = st.sampled_from(
    [f"%{c}" for c in "YymdHIMSpzZjGVuUWwabBfcxX%QsE"] + ["%", " ", "/", "("]
)


def series(texts):
    return pd.Series(texts, dtype=object)


@settings(max_examples=25)
@given(st.lists(MOMENTS, min_size=1, max_size=5), st.sampled_from(FORMS))
def test_times_are_read_back(moments, form):
    written = series([one.strftime(form) for one in moments])
    assert parsed_by(written, TimeFormat(form)).tolist() == [one.isoformat() for one in moments]


@settings(max_examples=25)
@given(st.lists(st.tuples(MOMENTS, st.integers(-56, 56)), min_size=1, max_size=8))
def test_each_time_keeps_its_offset_among_those_of_others(rows):
    """A year of local times has two offsets, of summer and of winter."""
    moments = [one.replace(tzinfo=timezone(timedelta(minutes=15 * n))) for one, n in rows]
    form = "%Y-%m-%d %H:%M:%S %z"
    read = parsed_by(series([one.strftime(form) for one in moments]), TimeFormat(form)).tolist()
    assert read == [one.strftime("%Y-%m-%dT%H:%M:%S%z") for one in moments]


def test_far_more_offsets_than_there_are_is_refused():
    texts = [f"2026-03-05 10:00 +{n // 60:02}{n % 60:02}" for n in range(MAX_OFFSETS + 1)]
    form = TimeFormat("%Y-%m-%d %H:%M %z")
    with pytest.raises(InvalidInput, match="offsets"):
        parsed_by(series(texts), form)
    assert parsed_by(series(texts[1:]), form).notna().all()


@given(st.lists(DIRECTIVES, min_size=1, max_size=6).map("".join), st.text(max_size=12))
def test_no_format_fails_but_by_name(form, text):
    try:
        read = parsed_by(series([text, None, "2026-03-05 10:00 +0100"]), TimeFormat(form)).tolist()
    except InvalidInput as error:
        read = [error.field]
    assert read == ["time_format"] or (len(read), read[1]) == (3, None)


@pytest.mark.parametrize(
    "form", ["%d/%m/%Y %I:%M", "%d/%m %H:%M", "%Q %H:%M", "%H %H", "%Y-%m-%d %H:%M %"]
)
def test_a_format_that_cannot_be_used_is_refused_before_it_is(form):
    with pytest.raises(InvalidInput) as caught:
        TimeFormat(form)
    assert caught.value.field == "time_format"


@given(st.sampled_from(sorted(MONTHS)), st.integers(1, 28))
def test_months_of_any_language_are_those_of_english(name, day):
    read = parsed_by(series([f"{day:02} {name} 2026 10:00"]), TimeFormat("%d %b %Y %H:%M"))
    assert read.tolist() == [f"2026-{MONTHS[name]:02}-{day:02}T10:00:00"]


@pytest.mark.parametrize(
    ("form", "date", "clock", "order"),
    [
        ("%d/%m/%Y %H:%M", "%d/%m/%Y", "%H:%M", None),
        ("%m/%d/%Y, %I:%M %p", "%m/%d/%Y", "%I:%M %p", None),
        ("%Y-%m-%dT%H%M", "%Y-%m-%d", "%H%M", None),
        ("%d/%m/%Y", "%d/%m/%Y", "", "day_first"),
        ("%m/%d/%Y", "%m/%d/%Y", "", "month_first"),
        ("%Y-%j", "%Y-%j", "", None),
    ],
)
def test_a_format_has_two_parts(form, date, clock, order):
    found = TimeFormat(form)
    assert (found.date, found.clock, found.order) == (date, clock, order)


def test_a_date_has_as_many_words_as_its_format():
    dates = series(["5 March 2026 00:00:00", "  5  March  2026", "March"])
    words = TimeFormat("%d %B %Y %H:%M").date_words(dates)
    assert words.fillna("none").tolist() == ["5 March 2026", "5  March  2026", "none"]
