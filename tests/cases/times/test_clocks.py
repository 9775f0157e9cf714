"""Times of day as real files write them (cases 10, 14, 15, 20, 35): read, or refused by their value."""

from __future__ import annotations

import io
import json
from datetime import datetime, time, timedelta

import openpyxl
import pytest

HEADER = "date,time,type,latitude,longitude"


def workbook(rows):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    made = io.BytesIO()
    book.save(made)
    return made.getvalue()


def csv_of(rows, header=HEADER):
    places = (f"39.{n:03d},-84.5" for n in range(100, 999))
    lines = [f'"{date}","{clock}",Theft,{next(places)}' for date, clock in rows]
    return "\n".join([header, *lines]) + "\n"


def refusals(sent):
    return [
        (e["row"], e["field"], e["code"], e["params"].get("value")) for e in sent.body["errors"]
    ]


FRACTIONS = [("2026-05-01", 0.9375), ("2026-05-02", 0.5625), ("2026-05-03", 0.0625)]
AS_CLOCKS = ["2026-05-01T22:30", "2026-05-02T13:30", "2026-05-03T01:30", "2026-05-04T18:45"]


@pytest.mark.parametrize("kind", ["csv", "json", "xlsx"])
def test_a_spreadsheets_fractions_of_a_day_are_times(door, kind):
    rows = [*FRACTIONS, ("2026-05-04", "18:45:00")]
    content = csv_of(rows)
    if kind == "json":
        content = json.dumps(
            [
                {"date": d, "time": t, "type": "Theft", "latitude": 39.1, "longitude": -84.5}
                for d, t in rows
            ]
        )
    elif kind == "xlsx":
        cells = [
            [
                datetime.fromisoformat(d),
                time(18, 45) if isinstance(t, str) else t,
                "Theft",
                39.1,
                -84.5,
            ]
            for d, t in rows
        ]
        content = workbook([["Date", "Time", "Type", "Latitude", "Longitude"], *cells])
    sent = door.send(f"times.{kind}", content)
    assert sent.body["accepted"] == 4, sent.body["errors"]
    assert door.hours() == AS_CLOCKS
    assert [a["code"] for a in sent.body["read"]["assumptions"]] == ["clock_fraction"]


def test_half_an_hour_is_not_cut_off(door):
    rows = [
        {"date": "2026-05-01", "hour": hour, "type": "Theft", "latitude": 39.1, "longitude": -84.5}
        for hour in (13.5, "13.5", 14.0)
    ]
    sent = door.send("hours.json", json.dumps(rows))
    assert door.hours() == ["2026-05-01T14:00"]
    assert refusals(sent) == [
        (row, "occurred_at", "bad_time", "'2026-05-01 13.5'") for row in (1, 2)
    ]
    assert "hh:mm" in sent.body["errors"][0]["message"]


def test_excel_durations_are_times_up_to_a_day(door):
    header = ["Date", "Time", "Type", "Latitude", "Longitude"]
    clocks = [timedelta(hours=22, minutes=30), timedelta(hours=26, minutes=30), time(0, 5)]
    cells = [[datetime(2026, 5, n), t, "Theft", 39.1, -84.5] for n, t in enumerate(clocks, 1)]
    sent = door.send("durations.xlsx", workbook([header, *cells]))
    assert door.hours() == ["2026-05-01T22:30", "2026-05-03T00:05"]
    assert refusals(sent) == [(2, "occurred_at", "bad_time", "'2026-05-02 26:30:00'")]


LOS_ANGELES = "DR_NO,DATE OCC,TIME OCC,Crm Cd Desc,LAT,LON"


@pytest.mark.parametrize(
    ("header", "date", "clocks"),
    [
        (LOS_ANGELES, "02/03/2026 12:00:00 AM", ("0005", "0045", "0930", "2130")),
        (LOS_ANGELES, "02/03/2026 12:00:00 AM", ("5", "45", "930", "2130")),
        (LOS_ANGELES.lower().replace(" ", "_"), "2026-02-03T00:00:00.000", ("0005", "0045", "0930", "2130")),
    ],
)  # fmt: skip
def test_a_portals_download_and_its_interface_are_both_read(doors, header, date, clocks):
    door = doors(timezone="America/Los_Angeles")
    rows = [f"26010{n},{date},{clock},BURGLARY,34.05,-118.2{n}" for n, clock in enumerate(clocks)]
    sent = door.send("la.csv", "\n".join([header, *rows]))
    assert sent.body["accepted"] == 4, sent.body["errors"]
    assert door.hours() == [f"2026-02-03T{clock}" for clock in ("00:05", "00:45", "09:30", "21:30")]


