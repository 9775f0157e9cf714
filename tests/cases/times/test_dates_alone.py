"""Dates without a time are intervals of their day when the sender says so (cases 12, 13, 19)."""

from __future__ import annotations

import io
from datetime import date, datetime, timedelta

import openpyxl
import pandas as pd
import pytest

from tests.support.simulated.interval_rows import AT, PLACE, body, times, warnings

DAYS = {
    "2026-03-08": ("2026-03-08T00:00", "2026-03-09T00:00", 23),
    "2026-07-23": ("2026-07-23T00:00", "2026-07-24T00:00", 24),
    "2026-11-01": ("2026-11-01T00:00", "2026-11-02T00:00", 25),
}


def check_days(door):
    stored = door.stored()
    assert times(door) == [(since, until) for since, until, _ in DAYS.values()]
    for one, (_, _, hours) in zip(stored, DAYS.values(), strict=True):
        since, until = (datetime.fromisoformat(one[f"occurred_{n}"]) for n in ("from", "to"))
        assert until - since == timedelta(hours=hours)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("head", "form"),
    [
        ("occurred_at", "%Y-%m-%d"),
        ("date_only", "%Y-%m-%d"),
        ("date", "%d %B %Y"),
        ("date", "%d-%b-%Y"),
        ("date,time", "%Y-%m-%d,"),
        ("year,month,day", "%Y,%m,%d"),
    ],
)
def test_dates_alone_are_intervals_when_the_sender_says_so(door, head, form):
    rows = body(*(f"{date.fromisoformat(day):{form}}" for day in DAYS), head=f"{head},{PLACE}")
    refused = door.send("a.csv", rows)
    said = refused.error or refused.body["errors"][0]["message"]
    assert "date_only=interval" in said
    assert door.stored() == []
    sent = door.send("a.csv", rows, date_only="interval")
    assert sent.body["accepted"] == 3, sent
    check_days(door)
    assert "one_time_of_day" not in warnings(sent)


def test_dates_alone_in_a_format_are_intervals(door):
    rows = body(*(f"{date.fromisoformat(day):%d.%m.%y}" for day in DAYS), head=f"date,{PLACE}")
    door.send("a.csv", rows, date_only="interval", time_format="%d.%m.%y")
    check_days(door)


def test_days_without_a_midnight_begin_after_the_gap(doors):
    door = doors(timezone="America/Santiago")
    rows = body("2026-09-06", head=f"date,{PLACE}").replace(AT, "-70.6,-33.4")
    sent = door.send("a.csv", rows, date_only="interval")
    assert sent.body["accepted"] == 1, sent
    assert times(door) == [("2026-09-06T01:00", "2026-09-07T00:00")]


@pytest.mark.slow
def test_pairs_of_dates_reach_to_the_end_of_the_last(door):
    rows = (
        "2026-07-01,2026-07-03,x",
        "2026-07-05,,x",
        "2026-07-06T20:00,2026-07-07,x",
        "2026-07-08,2026-07-09T06:00,x",
        "2026-08-01,2026-08-31,x",
    )
    sent = door.send("a.csv", body(*rows), date_only="interval")
    assert sent.body["rejected"] == 0, sent
    assert "open_ends" not in warnings(sent)
    assert times(door) == [
        ("2026-07-01T00:00", "2026-07-04T00:00"),
        ("2026-07-05T00:00", "2026-07-06T00:00"),
        ("2026-07-06T20:00", "2026-07-08T00:00"),
        ("2026-07-08T00:00", "2026-07-09T06:00"),
        ("2026-08-01T00:00", "2026-09-01T00:00"),
    ]


def test_a_wrong_choice_is_named(door):
    sent = door.send("a.csv", body("2026-07-01,,x"), date_only="instant")
    assert sent.status == 422


@pytest.mark.slow
@pytest.mark.parametrize("hours", [range(24), [0]])
@pytest.mark.parametrize("form", ["%Y-%m-%dT%H:%M:00.000", "%Y/%m/%d %H:%M:00+00", "utc of local"])
def test_a_column_of_midnights_has_dates_without_a_time(door, form, hours):
    moments = [
        pd.Timestamp(2026, 3, 1 + n % 28, hours[n % len(hours)], tz="America/New_York")
        for n in range(60)
    ]
    written = (
        [f"{one.tz_convert('UTC'):%Y-%m-%dT%H:%M:00Z}" for one in moments]
        if form == "utc of local"
        else [f"{one:{form}}" for one in moments]
    )
    sent = door.send("a.csv", body(*written, head=f"date,{PLACE}"), date_only="interval")
    assert sent.body["accepted"] == 60, sent
    said = {one["code"] for one in sent.body["read"]["assumptions"]}
    assert ("midnights" in said) == (len(hours) == 1)
    found = times(door)
    if len(hours) == 1:
        assert set(found) == {
            (f"{a:%Y-%m-%dT00:00}", f"{a + pd.DateOffset(days=1):%Y-%m-%dT00:00}") for a in moments
        }
    else:
        assert all(isinstance(one, str) for one in found)


def test_a_workbooks_dates_are_intervals_and_its_midnights_are_not(door):
    book = openpyxl.Workbook()
    book.active.append(["occurred_at", "longitude", "latitude"])
    for form in ("yyyy-mm-dd", "[$-en-US]d mmm yy;@", "yyyy-mm-dd hh:mm"):
        book.active.append([datetime(2026, 7, 1 + len(form)), -84.5, 39.1])
        book.active.cell(book.active.max_row, 1).number_format = form
    file = io.BytesIO()
    book.save(file)
    sent = door.send("a.xlsx", file.getvalue(), date_only="interval")
    assert sent.body["accepted"] == 3, sent
    assert times(door) == [
        ("2026-07-11T00:00", "2026-07-12T00:00"),
        "2026-07-17T00:00",
        ("2026-07-20T00:00", "2026-07-21T00:00"),
    ]


def test_a_stored_mapping_says_what_dates_mean(door):
    wanted = {"columns": {"occurred_at": "day"}, "date_only": "interval"}
    saved = door.client.put(f"{door.root}/mappings/days", json=wanted)
    assert saved.json()["date_only"] == "interval"
    rows = body("2026-07-01", head=f"day,{PLACE}")
    assert door.send("a.csv", rows, mapping="days").body["accepted"] == 1
    assert times(door) == [("2026-07-01T00:00", "2026-07-02T00:00")]
