"""How a file was read is said before anything is stored, on the command line as over HTTP."""

import pytest
from typer.testing import CliRunner

from app.cli import app as command_line
from app.cli import incidents

BODY = (
    "Crimes 2026\nDate,Time,Type,Longitude,Latitude,End Time,Suspect Name,Count\n"
    "2026-03-05,22:15,Theft,-84.5,39.1,23:00,x,1\n"
)


def ingested(door, *options, answer=None):
    path = door.folder / "a.csv"
    path.write_text(BODY)
    return CliRunner().invoke(
        command_line, ["ingest", door.region, str(path), *options], input=answer
    )


def test_a_dry_run_says_everything_and_stores_nothing(door):
    sent = door.send("a.csv", BODY, dry_run=True)
    assert sent.body["dry_run"] is True
    assert sent.body["accepted"] == 1
    assert sent.body["read"]["columns"]["date"] == "Date"
    assert door.stored() == []


def test_the_command_line_says_how_a_file_was_read(doors, request):
    door = doors()
    run = ingested(door)
    said = " ".join(run.stderr.split())
    assert "format csv" in said
    assert "header_row 2" in said
    assert "date = Date" in said
    assert "category = Type" in said
    assert "rows 1 (above the header)" in said
    assert "End Time (end of a time span)" in said
    assert "Suspect Name (about persons)" in said
    assert "Count (number of incidents)" in said


@pytest.mark.parametrize(("answer", "stored"), [("n\n", 0), ("y\n", 1)])
def test_a_terminal_is_asked_before_a_regions_first_file_is_stored(
    door, monkeypatch, answer, stored
):
    monkeypatch.setattr(incidents, "_can_ask", lambda _path: True)
    run = ingested(door, answer=answer)
    assert "dry run" in run.stderr
    assert "Store them?" in run.stdout
    assert len(door.stored()) == stored
    assert (run.exit_code == 0) is bool(stored)
    if stored:
        assert "Store them?" not in ingested(door, answer="").stdout


def test_yes_is_not_asked(door, monkeypatch):
    monkeypatch.setattr(incidents, "_can_ask", lambda _path: True)
    assert "Store them?" not in ingested(door, "--yes").stdout
    assert len(door.stored()) == 1