def test_a_portals_rows_in_a_workbook_are_read(doors):
    door = doors(timezone="America/Los_Angeles")
    cells = [
        [260100 + n, datetime(2026, 2, 3), clock, "BURGLARY", 34.05, -118.25]
        for n, clock in enumerate((5, 45, 930, 2130))
    ]
    door.send("la.xlsx", workbook([LOS_ANGELES.split(","), *cells]))
    assert door.hours() == [f"2026-02-03T{clock}" for clock in ("00:05", "00:45", "09:30", "21:30")]


def test_a_column_that_proves_to_be_hhmm(door):
    rows = [("2026-02-03", clock) for clock in (5, 12, 23, 45, 930, 2130, 2400)]
    sent = door.send("own.csv", csv_of(rows))
    assert door.hours() == [
        f"2026-02-03T{clock}" for clock in ("00:05", "00:12", "00:23", "00:45", "09:30", "21:30")
    ]
    assert refusals(sent) == [(7, "occurred_at", "bad_time", "'2026-02-03 2400'")]
    assert "this day or the next" in sent.body["errors"][0]["message"]
    (assumed,) = sent.body["read"]["assumptions"]
    assert (assumed["code"], assumed["params"]["column"]) == ("clock_hhmm", "'time'")


def test_small_numbers_that_may_be_hours_are_not_guessed(door):
    text = csv_of([("2026-02-03", 5), ("2026-02-03", 12)])
    sent = door.send("small.csv", text)
    assert (sent.body["accepted"], door.hours()) == (0, [])
    assert refusals(sent) == [
        (row, "occurred_at", "unclear_clock", value) for row, value in ((1, "'5'"), (2, "'12'"))
    ]
    message = sent.body["errors"][0]["message"]
    assert "%H for hours" in message
    assert "%H%M for hours and minutes" in message
    door.send("small.csv", text, time_format="%Y-%m-%d %H%M")
    assert door.hours() == ["2026-02-03T00:05", "2026-02-03T00:12"]


def test_small_numbers_of_a_column_of_hours_are_hours(door):
    door.send(
        "hours.csv", csv_of([("2026-02-03", 5), ("2026-02-03", 23)]).replace("time", "hour", 1)
    )
    assert door.hours() == ["2026-02-03T05:00", "2026-02-03T23:00"]


NEW_YORK = """CMPLNT_NUM,CMPLNT_FR_DT,CMPLNT_FR_TM,OFNS_DESC,Latitude,Longitude
1,01/05/2026,13:30:00,PETIT LARCENY,40.70,-73.95
2,01/05/2026,(null),PETIT LARCENY,40.71,-73.95
3,01/05/2026,24:00:00,PETIT LARCENY,40.72,-73.95
4,,10:00:00,PETIT LARCENY,40.73,-73.95
5,07/05/2026,00:00:00,PETIT LARCENY,40.74,-73.95
"""


def test_unknown_times_are_refused_with_the_portals_format(door):
    sent = door.send("ny.csv", NEW_YORK)
    assert door.hours() == ["2026-01-05T13:30", "2026-07-05T00:00"]
    assert refusals(sent) == [
        (row, "occurred_at", "bad_time", value)
        for row, value in (
            (2, "'01/05/2026 (null)'"),
            (3, "'01/05/2026 24:00:00'"),
            (4, "'10:00:00'"),
        )
    ]
    message = sent.body["errors"][0]["message"]
    assert "%m/%d/%Y %H:%M:%S, the format of New York, NYPD complaints" in message
    assert "give time_format" in message


def test_the_interface_of_new_york_as_json(door):
    row = {
        "cmplnt_num": "9", "cmplnt_fr_dt": "2026-01-05T00:00:00.000", "cmplnt_fr_tm": "13:30:00",
        "ofns_desc": "PETIT LARCENY", "latitude": "40.7", "longitude": "-73.95",
    }  # fmt: skip
    door.send("ny.json", json.dumps([row]))
    assert door.hours() == ["2026-01-05T13:30"]


MONTHS = ("mar", "ago", "ene", "dic", "abr")
SPANISH = ["occurred_at=FECHA+HORA", "category=CONDUCTA", "latitude=LATITUD", "longitude=LONGITUD"]
DATES = (
    "05-mar-26",
    "05-ago-26",
    "05 de enero de 2026",
    "jueves, 5 de diciembre de 2024",
    "5 abr. 2026",
)


