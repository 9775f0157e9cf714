"""Times of day: read back as written; what bare numbers are is proven by the column or left open."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import InvalidInput
from app.readers.reading import Assumed
from app.readers.times.clock_column import ClockColumn
from app.readers.times.clocks import DAY_S, clock_texts, parse_clock, read_clocks
from app.readers.times.formats import TimeFormat

MINUTES = st.integers(0, 1439)
WRITTEN = {
    "colon": lambda h, m: f"{h:02}:{m:02}",
    "seconds": lambda h, m: f"{h}:{m:02}:00",
    "french": lambda h, m: f"{h}h{m:02}",
    "german": lambda h, m: f"{h}.{m:02} Uhr",
    "military": lambda h, m: f"{h:02}{m:02} hrs",
    "american": lambda h, m: f"{(h + 11) % 12 + 1}:{m:02} {'PM' if h > 11 else 'a.m.'}",
    "spanish": lambda h, m: f"{(h + 11) % 12 + 1}:{m:02} {'p. m.' if h > 11 else 'a. m.'}",
    "chinese": lambda h, m: f"{'下午' if h > 11 else '上午'}{(h + 11) % 12 + 1}:{m:02}",
    "zone": lambda h, m: f"{h:02}:{m:02}:00",
}


def column(form=None, name="TIME OCC"):
    given_form = None if form is None else TimeFormat(form)
    return ClockColumn({"time": name}, given_form, Assumed(), presumed=False)


@given(MINUTES, st.sampled_from(sorted(WRITTEN)))
def test_a_clock_is_read_back(minute, style):
    text = WRITTEN[style](*divmod(minute, 60))
    assert parse_clock(text) == (60 * minute, "")


@given(MINUTES, st.integers(-14, 14), st.sampled_from(["00", "30"]))
def test_an_offset_behind_seconds_is_read_back(minute, hours, minutes):
    offset = f"{'-' if hours < 0 else '+'}{abs(hours):02}:{minutes}"
    hour, rest = divmod(minute, 60)
    assert parse_clock(f"{hour:02}:{rest:02}:00{offset}") == (60 * minute, offset)


@given(st.text(max_size=20))
def test_no_text_is_a_time_beyond_the_day(text):
    found = parse_clock(text)
    assert found is None or 0 <= found[0] < DAY_S


@given(
    st.lists(st.one_of(st.none(), st.text(max_size=6), st.integers(), st.floats(), st.booleans()))
)
def test_no_value_fails(values):
    read = read_clocks(clock_texts(values), None, are_hours=False)
    assert len(read.seconds) == len(values)
    known = read.seconds[~np.isnan(read.seconds)]
    assert ((known >= 0) & (known < DAY_S)).all()


@given(st.lists(MINUTES, min_size=1, max_size=20))
def test_hhmm_is_read_back_beside_a_number_that_is_no_hour(minutes):
    texts = [str(m // 60 * 100 + m % 60) for m in [*minutes, *[1439] * len(minutes)]]
    read = read_clocks(texts, None, are_hours=False)
    assert read.kind == "hhmm"
    assert read.seconds[: len(minutes)].tolist() == [60 * m for m in minutes]


@given(st.lists(MINUTES, min_size=1, max_size=20), st.integers(0, 20))
def test_where_a_block_ends_does_not_matter_once_a_number_proves_hhmm(minutes, cut):
    texts = ["2359", *(f"{m // 60:02}{m % 60:02}" for m in minutes)]
    whole, parted = column(), column()
    one = whole.read(texts, "time").seconds.tolist()
    both = [
        *parted.read(texts[: cut + 1], "time").seconds,
        *parted.read(texts[cut + 1 :], "time").seconds,
    ]
    assert one == both == [86_340.0, *(60.0 * m for m in minutes)]


def test_numbers_that_may_be_both_are_neither():
    read = column().read(["5", "9", "23"], "time")
    assert read.kind == "unclear"
    assert np.isnan(read.seconds).all()


def test_hours_that_later_rows_contradict_are_refused_with_the_value():
    clock = column(name="Hour of occurrence")
    assert clock.read(["5", "23"], "hour").seconds.tolist() == [18_000, 82_800]
    with pytest.raises(InvalidInput) as caught:
        clock.read(["5", "2130"], "hour")
    assert (caught.value.code, caught.value.params) == ("unclear_clock", {"value": "2130"})


def test_a_format_says_what_numbers_are():
    clocks = column("%d/%m/%Y %H%M").read(["5", "0930", "2130"], "time")
    assert clocks.seconds.tolist() == [300, 34_200, 77_400]


@pytest.mark.parametrize("offsets", [("-0500", "-0400"), ("+0100", "+0200"), ("-0500", "-0500")])
def test_a_format_with_an_offset_keeps_each(offsets):
    texts = [f"10:00 {offset}" for offset in offsets]
    read = column("%d/%m/%Y %H:%M %z").read([*texts, None, "soon"], "time")
    assert read.seconds[:2].tolist() == [36_000, 36_000]
    assert np.isnan(read.seconds[2:]).all()
    assert read.offset.tolist()[:2] == list(offsets)


def test_what_numbers_are_taken_for_is_said_once():
    clock = column()
    for _ in range(2):
        clock.read(["2130", "0930"], "time")
    assert [one.code for one in clock.assumed.messages.values()] == ["clock_hhmm"]


@given(st.lists(st.integers(15, 1439), min_size=3, max_size=10))
def test_a_spreadsheets_fractions_are_minutes(minutes):
    read = read_clocks(["0.25", *(repr(m / 1440) for m in minutes)], None, are_hours=False)
    assert (read.kind, read.seconds.tolist()) == ("fraction", [21_600, *(60 * m for m in minutes)])
