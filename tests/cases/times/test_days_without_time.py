"""Dates without a time, and unknown times that stand at midnight (cases 12 and 13): said at upload."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

import pytest

N_DAYS = 250
START = datetime(2026, 1, 1)
HOURS = [4, 3, 2, 1, 1, 1, 2, 3, 4, 4, 5, 5, 6, 5, 5, 6, 6, 7, 7, 7, 7, 7, 6, 5]
"""A city's incidents by local hour, roughly."""


def days(n):
    draw = random.Random(7)
    return [START + timedelta(days=draw.randrange(N_DAYS)) for _ in range(n)]


def times(n):
    draw = random.Random(8)
    return [
        day + timedelta(hours=draw.choices(range(24), HOURS)[0], minutes=draw.randrange(60))
        for day in days(n)
    ]


def csv_of(written):
    draw = random.Random(9)
    lines = [
        f"{text},Theft,{39.1 + 0.03 * draw.random():.6f},{-84.5 - 0.03 * draw.random():.6f}"
        for text in written
    ]
    return "\n".join(["occurred_at,type,latitude,longitude", *lines]) + "\n"


def in_los_angeles(text):
    return text.replace(",39.", ",34.").replace(",-84.", ",-118.")


def codes(sent):
    return [warning["code"] for warning in sent.body["warnings"]]


@pytest.mark.parametrize(
    ("form", "at"),
    [("%Y/%m/%d 00:00:00+00", ["19:00", "20:00"]), ("%Y-%m-%dT00:00:00.000", ["00:00"])],
)
def test_a_file_of_midnights_is_said_to_have_no_times(door, form, at):
    sent = door.send("days.csv", csv_of(f"{day:{form}}" for day in days(300)))
    assert sent.body["accepted"] == 300
    assert codes(sent) == ["one_time_of_day"]
    (warning,) = sent.body["warnings"]
    assert (warning["params"]["at"], warning["params"]["n"]) == (at, 300)
    assert "dates without a time" in warning["message"]
    assert {hour[11:] for hour in door.hours()} == set(at)


def test_a_sixth_at_midnight_is_said_in_a_small_town(door):
    written = [f"{at:%Y-%m-%dT%H:%M}" for at in times(350)]
    written += [f"{day:%Y-%m-%d}T00:00" for day in days(70)]
    sent = door.send("sixth.csv", csv_of(written))
    assert codes(sent) == ["time_heaping"]
    assert sent.body["warnings"][0]["params"]["at"] == "00:00"
    assert sent.body["warnings"][0]["params"]["n"] >= 70


def test_known_times_are_not_warned_of(door):
    assert codes(door.send("known.csv", csv_of(f"{at:%Y-%m-%dT%H:%M}" for at in times(420)))) == []


def test_local_times_that_call_themselves_utc_are_doubted(doors):
    text = in_los_angeles(csv_of(f"{at:%Y-%m-%dT%H:%M}Z" for at in times(600)))
    sent = doors(timezone="America/Los_Angeles").send("utc.csv", text)
    assert codes(sent) == ["zone_in_doubt"]
    assert "zone=local" in sent.body["warnings"][0]["message"]
    local = doors(timezone="America/Los_Angeles")
    assert codes(local.send("utc.csv", text, zone="local")) == []
    assert local.hours() == sorted(f"{at:%Y-%m-%dT%H:%M}" for at in times(600))


def test_true_utc_is_not_doubted(doors):
    written = (f"{at + timedelta(hours=8):%Y-%m-%dT%H:%M}Z" for at in times(600))
    text = in_los_angeles(csv_of(written))
    assert codes(doors(timezone="America/Los_Angeles").send("utc.csv", text)) == []