@pytest.mark.parametrize("time_format", [None, "%d-%b-%y %I:%M %p"])
def test_spanish_months_and_clocks_of_twelve_hours(doors, time_format):
    door = doors(timezone="America/Bogota")
    dates = (
        DATES
        if time_format is None
        else ("05-mar-26", "05-ago-26", "05-ene-26", "05-dic-24", "05-abr-26")
    )
    rows = [f"{date};10:15 p. m.;HURTO;4,60{n};-74,08" for n, date in enumerate(dates)]
    choices = {} if time_format is None else {"time_format": time_format}
    text = "\n".join(["FECHA;HORA;CONDUCTA;LATITUD;LONGITUD", *rows])
    sent = door.send("bogota.csv", text, columns=SPANISH, **choices)
    assert sent.body["accepted"] == 5, sent.body["errors"]
    assert door.hours() == [
        f"{day}T22:15"
        for day in ("2024-12-05", "2026-01-05", "2026-03-05", "2026-04-05", "2026-08-05")
    ]


def test_months_by_name_in_their_own_column(doors):
    door = doors(timezone="America/Bogota")
    written = (("MARZO", 22), ("Abr", 22), ("ENERO", 22), ("agosto", "10:15 p. m."), ("ENERO", 24))
    rows = [f"2026;{month};5;{hour};HURTO;4,60;-74,08" for month, hour in written]
    names = {"year": "ANIO", "month": "MES", "day": "DIA", "hour": "HORA", "category": "DELITO",
             "latitude": "LATITUD", "longitude": "LONGITUD"}  # fmt: skip
    sent = door.send(
        "parts.csv",
        "\n".join(["ANIO;MES;DIA;HORA;DELITO;LATITUD;LONGITUD", *rows]),
        columns=[f"{name}={column}" for name, column in names.items()],
    )
    assert door.hours() == [
        "2026-01-05T22:00", "2026-03-05T22:00", "2026-04-05T22:00", "2026-08-05T22:15"
    ]  # fmt: skip
    assert refusals(sent) == [(5, "occurred_at", "bad_time", "'2026 ENERO 5 24'")]


def test_hours_from_1_to_24_are_questioned(door):
    """Hour 1 may be the first or the second of the day: read as written, all would be an hour late."""
    rows = [("2026-03-05", hour) for hour in range(1, 25)]
    head = "fecha,hora,type,latitude,longitude"
    choices = {"columns": ["occurred_at=fecha+hora", "category=type"]}
    sent = door.send("hours.csv", csv_of(rows, head), **choices)
    assert sent.body["rejected_by_code"] == {"bad_time": 24}
    assert sent.body["errors"][0]["params"]["why"] == "hours_from_1"
    meant = door.send("hours.csv", csv_of(rows, head), **choices, time_format="%Y-%m-%d %H")
    assert (meant.body["accepted"], door.hours()[0]) == (23, "2026-03-05T01:00")


WAYS = {
    "22h30": "22:30", "22 Uhr": "22:00", "22.30 Uhr": "22:30", "10:15 PM": "22:15", "10:15 p. m.": "22:15",
    "10 p.m.": "22:00", "12:05 a.m.": "00:05", "12:30 PM": "12:30", "22:30:15.5": "22:30",
    "2130 hrs": "21:30", "下午 10:15": "22:15", "1899-12-30 22:30:00": "22:30",
}  # fmt: skip
NO_CLOCKS = ("24:00", "25:10", "22.30", "13:30 PM", "22:00-23:00", "S/D", "noon", "23:59:60")


def test_ways_of_writing_a_clock(door):
    rows = [("2026-03-05", clock) for clock in (*WAYS, *NO_CLOCKS)]
    sent = door.send("ways.csv", csv_of(rows))
    assert door.hours() == sorted(f"2026-03-05T{clock}" for clock in WAYS.values())
    assert [e["params"]["value"] for e in sent.body["errors"]] == [
        f"'2026-03-05 {clock}'" for clock in NO_CLOCKS
    ]
    assert sent.body["rejected_by_code"] == {"bad_time": len(NO_CLOCKS)}


def test_hours_of_a_band_beside_unknown_ones(doors):
    door = doors(timezone="America/Argentina/Buenos_Aires")
    rows = [("2026-01-13", 23), ("2026-01-13", 0), ("2026-01-14", "S/D"), ("2026-01-14", 7)]
    text = csv_of(rows, "fecha,franja,type,latitude,longitude")
    sent = door.send("ba.csv", text, columns=["occurred_at=fecha+franja", "category=type"])
    assert door.hours() == ["2026-01-13T00:00", "2026-01-13T23:00", "2026-01-14T07:00"]
    assert refusals(sent) == [(3, "occurred_at", "bad_time", "'2026-01-14 S/D'")]
