"""Days, orders and zones as real files write them (cases 11, 12, 13, 17, 18)."""

from __future__ import annotations

import contextlib
import sqlite3

import geopandas
import pandas as pd
import pytest
import shapely

HEADER = "occurred_at,type,latitude,longitude"


def csv_of(times, header=HEADER):
    lines = [f'"{time}",Theft,39.{100 + n},-84.5' for n, time in enumerate(times)]
    return "\n".join([header, *lines]) + "\n"


def split_csv(rows):
    lines = [f'"{date}","{clock}",Theft,39.{100 + n},-84.5' for n, (date, clock) in enumerate(rows)]
    return "\n".join(["date,time,type,latitude,longitude", *lines]) + "\n"


def geopackage(path, zoned):
    times = pd.to_datetime(["2026-01-09T23:30:00", "2026-07-10T21:30:00"])
    frame = geopandas.GeoDataFrame(
        {"occurred_at": times, "type": "Theft"},
        geometry=[shapely.Point(-84.5, 39.1), shapely.Point(-84.51, 39.1)],
        crs="EPSG:4326",
    )
    frame.to_file(path, layer="a")
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        found = database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (name,) in found:
            database.execute(f'DROP TRIGGER "{name}"')
        suffix = "'Z'" if zoned else "''"
        database.execute(f"UPDATE a SET occurred_at = rtrim(occurred_at, 'Z') || {suffix}")
    return path.read_bytes()


def test_wall_times_of_a_geopackage_are_local(door, tmp_path):
    content = geopackage(tmp_path / "a.gpkg", zoned=False)
    sent = door.send("wall.gpkg", content)
    assert door.hours() == ["2026-01-09T23:30", "2026-07-10T21:30"]
    assert "wall_times" in [a["code"] for a in sent.body["read"]["assumptions"]]


def test_a_geopackages_utc_is_believed_and_said(doors, tmp_path):
    content = geopackage(tmp_path / "a.gpkg", zoned=True)
    door = doors()
    sent = door.send("utc.gpkg", content)
    assert door.hours() == ["2026-01-09T18:30", "2026-07-10T17:30"]
    assert [w["code"] for w in sent.body["warnings"]] == ["states_utc"]
    assert "zone=local" in sent.body["warnings"][0]["message"]
    local = doors()
    local.send("utc.gpkg", content, zone="local")
    assert local.hours() == ["2026-01-09T23:30", "2026-07-10T21:30"]


@pytest.mark.parametrize(
    ("zone", "hour"), [(None, "12:00"), ("UTC", "07:00"), ("America/Chicago", "13:00")]
)
def test_the_zone_of_times_without_an_offset(door, zone, hour):
    choices = {} if zone is None else {"zone": zone}
    door.send("zone.csv", csv_of(["2026-01-05 12:00", "2026-01-06T12:00:00-05:00"]), **choices)
    assert door.hours() == [f"2026-01-05T{hour}", "2026-01-06T12:00"]


def test_wrong_offsets_are_passed_over(door):
    door.send("zone.csv", csv_of(["2026-01-05T22:30:00Z", "2026/01/06 22:30:00+00"]), zone="local")
    assert door.hours() == ["2026-01-05T22:30", "2026-01-06T22:30"]


def test_midnights_of_utc_beside_a_local_clock_keep_their_day(door):
    rows = [("2026/03/06 00:00:00+00", "17:30"), ("2026/03/07 00:00:00+00", "22:30")]
    sent = door.send("utc.csv", split_csv(rows))
    assert door.hours() == ["2026-03-06T17:30", "2026-03-07T22:30"]
    assert [a["code"] for a in sent.body["read"]["assumptions"]] == ["written_days"]


def test_midnights_of_the_region_beside_a_local_clock_are_its_days(doors):
    door = doors(timezone="Europe/Madrid")
    rows = [("2026/03/05 23:00:00+00", "17:30"), ("2026/07/06 22:00:00+00", "22:30")]
    door.send("local.csv", split_csv(rows).replace("-84.5", "-3.7"))
    assert door.hours() == ["2026-03-06T17:30", "2026-07-07T22:30"]


def test_midnights_of_two_zones_are_asked_about(doors):
    rows = [("2026/03/05 05:00:00+00", "17:30"), ("2026/07/06 00:00:00+00", "22:30")]
    asked = doors()
    sent = asked.send("mixed.csv", split_csv(rows))
    assert sent.status in (409, 422)
    assert "zone=local" in sent.error
    assert "zone=UTC" in sent.error
    assert asked.hours() == []
    asked.send("mixed.csv", split_csv(rows), zone="local")
    assert asked.hours() == ["2026-03-05T17:30", "2026-07-06T22:30"]
    converted = doors()
    converted.send("mixed.csv", split_csv(rows), zone="UTC")
    assert converted.hours()[1][:10] == "2026-07-05"


def test_the_order_of_day_and_month_is_proven_or_refused(doors):
    proven = doors()
    sent = proven.send("proven.csv", csv_of(["05/03/2026 22:15", "13/03/2026 10:15 PM"]))
    assert proven.hours() == ["2026-03-05T22:15", "2026-03-13T22:15"]
    assert [a["code"] for a in sent.body["read"]["assumptions"]] == ["day_first"]
    opened = doors()
    sent = opened.send("open.csv", csv_of(["05/03/2026 22:15", "06/03/2026 22:15"]))
    assert (opened.hours(), sent.body["rejected_by_code"]) == ([], {"ambiguous_date": 2})
    assert sent.body["errors"][0]["params"]["value"] == "'05/03/2026 22:15'"


def test_dates_converted_by_half_are_found(door):
    rows = ["2026-03-05 22:15:00", "2026-07-05 10:00:00", "13/05/2026 22:10", "25/05/2026 22:10"]
    for choices in ({}, {"time_format": "%d/%m/%Y %H:%M"}):
        sent = door.send("half.csv", csv_of(rows), **choices)
        assert sent.status in (409, 422)
        assert "exchanged their day and month" in sent.error
        assert door.hours() == []


def test_a_date_alone_is_no_midnight(door):
    sent = door.send("days.csv", csv_of(["2026-03-05", "5 mars 2026"]))
    assert (sent.body["accepted"], sent.body["rejected_by_code"]) == (0, {"bad_time": 2})
    assert "date_only=interval" in sent.body["errors"][0]["message"]
    sent = door.send("days.csv", csv_of(["25/03/2026"]), time_format="%d/%m/%Y")
    assert (sent.body["accepted"], sent.body["errors"][0]["params"]["why"]) == (0, "no_time")


TROLL = ["2025-10-26 01:30", "2026-03-29 01:30", "2026-03-29 02:59"]


def test_a_gap_of_two_hours_ends_at_its_first_minute(doors):
    door = doors(timezone="Antarctica/Troll")
    text = csv_of(TROLL).replace("39.", "-72.").replace("-84.5", "2.5")
    door.send("troll.csv", text)
    assert door.hours() == ["2025-10-26T01:30", "2026-03-29T03:00", "2026-03-29T03:00"]


def test_a_midnight_that_is_skipped_moves_past_the_gap(doors):
    door = doors(timezone="America/Santiago")
    times = ["2024-09-08 00:00", "2024-09-08 00:30", "2024-09-08 01:00"]
    door.send("santiago.csv", csv_of(times).replace("39.", "-33.").replace("-84.5", "-70.65"))
    assert door.hours() == ["2024-09-08T01:00"] * 3
