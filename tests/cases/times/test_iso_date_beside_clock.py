"""An ISO date with a time of zeros beside a 12-hour clock (case 16)."""

ROWS = """Collision Date,Collision Time,Crash Type,Latitude,Longitude
2026-01-05T00:00:00,12:30 AM,Hit and run,39.10,-77.20
2026-01-06T00:00:00,12:31 PM,Hit and run,39.11,-77.21
2026-01-07T00:00:00,10:15 PM,Hit and run,39.12,-77.22
"""
COLUMNS = ["occurred_at=Collision Date+Collision Time", "category=Crash Type"]


def test_a_format_reads_both_columns(door):
    sent = door.send("a.csv", ROWS, columns=COLUMNS, time_format="%Y-%m-%dT00:00:00 %I:%M %p")
    assert sent.body["accepted"] == 3
    assert door.hours() == ["2026-01-05T00:30", "2026-01-06T12:31", "2026-01-07T22:15"]
