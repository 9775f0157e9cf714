"""Each incident can be erased by what names it: its id in the listing, any external id, a reference."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from typer.testing import CliRunner

from app.cli import app as command_line
from tests.cases.conftest import Door

HEAD = "external_id,occurred_at,longitude,latitude,category,reference\n"


def erase(door: Door, given: object, **choices: str) -> tuple[bool, str]:
    """Erase by the door's way; returns whether it was done, and the error."""
    if door.way == "http":
        path = f"{door.root}/incidents/{quote(str(given), safe='')}"
        reply = door.client.delete(path, params=choices)
        return reply.status_code == 204, "" if reply.status_code == 204 else reply.json()["detail"]
    words = [word for name, value in choices.items() for word in (f"--{name}", value)]
    run = CliRunner().invoke(command_line, ["erase", door.region, str(given), *words])
    error = str(run.exception) if run.exception else ""
    return run.exit_code == 0, " ".join((run.stderr or error or "").split())


def rows(*ids: tuple[str, str]) -> str:
    lines = [
        f"{given},2026-05-02T{10 + i}:00:00,-84.5{i},39.1,Theft,{reference}"
        for i, (given, reference) in enumerate(ids)
    ]
    return HEAD + "\n".join(lines) + "\n"


def test_a_record_without_an_id_is_erased_by_the_one_that_the_listing_shows(door: Door):
    door.send("a.csv", rows(("", ""), ("", "")))
    first, second = door.stored()
    assert erase(door, first["id"]) == (True, "")
    assert door.stored() == [second]
    done, error = erase(door, first["id"])
    assert (done, "no incident with that external id, id or reference" in error) == (False, True)


@pytest.mark.slow
@pytest.mark.parametrize("given", ["2026/000123", "A B", "a?b#c", "ñ/+"])
def test_an_external_id_may_have_any_character(door: Door, given):
    door.send("a.csv", rows((given, ""), ("stays", "")))
    assert erase(door, given) == (True, "")
    assert [one["external_id"] for one in door.stored()] == ["stays"]


def test_all_offences_of_a_reference_are_erased(door: Door):
    door.send("a.csv", rows(("", "26/411"), ("", "26/411"), ("", "26/412")))
    assert erase(door, "26/411") == (True, "")
    assert [one["reference"] for one in door.stored()] == ["26/412"]


@pytest.mark.slow
def test_what_may_be_two_incidents_is_asked(door: Door):
    door.send("a.csv", rows(("", "")))
    (one,) = door.stored()
    door.send("b.csv", rows(("x", ""), (str(one["id"]), "")))
    done, error = erase(door, one["id"])
    assert not done
    assert "send by=external_id or by=id" in error
    assert len(door.stored()) == 3
    assert erase(door, one["id"], by="id") == (True, "")
    assert one["id"] not in {left["id"] for left in door.stored()}
    assert erase(door, one["id"]) == (True, "")
    assert [left["external_id"] for left in door.stored()] == ["x"]


@pytest.mark.slow
def test_the_feed_of_an_id_is_asked_where_two_have_it(door: Door):
    door.send("a.csv", rows(("7", "")), feed="city")
    door.send("b.csv", rows(("8", ""), ("7", "")), feed="campus")
    done, error = erase(door, "7", by="external_id")
    assert (done, "'campus', 'city'" in error) == (False, True)
    assert erase(door, "7", by="external_id", feed="city") == (True, "")
    assert {(one["external_id"], one["feed"]) for one in door.stored()} == {
        ("7", "campus"),
        ("8", "campus"),
    }


def test_the_versions_before_a_correction_go_too(door: Door, engine):
    door.send("a.csv", rows(("c1", "")))
    door.send("b.csv", rows(("c0", ""), ("c1", "")))
    (one,) = [found for found in door.stored() if found["external_id"] == "c1"]
    assert erase(door, one["id"], by="id") == (True, "")
    with engine.connect() as connection:
        left = connection.exec_driver_sql(
            f"SELECT count(*) FROM incident_history WHERE incident_id = {one['id']}"
        )
        assert left.scalar_one() == 0
