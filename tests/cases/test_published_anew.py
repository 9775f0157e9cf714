"""The same city twice is noticed: renamed kinds, places geocoded anew, rows that are gone upstream."""

from __future__ import annotations

import pytest

from tests.cases.conftest import Door, Sent
from tests.cases.test_erasing import erase

HEAD = "datetime,longitude,latitude,type"
KINDS = ("Theft", "Breach", "Assault, common")
RENAMED = {"Breach": "Threatening behaviour", "Assault, common": "Common assault"}


def row_of(i: int) -> tuple[str, float, float, str]:
    time = f"2025-{1 + i % 12:02d}-{1 + i % 28:02d}T{i * 7 % 24:02d}:{i * 13 % 60:02d}:00"
    return time, -84.5 + i * 37 % 101 / 2000, 39.1 + i * 53 % 103 / 2000, KINDS[i % 3]


def csv_of(rows, ids=None) -> str:
    lines = [f'{t},{x:.6f},{y:.6f},"{kind}"' for t, x, y, kind in rows]
    if ids is None:
        return "\n".join([HEAD, *lines]) + "\n"
    return "\n".join([f"id,{HEAD}", *(f"{i},{x}" for i, x in zip(ids, lines, strict=True))]) + "\n"


FIRST = [row_of(i) for i in range(60)]
NEW = [(f"2026-02-{i + 1:02d}T10:00:00", -84.6, 39.2 + i / 100, "Theft") for i in range(5)]
SECOND = [(t, x, y, RENAMED.get(kind, kind)) for t, x, y, kind in FIRST] + NEW
MOVED = [(t, x + 2e-5, y - 1e-5, kind) for t, x, y, kind in FIRST]


def is_asked(sent: Sent, twins: int) -> bool:
    """Whether the upload was questioned, with all three answers named."""
    if sent.body:
        return sent.body["code"] == "near_duplicates" and sent.body["params"]["twins"] == twins
    return f"{twins} of " in sent.error and all(
        f"near_duplicates={answer}" in sent.error for answer in ("replace", "skip", "add")
    )


def test_renamed_kinds_are_asked_about_and_nothing_is_stored(door: Door):
    door.send("first.csv", csv_of(FIRST))
    before = door.stored()
    asked = door.send("second.csv", csv_of(SECOND))
    assert is_asked(asked, 40)
    assert asked.status == (409 if door.way == "http" else 422)
    assert "Nothing was stored" in asked.error
    assert door.stored() == before
    assert is_asked(door.send("second.csv", csv_of(SECOND), dry_run=True), 40)


@pytest.mark.parametrize(
    ("answer", "counts", "n", "kinds"),
    [
        ("replace", (45, 40, 20), 65, {"Theft", *RENAMED.values()}),
        ("skip", (5, 0, 60), 65, {*KINDS}),
        ("add", (45, 0, 20), 105, {*KINDS, *RENAMED.values()}),
    ],
)
def test_the_answer_is_obeyed(door: Door, answer, counts, n, kinds):
    door.send("first.csv", csv_of(FIRST))
    sent = door.send("second.csv", csv_of(SECOND), near_duplicates=answer).body
    assert (sent["accepted"], sent["corrected"], sent["duplicates"]) == counts
    assert len(door.stored()) == n
    assert {one["category"] for one in door.stored()} == kinds
    again = door.send("second.csv", csv_of(SECOND), near_duplicates=answer).body
    assert (again["accepted"], len(door.stored())) == (0, n)


def test_places_moved_by_metres_are_asked_about(door: Door):
    door.send("first.csv", csv_of(FIRST))
    assert is_asked(door.send("second.csv", csv_of(MOVED)), 60)
    sent = door.send("second.csv", csv_of(MOVED), near_duplicates="replace").body
    assert (sent["corrected"], len(door.stored())) == (60, 60)
    assert sorted(round(one["longitude"], 6) for one in door.stored()) == sorted(
        round(x, 6) for _, x, _, _ in MOVED
    )


@pytest.mark.parametrize("ids_first", [True, False])
def test_the_same_rows_with_and_without_ids_are_asked_about(door: Door, ids_first):
    files = [csv_of(FIRST, [f"c-{i}" for i in range(60)]), csv_of(FIRST)]
    if not ids_first:
        files.reverse()
    door.send("first.csv", files[0])
    assert is_asked(door.send("second.csv", files[1]), 60)
    sent = door.send("second.csv", files[1], near_duplicates="replace").body
    assert (sent["corrected"], len(door.stored())) == (60, 60)
    assert {one["external_id"] for one in door.stored()} == {f"c-{i}" for i in range(60)}


