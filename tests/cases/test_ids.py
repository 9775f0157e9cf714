"""What identifies an incident is never guessed: ids that are none neither merge nor overwrite incidents."""

from __future__ import annotations

import io
import json
from itertools import product

import pandas as pd
import pytest

from app.core.roles import seeing_unreleased
from app.incidents.service import UploadSource, ingest
from tests.cases.conftest import Door

HEAD = "occurred_at,longitude,latitude,category"


def feature_file(month: int, n: int, kinds: tuple[str, ...], first_id: int = 0) -> str:
    """A month of incidents as geopandas writes them: each file numbers its features."""
    features = [
        {
            "id": str(first_id + i),
            "type": "Feature",
            "properties": {
                "datetime": f"2026-{month:02d}-{1 + i % 27:02d}T{i % 24:02d}:{i:02d}:00",
                "type": kinds[i % len(kinds)],
            },
            "geometry": {
                "type": "Point",
                "coordinates": [-84.5 - month / 50 - i / 1000, 39.1 + i / 1000],
            },
        }
        for i in range(n)
    ]
    return json.dumps({"type": "FeatureCollection", "features": features})


def assumptions(body: dict) -> set[str]:
    return {one["code"] for one in body["read"]["assumptions"]}


def csv_of(rows: list[tuple], columns: str) -> str:
    return "\n".join([columns, *(",".join(map(str, row)) for row in rows)]) + "\n"


def monthly(month: int, ids: list) -> str:
    """A file of a month: each row with another time, place and kind than in other months."""
    rows = [
        (
            given,
            f"2026-{month:02d}-{1 + i % 27:02d}T{i % 24:02d}:30:00",
            -84.4 - month / 40,
            39.1,
            f"kind {month}",
        )
        for i, given in enumerate(ids)
    ]
    return csv_of(rows, "id,datetime,longitude,latitude,type")


@pytest.mark.slow
def test_feature_ids_are_no_ids(door: Door):
    first = door.send("january.geojson", feature_file(1, 40, ("Theft", "Robbery")))
    second = door.send("february.geojson", feature_file(2, 35, ("Assault", "Robbery")))
    assert (first.body["accepted"], second.body["accepted"]) == (40, 35)
    assert second.body["corrected"] == second.body["conflicts"] == 0
    assert len(door.stored()) == 75
    assert {one["external_id"] for one in door.stored()} == {None}
    assert assumptions(second.body) == {"feature_ids"}
    assert {"kind": "column", "name": "feature.id", "reason": ""} in second.body["read"]["not_read"]
    again = door.send("january.geojson", feature_file(1, 40, ("Theft", "Robbery")))
    assert (again.body["accepted"], again.body["duplicates"]) == (0, 40)


def test_feature_ids_are_ids_if_the_sender_says_so(door: Door):
    named = {"columns": ["external_id=feature.id"]}
    door.send("a.geojson", feature_file(1, 5, ("Theft",), 7000), **named)
    assert [one["external_id"] for one in door.stored()] == [str(7000 + i) for i in range(5)]


@pytest.mark.slow
@pytest.mark.parametrize("form", ["{}", "{}.0"])
@pytest.mark.parametrize("start", [0, 1])
def test_row_numbers_are_no_ids(door: Door, start, form):
    for month, n in ((1, 12), (2, 9)):
        ids = [form.format(start + i) for i in range(n)]
        sent = door.send(f"{month}.csv", monthly(month, ids))
        assert (sent.body["accepted"], sent.body["corrected"]) == (n, 0)
        assert assumptions(sent.body) == {"row_numbers"}
        assert "external_id" not in sent.body["read"]["columns"]
    assert len(door.stored()) == 21
    assert {(one["external_id"], one["reference"]) for one in door.stored()} == {(None, None)}


def test_row_numbers_of_a_sorted_file_are_no_ids(door: Door):
    door.send("a.csv", monthly(1, [3, 1, 0, 2, 4]))
    assert {one["external_id"] for one in door.stored()} == {None}


