"""Incidents between two times (case 19): columns of both ends, ends that are none, refusals by row."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest

from tests.cases.reports import forecast
from tests.support.simulated.interval_rows import AT, HEAD, PLACE, body, codes, times, warnings


def test_intervals_and_instants_are_stored_as_sent(door):
    sent = door.send(
        "a.csv",
        body(
            "2026-07-23T08:00,2026-07-23T18:00,Burglary",
            "2026-07-24T23:00:00-04:00,2026-07-25T05:00:00Z,Burglary",
            "2026-07-25T10:00,2026-07-25T10:00,Burglary",
            "2026-07-26T10:00,,Burglary",
        ),
    )
    assert sent.body["accepted"] == 4
    assert times(door) == [
        ("2026-07-23T08:00", "2026-07-23T18:00"),
        ("2026-07-24T23:00", "2026-07-25T01:00"),
        "2026-07-25T10:00",
        "2026-07-26T10:00",
    ]
    assert warnings(sent)["open_ends"] == {"n": 1}


ROWS = {
    "2026-07-23T18:00,2026-07-23T08:00,x": ("occurred_to", "ends_before_start"),
    "2026-06-01T00:00,2026-07-02T00:01,x": ("occurred_to", "interval_too_long"),
    ",2026-07-23T08:00,x": ("occurred_from", "missing"),
    ",,x": ("occurred_from", "missing"),
    "2026-07-23,2026-07-24,x": ("occurred_from", "bad_time"),
    "2026-07-23T08:00,2026-07-24,x": ("occurred_to", "bad_time"),
    "2026-07-23T08:00,soon,x": ("occurred_to", "bad_time"),
    "2026-07-23T08:00,1785000000,x": ("occurred_to", "epoch_not_accepted"),
    f"2026-07-23T08:00,{datetime.now() + timedelta(days=9):%Y-%m-%dT%H:%M},x": (
        "occurred_to",
        "in_the_future",
    ),
}


def test_bad_intervals_are_rejected_by_row(door):
    sent = door.send("a.csv", body("2026-06-01T00:00,2026-07-02T00:00,whole month", *ROWS))
    assert codes(sent) == dict(enumerate(ROWS.values(), 2))
    assert warnings(sent)["dates_alone"] == {"n": 2}
    assert times(door) == [("2026-06-01T00:00", "2026-07-02T00:00")]
    advice = sent.body["errors"][5]["message"]
    assert "date_only=interval" in advice
    assert "columns=occurred_to=" in advice


def test_an_instant_and_another_interval_contradict_each_other(door):
    head = f"occurred_at,{HEAD}"
    rows = (
        "2026-07-23T09:00,2026-07-23T08:00,2026-07-23T18:00,x",
        "2026-07-24T08:00,2026-07-24T08:00,2026-07-24T18:00,x",
        "2026-07-25T08:00,,2026-07-25T18:00,x",
        "2026-07-26T08:00,,,x",
    )
    sent = door.send("a.csv", body(*rows, head=head))
    assert codes(sent) == {1: ("occurred_from", "two_times")}
    assert times(door) == [
        ("2026-07-24T08:00", "2026-07-24T18:00"),
        ("2026-07-25T08:00", "2026-07-25T18:00"),
        "2026-07-26T08:00",
    ]
    assert "open_ends" not in warnings(sent)


SPRING, AUTUMN = "2026-03-08", "2026-11-01"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("since", "until", "hours"),
    [
        (f"{SPRING}T01:00", f"{SPRING}T04:00", 2),
        (f"{SPRING}T02:10", f"{SPRING}T02:40", 0),
        (f"{AUTUMN}T00:00", f"{AUTUMN}T03:00", 4),
        (f"{AUTUMN}T01:50", f"{AUTUMN}T01:20", 0.5),
        (f"{AUTUMN}T01:50:00-04:00", f"{AUTUMN}T01:20:00-05:00", 0.5),
        ("2026-10-15T00:00", "2026-11-15T00:00", 31 * 24 + 1),
    ],
)
def test_clock_changes_lie_within_intervals(door, since, until, hours):
    sent = door.send("a.csv", body(f"{since},{until},x"))
    assert sent.body["accepted"] == 1, sent
    (one,) = door.stored()
    ends = [
        datetime.fromisoformat(one.get(name) or one["occurred_at"])
        for name in ("occurred_from", "occurred_to")
    ]
    assert ends[1] - ends[0] == timedelta(hours=hours)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("head", "row"),
    [
        ("Date From,Time From,Date To,Time To", "2026-07-23,08:00,2026-07-23,18:00"),
        ("Start Date / Time,End Date / Time", "07/23/2026 08:00:00 AM,07/23/2026 06:00:00 PM"),
        ("start_date,end_date", "2026-07-23T08:00:00.000,2026-07-23T18:00:00.000"),
        (
            "Offense Start DateTime,Offense End DateTime",
            "2026-07-23T08:00,2026-07-23T18:00",
        ),
        ("datefrom,dateto", "2026-07-23 08:00,2026-07-23 18:00"),
        ("begin,Begin Date,Begin Time,End Date,End Time", "x,7/23/2026,0800,7/23/2026,1800"),
        (
            "CMPLNT_FR_DT,CMPLNT_FR_TM,CMPLNT_TO_DT,CMPLNT_TO_TM",
            "07/23/2026,08:00:00,07/23/2026,18:00:00",
        ),
        ("fecha_inicio,fecha_fin", "23/07/2026 08:00,23/07/2026 18:00"),
    ],
)
def test_columns_of_both_ends_are_recognised(door, head, row):
    sent = door.send("a.csv", body(row, head=f"{head},{PLACE}"))
    assert sent.body["accepted"] == 1, sent
    assert times(door) == [("2026-07-23T08:00", "2026-07-23T18:00")]
    said = {one["code"]: one for one in sent.body["read"]["assumptions"]}
    assert "columns=occurred_to=" in said["interval_read"]["message"]
    assert "end_time_not_read" not in warnings(sent)


@pytest.mark.parametrize(
    "head",
    ["date_occurred,End Date", "occurred_at,Report End Date", "occurred_at,End Time"],
)
def test_an_end_of_something_else_is_not_taken(door, head):
    sent = door.send("a.csv", body("2026-07-23T08:00,18:00", head=f"{head},{PLACE}"))
    assert times(door) == ["2026-07-23T08:00"]
    assert warnings(sent)["end_time_not_read"] == {"columns": [head.partition(",")[2]]}


NYPD = "CMPLNT_FR_DT,CMPLNT_FR_TM,CMPLNT_TO_DT,CMPLNT_TO_TM"


def test_unknown_ends_are_instants_and_counted(door):
    rows = (
        "01/05/2026,13:30:00,(null),(null)",
        "01/06/2026,13:30:00,,",
        "01/07/2026,13:30:00,,00:00:00",
        "01/08/2026,13:30:00,01/08/2026,14:00:00",
    )
    sent = door.send("a.csv", body(*rows, head=f"{NYPD},{PLACE}"))
    assert warnings(sent)["open_ends"] == {"n": 3}
    assert times(door)[2:] == ["2026-01-07T13:30", ("2026-01-08T13:30", "2026-01-08T14:00")]


def test_the_end_is_switched_off(door):
    rows = body("01/08/2026,13:30:00,01/08/2026,14:00:00", head=f"{NYPD},{PLACE}")
    sent = door.send("a.csv", rows, columns=["occurred_to="])
    assert times(door) == ["2026-01-08T13:30"]
    assert "interval_read" not in {one["code"] for one in sent.body["read"]["assumptions"]}


def test_a_mapping_names_both_ends(door):
    head = f"d1,t1,d2,t2,{PLACE}"
    named = ["occurred_from=d1+t1", "occurred_to=d2+t2"]
    sent = door.send("a.csv", body("2026-07-23,08:00,2026-07-23,18:00", head=head), columns=named)
    assert sent.body["accepted"] == 1, sent
    one = door.send(
        "b.csv",
        body("2026-07-24,08:00,2026-07-24T18:00,x", head=head),
        columns=["occurred_at=d1+t1", "occurred_to=d2"],
    )
    assert one.body["accepted"] == 1, one
    assert times(door) == [
        ("2026-07-23T08:00", "2026-07-23T18:00"),
        ("2026-07-24T08:00", "2026-07-24T18:00"),
    ]


def test_the_start_proves_the_order_of_the_end(door):
    rows = ("20/05/2026 22:00,01/06/2026 06:00", "01/05/2026 22:00,02/05/2026 06:00")
    door.send("a.csv", body(*rows, head=f"Date From,Date To,{PLACE}"))
    assert times(door) == [
        ("2026-05-01T22:00", "2026-05-02T06:00"),
        ("2026-05-20T22:00", "2026-06-01T06:00"),
    ]


def test_the_end_proves_the_order_of_the_start(door):
    door.send("a.csv", body("05/12/2026 22:00,05/13/2026 06:00", head=f"Date From,Date To,{PLACE}"))
    assert times(door) == [("2026-05-12T22:00", "2026-05-13T06:00")]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("head", "row"),
    [
        ("Date From,Time From,Date To,Time To", "2026-04-25,02:58,2026-04-25,"),
        ("Date From,Time From,Date To,Time To", "04/25/2026,02:58,04/25/2026,NULL"),
        ("occurred_from,occurred_to", "2026-04-25T02:58,2026-04-25"),
        ("Start Date / Time,End Date / Time", "04/25/2026 02:58,04/25/2026"),
    ],
)
def test_an_end_that_shows_only_the_day_of_the_start_is_no_end(doors, head, row):
    other = row.replace("04/25", "04/26").replace("04-25", "04-26")
    door = doors()
    sent = door.send("a.csv", f"{head},type,{PLACE}\n{row},x,{AT}\n{other},y,{AT}\n")
    assert sent.body["rejected"] == 0, sent.body["errors"]
    assert warnings(sent)["open_ends"] == {"n": 2}
    assert times(door) == ["2026-04-25T02:58", "2026-04-26T02:58"]


def test_an_end_on_a_later_day_needs_its_time(doors):
    text = (
        f"Date From,Time From,Date To,Time To,type,{PLACE}\n2026-04-25,02:58,2026-04-27,,x,{AT}\n"
    )
    door = doors()
    assert codes(door.send("a.csv", text)) == {1: ("occurred_to", "bad_time")}
    sent = door.send("a.csv", text, date_only="interval")
    assert sent.body["accepted"] == 1
    assert times(door) == [("2026-04-25T02:58", "2026-04-28T00:00")]


@pytest.mark.slow
def test_burglaries_of_a_working_day_are_forecast_over_all_of_it(doors, engine, settings):
    """200 between 08:00 and 18:00, 40 known exactly, at night: no peak when people leave."""
    days = [date(2026, 1, 1) + timedelta(days=k % 200) for k in range(240)]
    rows = [
        f"{day},08:00,{day},18:00,Burglary"
        if k < 200
        else f"{day},0{k % 4 + 1}:{k % 60:02},{day},,Burglary"
        for k, day in enumerate(days)
    ]
    door = doors()
    head = f"Date From,Time From,Date To,Time To,Offense,{PLACE}"
    sent = door.send("spans.csv", body(*rows, head=head))
    assert sent.body["accepted"] == 240
    first = forecast(door, engine, settings, "2026-07-22T08:00")
    expected = {}
    for hour in range(24):
        params = {"at": f"2026-07-22T{hour:02}:00", "model": first["model_version"]}
        reply = door.client.get(f"{door.root}/forecasts/density", params=params)
        expected[hour] = reply.json()["expected_total"]
    total = sum(expected.values())
    by_day = [expected[hour] / total for hour in range(8, 18)]
    assert max(by_day) < 2.0 * min(by_day)
    assert sum(by_day) > 0.65  # the profile of so few incidents is shrunk
    assert expected[20] / total < 0.02
