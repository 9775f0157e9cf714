"""Times that are no times, by the report: dates alone, midnights of UTC, starts (cases 12, 13, 19)."""

import random

import pytest

from tests.cases.reports import answers, findings, forecast, report, warned

AT = "2026-11-02T00:00"


def _rows(times, kind="Theft", seed=0):
    draw = random.Random(seed)
    return [
        f"{time},{draw.uniform(-84.52, -84.45):.6f},{draw.uniform(39.09, 39.14):.6f},{kind}"
        for time in times
    ]


def _csv(*rows):
    return "\n".join(["datetime,longitude,latitude,type", *(one for part in rows for one in part)])


def _days(n, clock, seed=0):
    draw = random.Random(seed)
    return [f"2026-{draw.randint(1, 10):02}-{draw.randint(1, 28):02}T{clock}" for _ in range(n)]


def _known(n, seed=1):
    """Times that favour the evening, to the minute."""
    draw = random.Random(seed)
    hours = draw.choices(range(24), weights=[2 + max(0, 6 - abs(h - 19)) for h in range(24)], k=n)
    days = _days(n, "", seed)
    return [f"{d}{h:02}:{draw.randint(0, 59):02}:00" for d, h in zip(days, hours, strict=True)]


@pytest.mark.slow
def test_midnights_of_utc_are_dates(doors, engine, settings):
    door = doors()
    assert door.send("hub.csv", _csv(_rows(_days(400, "00:00:00Z")))).body["accepted"] == 400
    found = report(door)
    assert answers(found) == ("no", "yes", "next_send_times")
    assert found["verdicts"]["hour"]["params"]["at"] == ["19:00", "20:00"]
    assert findings(found)["date_only"]["n"] == 400
    told = warned(forecast(door, engine, settings, AT))
    assert told["one_time_of_day"]["at"] == ["19:00", "20:00"]


@pytest.mark.slow
def test_midnights_for_every_row_are_dates(doors, engine, settings):
    door = doors()
    assert door.send("a.csv", _csv(_rows(_days(300, "00:00:00.000")))).body["accepted"] == 300
    found = report(door)
    assert answers(found) == ("no", "yes", "next_send_times")
    assert findings(found)["date_only"]["at"] == ["00:00"]
    told = warned(forecast(door, engine, settings, AT))
    assert (told["one_time_of_day"]["n"], told["one_time_of_day"]["at"]) == (300, ["00:00"])


@pytest.mark.slow
def test_a_sixth_at_midnight_in_a_small_town(doors, engine, settings):
    door = doors()
    sent = door.send("b.csv", _csv(_rows(_days(70, "00:00:00")), _rows(_known(350), seed=2)))
    assert sent.body["accepted"] == 420
    found = report(door)
    assert answers(found) == ("weakly", "yes", "next_unknown_times")
    heap = next(f for f in found["findings"] if f["code"].startswith("time_heaping"))
    assert heap["params"]["at"] == "00:00 (midnight)"
    assert heap["params"]["n"] in range(70, 74)
    # Nothing has to be left out: the training spreads them.
    assert findings(found)["inexact_times"]["placeholder"] == pytest.approx(70 / 420, abs=0.02)
    assert "count as any time of their day" in found["verdicts"]["next_step"]["message"]
    told = warned(forecast(door, engine, settings, AT))
    assert told["unknown_times_spread"]["at"] == ["00:00"]


@pytest.mark.slow
def test_starts_of_spans_are_heaped(doors):
    door = doors()
    starts = _rows(_days(200, "08:00:00"), "Burglary")
    exact = [
        f"2026-{1 + i % 10:02}-{1 + i % 28:02}T{(22 + i % 6) % 24:02}:{i:02}:00" for i in range(40)
    ]
    door.send("spans.csv", _csv(starts, _rows(exact, "Burglary", seed=3)))
    found = report(door)
    assert answers(found) == ("no", "yes", "next_interval_ends")
    assert found["verdicts"]["hour"]["code"] == "hours_heaped"
    assert findings(found)["time_heaping"]["at"] == "08:00"


@pytest.mark.slow
def test_known_times_are_no_heap(doors):
    door = doors()
    door.send("known.csv", _csv(_rows(_known(2_000), seed=4)))
    found = report(door)
    assert answers(found) == ("yes", "yes", "next_train")
    assert not {"time_heaping", "time_heaping_ratio", "date_only"} & findings(found).keys()


@pytest.mark.slow
def test_rows_that_differ_are_not_called_equal(doors):
    rows = [
        "26-000411,1,2026-03-06T22:15:00,Robbery,-84.5101,39.1022",
        "26-000411,2,2026-03-06T22:15:00,Assault,-84.5101,39.1022",
        "26-000411,3,2026-03-06T22:15:00,Criminal Damage,-84.5101,39.1022",
        "26-000412,1,2026-03-07T01:40:00,Burglary,-84.5142,39.1051",
    ]
    door = doors()
    head = "Case Number,Charge No,Occurred On,Offense,Longitude,Latitude"
    door.send("offences.csv", "\n".join([head, *rows]))
    assert not any("word for word" in f["message"] for f in report(door)["findings"])