@pytest.mark.slow
def test_several_offences_of_one_case_are_several_incidents(door: Door):
    rows = [
        ("26-000411", 1, "2026-03-06T22:15:00", "Robbery", -84.5101, 39.1022),
        ("26-000411", 2, "2026-03-06T22:15:00", "Assault", -84.5101, 39.1022),
        ("26-000411", 3, "2026-03-06T22:15:00", "Assault", -84.5101, 39.1022),
        ("26-000412", 1, "2026-03-07T01:40:00", "Burglary", -84.5142, 39.1051),
    ]
    head = "Case Number,Charge No,Occurred On,Offense,Longitude,Latitude"
    sent = door.send("offences.csv", csv_of(rows, head))
    assert (sent.body["accepted"], sent.body["duplicates"]) == (4, 0)
    assert assumptions(sent.body) == {"ids_repeat"}
    assert sent.body["read"]["columns"]["reference"] == "Case Number"
    stored = door.stored()
    assert sorted(one["category"] for one in stored) == [
        "Assault",
        "Assault",
        "Burglary",
        "Robbery",
    ]
    assert {one["external_id"] for one in stored} == {None}
    assert [one["reference"] for one in stored] == ["26-000411"] * 3 + ["26-000412"]
    again = door.send("offences.csv", csv_of(rows, head))
    assert (again.body["accepted"], again.body["duplicates"]) == (0, 4)
    # A later file in which no number repeats is read alike.
    later = door.send("later.csv", csv_of([("26-000500", 1, *rows[0][2:])], head))
    assert assumptions(later.body) == {"ids_repeated_before"}


def test_a_column_of_ids_that_proves_to_be_one_is_used(door: Door):
    ids = ["A-17", "A-19", "A-20"]
    sent = door.send("a.csv", monthly(1, ids))
    assert assumptions(sent.body) == {"ids_unique"}
    assert [one["external_id"] for one in door.stored()] == ids
    none = door.send("b.csv", monthly(2, ids), columns=["external_id="])
    assert (none.body["accepted"], none.body["corrected"]) == (3, 0)
    assert len(door.stored()) == 6


def test_a_declared_id_repeats_with_a_warning(door: Door):
    rows = [
        ("c1", "2026-03-06T22:15:00", -84.51, 39.1, "Robbery"),
        ("c1", "2026-03-06T22:15:00", -84.51, 39.1, "Assault"),
        ("c2", "2026-03-06T22:15:00", -84.51, 39.1, "Assault"),
    ]
    sent = door.send("a.csv", csv_of(rows, f"external_id,{HEAD}"))
    assert (sent.body["accepted"], sent.body["duplicates"]) == (2, 1)
    (warning,) = sent.body["warnings"]
    assert (warning["code"], warning["params"]) == ("repeated_ids", {"n": 1})
    assert {(o["external_id"], o["category"]) for o in door.stored()} == {
        ("c1", "Assault"),
        ("c2", "Assault"),
    }


def test_numbers_that_lost_digits_are_no_ids(door: Door):
    sent = door.send("a.csv", monthly(1, ["2.02E+11", "2.03E+11", "17"]))
    assert (sent.body["accepted"], assumptions(sent.body)) == (3, {"ids_rounded"})
    assert {one["external_id"] for one in door.stored()} == {None}
    named = door.send("b.csv", monthly(2, ["2.02E+11", "1E5", "17.0"]), columns=["external_id=id"])
    assert (named.body["accepted"], named.body["rejected"]) == (2, 1)
    (error,) = named.body["errors"]
    assert (error["row"], error["field"], error["code"]) == (
        1,
        "external_id",
        "id_in_scientific_notation",
    )
    assert "'2.02E+11'" in error["message"]
    assert "format the column as text" in error["message"]
    assert [one["external_id"] for one in door.stored()[3:]] == ["1E5", "17"]


