"""Days and clocks of rows, the day meant by a date in UTC, and what is said of refused times."""

from datetime import datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import Conflict
from app.readers.times.clocks import read_clocks
from app.readers.times.dates import read_dates
from app.readers.times.moments import (
    Moments,
    hour_24,
    mask_of,
    serial_moments,
    split_texts,
    without_same_day,
)
from app.readers.times.refused import WHY, Refusals
from app.readers.times.shown import shown_time
from app.readers.times.utc_days import DayRule

MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 30)).map(
    lambda one: one.replace(second=0, microsecond=0)
)
JOINTS = ("T", " ", ", ", " at ", " a las ", " um ")
ZONE = "America/Bogota"  # five hours behind UTC, all year


def series(texts):
    return pd.Series(texts, dtype=object)


def moments_of(texts):
    dates, clocks = split_texts(series(texts))
    read = read_clocks(clocks, "unclear", are_hours=False)
    lacks = np.array([c is None for c in clocks], bool)
    return Moments(read_dates(dates).day, read.seconds, read.offset, lacks, hour_24(clocks))


@given(MOMENTS, st.sampled_from(JOINTS), st.sampled_from(["%Y-%m-%d", "%d %B %Y", "%b %d, %Y"]))
def test_a_text_is_split_into_its_date_and_its_clock(moment, joint, style):
    text = f"{moment:{style}}{joint}{moment:%H:%M}"
    assert split_texts(series([text])) == ([f"{moment:{style}}"], [f"{moment:%H:%M}"])


@given(MOMENTS)
def test_moments_are_read_back(moment):
    texts = [moment.strftime(f) for f in ("%Y-%m-%d %H:%M", "%Y%m%d%H%M%S", "%d %b %Y, %I:%M %p")]
    found = moments_of([*texts, "soon", moment.strftime("%Y-%m-%d")])
    assert found.good.tolist() == [True] * 3 + [False] * 2
    assert found.texts()[:3].tolist() == [moment.isoformat()] * 3
    assert found.lacks_clock.tolist() == [False, False, False, True, True]


@given(MOMENTS)
def test_a_spreadsheets_days_are_minutes(moment):
    days = (moment - datetime(1899, 12, 30)) / timedelta(days=1)
    found = serial_moments(series([f"{days:.6f}", "12.5"]))
    assert (found.good.tolist(), found.texts()[0]) == ([True, False], moment.isoformat())


@given(st.lists(st.integers(0, 9), unique=True))
def test_a_mask_is_true_at_its_places(places):
    assert np.flatnonzero(mask_of(10, np.array(places, int))).tolist() == sorted(places)


def test_only_the_same_day_is_dropped_from_a_clock():
    dates = ["2026-03-05", "2026-03-05 00:00:00", "2026-03-06", None]
    clocks = ["2026-03-05T22:30"] * 4
    assert without_same_day(dates, clocks) == ["22:30", "22:30", clocks[0], clocks[0]]


HOURS_24 = ("24:00", "2400 hrs", "24", "24:00:00.0")


@pytest.mark.parametrize("text", [*HOURS_24, "22:00", "240", None])
def test_24_hours_are_known(text):
    assert hour_24([text]).tolist() == [text in HOURS_24]


def applied(rule, dates, besides):
    days, clocks = split_texts(series(dates))
    own = read_clocks(clocks, "unclear", are_hours=False)
    beside = read_clocks(besides, None, are_hours=False).seconds
    found, code = rule.applied(read_dates(days).day, own, beside)
    return [str(day) for day in found], code


HOURS = st.lists(st.integers(0, 23), min_size=3, max_size=20)


@given(HOURS, st.integers(1, 20))
def test_midnights_of_utc_are_the_day_written_in_every_block(hours, cut):
    dates = [f"2026-03-{5 + i:02} 00:00:00+00" for i in range(len(hours))]
    clocks = [f"{hour:02}:30" for hour in hours]
    rule = DayRule(ZONE, None)
    one, _ = applied(rule, dates[:cut], clocks[:cut])
    two, _ = applied(rule, dates[cut:], clocks[cut:]) if cut < len(hours) else ([], None)
    assert [*one, *two] == [date[:10] for date in dates]