def test_one_file_in_two_feeds_is_asked_about(door: Door):
    ids = [f"c-{i}" for i in range(60)]
    door.send("first.csv", csv_of(FIRST, ids))
    assert is_asked(door.send("first.csv", csv_of(FIRST, ids), feed="police"), 60)


def test_ids_that_lost_their_leading_zeros_are_asked_about(door: Door):
    door.send("first.csv", csv_of(FIRST, [f"{i + 7:05d}" for i in range(60)]))
    assert is_asked(door.send("second.csv", csv_of(FIRST, range(7, 67))), 60)
    beside = csv_of([(t, x, y, "Fraud") for t, x, y, _ in FIRST], [f"F-{i}" for i in range(60)])
    assert door.send("others.csv", beside).body["accepted"] == 60


def test_what_is_new_is_never_asked_about(door: Door):
    """Other months, other kinds of the same months, several kinds at one place and minute."""
    door.send("first.csv", csv_of(FIRST))
    later = [(f"2024{t[4:]}", x, y, kind) for t, x, y, kind in FIRST]
    others = [(row_of(i + 500)[0], *row_of(i)[1:3], "Fraud") for i in range(60)]
    beside = [(t, x, y, "Criminal damage") for t, x, y, _ in FIRST[:20]]
    for rows in (later, others, [*FIRST, *beside]):
        sent = door.send("more.csv", csv_of(rows))
        assert (sent.status, sent.body["corrected"]) == (200, 0)
    assert len(door.stored()) == 60 * 3 + 20


GONE = {3, 7, 11}
IDS = [f"A-{i}" for i in range(60)]


@pytest.mark.slow
def test_rows_that_are_gone_upstream_are_said_and_removed_on_request(door: Door):
    door.send("march.csv", csv_of(FIRST, IDS))
    door.send("other.csv", csv_of([row_of(77)], ["A-1"]), feed="campus")
    left = [(row, i) for row, i in zip(FIRST, IDS, strict=True) if int(i[2:]) not in GONE]
    april = csv_of(*zip(*left, strict=True))
    sent = door.send("april.csv", april).body
    assert [(w["code"], w["params"]) for w in sent["warnings"]] == [("missing_upstream", {"n": 3})]
    assert "replace=feed" in sent["warnings"][0]["message"]
    assert (sent["duplicates"], sent["removed"], len(door.stored())) == (57, 0, 61)
    dry = door.send("april.csv", april, replace="feed", dry_run=True).body
    assert (dry["removed"], len(door.stored())) == (3, 61)
    done = door.send("april.csv", april, replace="feed").body
    assert (done["removed"], done["accepted"]) == (3, 0)
    assert [w["code"] for w in done["warnings"]] == ["removed"]
    assert not {f"A-{i}" for i in GONE} & {one["external_id"] for one in door.stored()}
    assert len(door.stored()) == 58
    assert erase(door, "A-3") == (True, "")
    assert erase(door, "A-3")[0] is False


def test_a_file_of_another_span_or_part_says_nothing_of_missing_rows(door: Door):
    door.send("all.csv", csv_of(FIRST, IDS))
    for part in (slice(0, 20), slice(0, 60, 2)):
        sent = door.send("part.csv", csv_of(FIRST[part], IDS[part])).body
        assert (sent["duplicates"], sent["warnings"]) == (len(FIRST[part]), [])


def test_a_file_with_rejected_rows_replaces_nothing(door: Door):
    door.send("all.csv", csv_of(FIRST, IDS))
    broken = csv_of([*FIRST[:50], *[("soon", 0.0, 0.0, "Theft")] * 10], IDS)
    sent = door.send("broken.csv", broken, replace="feed")
    assert sent.status != 200
    assert "10 of 60 rows are rejected" in sent.error
    assert len(door.stored()) == 60


def test_a_new_form_of_a_feed_replaces_the_old_one(door: Door):
    """Renamed kinds need no question where the file is to be all that the feed has."""
    door.send("first.csv", csv_of(FIRST), feed="city")
    sent = door.send("second.csv", csv_of(SECOND), feed="city", replace="feed").body
    assert (sent["removed"], sent["accepted"], len(door.stored())) == (40, 45, 65)