def restarting(year: int, n: int = 30) -> str:
    """A year of an agency that numbers its incidents anew each January."""
    kinds = ("Theft", "Assault")
    rows = [
        (
            f"{i + 1:05d}",
            f"{year}-{1 + (i * 7 + year) % 10:02d}-{1 + i % 27:02d} {i % 24:02d}:00:00",
            -84.45 - (i * 7 + year * 13) % n / 400,
            39.1 + (i * 11 % n) / 500,
            kinds[(i // 3 + year) % 2],
        )
        for i in range(n)
    ]
    return csv_of(rows, "incident_number,datetime,longitude,latitude,type")


@pytest.mark.slow
def test_numbers_that_start_again_overwrite_nothing(door: Door):
    door.send("2025.csv", restarting(2025))
    before = door.stored()
    sent = door.send("2026.csv", restarting(2026))
    assert (sent.body["accepted"], sent.body["conflicts"], sent.body["rejected"]) == (0, 30, 30)
    assert sent.body["rejected_by_code"] == {"id_conflict": 30}
    assert door.stored() == before
    error = sent.body["errors"][0]
    assert (error["row"], error["field"], error["code"]) == (1, "external_id", "id_conflict")
    assert "'00001'" in error["message"]
    assert "feed=NAME" in error["message"]
    assert "on_conflict=replace" in error["message"]
    assert sent.body["warnings"][0]["code"] == "id_conflicts"
    apart = door.send("2026.csv", restarting(2026), feed="2026")
    assert (apart.body["accepted"], len(door.stored())) == (30, 60)
    assert {one["feed"] for one in door.stored()} == {None, "2026"}
    again = door.send("2026.csv", restarting(2026), feed="2026")
    assert (again.body["accepted"], again.body["duplicates"]) == (0, 30)
    meant = door.send("2026.csv", restarting(2026), on_conflict="replace")
    assert (meant.body["corrected"], meant.body["conflicts"]) == (30, 0)


def test_a_correction_of_one_or_two_of_time_place_and_kind_is_one(door: Door):
    head = f"external_id,{HEAD}"
    first = [(f"c{i}", "2026-03-06T22:15:00", -84.51, 39.1, "Robbery") for i in range(4)]
    door.send("a.csv", csv_of(first, head))
    second = [
        ("c0", "2026-03-02T10:00:00", -84.51, 39.1, "Theft"),
        ("c1", "2026-03-02T10:00:00", -84.31, 39.1, "Robbery"),
        ("c2", "2026-03-06T22:15:00", -84.31, 39.1, "Theft"),
        ("c3", "2026-03-06T23:15:00", -84.519, 39.1, "Theft"),
    ]
    sent = door.send("b.csv", csv_of(second, head))
    assert (sent.body["corrected"], sent.body["conflicts"]) == (4, 0)
    assert sorted(door.hours()) == sorted(row[1][:16] for row in second)


MARCH = "2026-03-01T00:00:00", -84.51, 39.1, "Theft"
APRIL = "2026-02-28T22:15:00", -84.515, 39.105, "Robbery"


@pytest.mark.slow
@pytest.mark.parametrize(
    "dates", [("2026-03-02", "2026-04-02"), ("2026-04-02T09:00:00Z", "2026-04-02T09:00:01Z")]
)
def test_an_older_revision_never_replaces_a_newer_one(door: Door, dates):
    head = "id,datetime,longitude,latitude,type,last_updated"
    older = csv_of([("A-1", *MARCH, dates[0])], head)
    newer = csv_of([("A-1", *APRIL, dates[1])], head)
    assert door.send("april.csv", newer).body["accepted"] == 1
    for choice in ("refuse", "replace"):
        sent = door.send("march.csv", older, on_conflict=choice)
        counts = {n: sent.body[n] for n in ("accepted", "duplicates", "outdated", "corrected")}
        assert counts == {"accepted": 0, "duplicates": 1, "outdated": 1, "corrected": 0}
    (stored,) = door.stored()
    assert (stored["category"], stored["occurred_at"][:16]) == ("Robbery", "2026-02-28T22:15")
    assert stored["updated_at"] is not None


@pytest.mark.slow
def test_a_correction_is_not_turned_back_by_the_file_before_it(door: Door):
    head = "id,datetime,longitude,latitude,type"
    march, april = csv_of([("A-1", *MARCH)], head), csv_of([("A-1", *APRIL)], head)
    door.send("march.csv", march)
    assert door.send("april.csv", april).body["corrected"] == 1
    sent = door.send("march.csv", march)
    assert (sent.body["corrected"], sent.body["outdated"]) == (0, 1)
    (warning,) = sent.body["warnings"]
    assert (warning["code"], warning["params"]) == ("turned_back", {"n": 1})
    assert [one["category"] for one in door.stored()] == ["Robbery"]
    meant = door.send("march.csv", march, on_conflict="replace")
    assert (meant.body["corrected"], door.stored()[0]["category"]) == (1, "Theft")


def test_a_revision_that_is_not_understood_is_said(door: Door):
    rows = [("A-1", *MARCH, "last Tuesday"), ("A-2", *APRIL, "2026-04-02")]
    sent = door.send("a.csv", csv_of(rows, "id,datetime,longitude,latitude,type,updated_at"))
    assert [(w["code"], w["params"]) for w in sent.body["warnings"]] == [
        ("revisions_unread", {"n": 1})
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("f", "suffix"), [("csv", "csv"), ("geojson", "geojson"), ("parquet", "parquet")]
)
def test_a_round_trip_adds_and_changes_nothing(door: Door, f, suffix):
    kinds = ["-unknown", "=other", "+plus", "@at", "'=quoted", "'70s", "plain"]
    rows = [
        (given, f"2026-03-{i + 1:02d}T10:00:00", -84.51 - i / 777, 39.1 + i / 911, f'"{kind}"', "")
        for i, (kind, given) in enumerate(product(kinds, ["", "2026/0001{}", "=A B{}"]))
    ]
    rows = [(given.format(i), *rest) for i, (given, *rest) in enumerate(rows)]
    rows += [("", "2025-11-02T01:30:00-05:00", -84.54, 39.1, "second pass", "")] * 2
    door.send("a.csv", csv_of(rows, f"external_id,{HEAD},updated_at"))
    more = csv_of(
        [("7", *MARCH, "REF 1", "2026-01-01")], f"external_id,{HEAD},reference,updated_at"
    )
    door.send("b.csv", more, feed="campus")
    before = door.stored()
    reply = door.client.get(f"{door.root}/incidents", params={"f": f, "limit": 1000})
    back = door.send(f"back.{suffix}", reply.content)
    assert (back.body["rejected"], back.body["accepted"], back.body["corrected"]) == (0, 0, 0)
    assert back.body["duplicates"] == len(before) == 24
    assert door.stored() == before
    if f == "csv":
        table = pd.read_csv(io.BytesIO(reply.content), keep_default_na=False)
        assert set(table["feed"]) == {"", "campus"}


def test_what_a_mapping_saves_names_its_feed(door: Door):
    door.client.put(
        f"{door.root}/mappings/campus",
        json={"columns": {"external_id": "incident_number", "category": "type"}},
    )
    door.send("city.csv", restarting(2025))
    sent = door.send("campus.csv", restarting(2026), mapping="campus")
    assert (sent.body["accepted"], sent.body["conflicts"]) == (30, 0)
    assert {one["feed"] for one in door.stored()} == {None, "campus"}


@pytest.mark.parametrize("may_list", [True, False])
def test_only_those_who_list_incidents_learn_what_is_stored(engine, settings, door: Door, may_list):
    """An ingester sends, but may not read."""
    door.send("2025.csv", restarting(2025))
    stored = {one["external_id"]: one for one in door.stored()}["00001"]
    source = UploadSource("text/csv", idempotency_key="k")

    def messages() -> list[str]:
        with seeing_unreleased(may_list):
            body = [restarting(2026).encode()]
            found = ingest(engine, door.region, body, source, settings=settings)
        return [json.dumps(error) for error in found.errors]

    first = f"({stored['occurred_at'][:10]}, {stored['category']})"
    assert (first in messages()[0]) == may_list
    # A repeated answer may be to someone else.
    assert first not in messages()[0]
    assert "'00001' is stored as another incident; send feed=NAME" in messages()[0]