@given(HOURS)
def test_instants_of_a_local_time_are_the_local_day(hours):
    local = [datetime(2026, 3, 5 + i, hour, 30) for i, hour in enumerate(hours)]
    utc = [f"{one + timedelta(hours=5):%Y-%m-%d %H:%M}:00+00" for one in local]
    days, _ = applied(DayRule(ZONE, None), utc, [f"{one:%H:%M}" for one in local])
    assert days == [f"{one:%Y-%m-%d}" for one in local]


def test_neither_midnights_nor_the_clock_is_a_question_that_zone_answers():
    dates = [f"2026-03-{d:02} {h:02}:10:00+00" for d, h in ((5, 3), (6, 1), (7, 22))]
    clocks = ["12:30", "07:30", "15:30"]
    with pytest.raises(Conflict) as caught:
        applied(DayRule(ZONE, None), dates, clocks)
    assert (caught.value.code, caught.value.field) == ("zone_in_doubt", "zone")
    answers = [applied(DayRule(ZONE, given), dates, clocks)[0] for given in ("local", "UTC")]
    assert answers == [["2026-03-05", "2026-03-06", "2026-03-07"],
                       ["2026-03-04", "2026-03-05", "2026-03-07"]]  # fmt: skip


def refused(texts, refusals):
    """Return the first reason of each row: {text: (code, why)}."""
    found = {}
    for one in refusals.of_whole(moments_of(texts), series(texts)):
        for row in np.flatnonzero(one.rows):
            found.setdefault(texts[row], (one.code, one.why))
    return found


def test_each_refused_time_has_the_reason_that_helps_most():
    texts = ["2026-03-05 10:00", "2026-03-05", "1700000000", "03/04/2026 10:00",
             "2026-03-05 24:00", "soon"]  # fmt: skip
    assert refused(texts, Refusals(None, None)) == {
        "2026-03-05": ("bad_time", "no_time"),
        "1700000000": ("epoch_not_accepted", ""),
        "03/04/2026 10:00": ("ambiguous_date", ""),
        "2026-03-05 24:00": ("bad_time", "day_24"),
        "soon": ("bad_time", "unreadable"),
    }
    by_format = refused(texts, Refusals("%d/%m/%Y %H:%M", None))
    assert by_format["soon"] == by_format["1700000000"] == ("bad_time", "format")


@given(st.lists(st.text(max_size=15), min_size=1, max_size=5, unique=True))
def test_a_row_is_good_or_has_a_reason_with_advice(texts):
    good = moments_of(texts).good
    found = refused(texts, Refusals(None, None))
    assert set(found) == {text for text, is_good in zip(texts, good, strict=True) if not is_good}
    assert all(why in WHY for _, why in found.values() if why)


@given(st.text(st.characters(categories=["L"]), min_size=3, max_size=20), MOMENTS)
def test_a_name_within_a_time_is_not_repeated(name, moment):
    shown = shown_time(f"Zoe{name} {moment:%H:%M}")
    assert f"Zoe{name}" not in shown
    assert f"{moment:%H:%M}" not in shown


@given(MOMENTS, st.sampled_from(["%d de %B de %Y %H:%M", "%A %d %b %Y %I:%M %p", "%Y-%m-%dT%H:%M"]))
def test_a_plain_time_is_repeated(moment, style):
    assert shown_time(moment.strftime(style)) == repr(moment.strftime(style))


@given(MOMENTS, st.integers(-14, 14))
def test_an_offset_is_kept(moment, hours):
    written = moment.replace(tzinfo=timezone(timedelta(hours=hours)))
    found = moments_of([written.isoformat(" ")])
    assert datetime.fromisoformat(found.texts()[0]) == written
