"""Totals of uploads: sums, reasons, notes of each body once, and incidents that two uploads share."""

import json

import pytest
from sqlalchemy import text

from app.data_quality.upload_store import twins, upload_totals
from app.incidents.service import UploadSource, ingest
from app.incidents.writes import begin_upload, end_upload
from app.regions.service import add_region
from app.regions.store import get_region

HEAD = "occurred_at,longitude,latitude,category\n"


def region_key(engine, name):
    add_region(engine, name, timezone="UTC")
    with engine.connect() as connection:
        return get_region(connection, name).key


@pytest.fixture(scope="module")
def key(engine):
    """A region of three uploads: two of the same body, and one of another."""
    made = region_key(engine, "sums")

    def summary(**more):
        return {"received": 10, "accepted": 7, "corrected": 0, "duplicates": 0, "rejected": 3,
                "rejected_by_code": {"bad_time": 2, "no_place": 1},
                "errors": [{"row": k, "code": "bad_time"} for k in (1, 2)], **more}  # fmt: skip

    report = {
        "repeated_rows": 2,
        "far_rows": 1,
        "swapped_rows": 0,
        "implausible_years": {"1900": 5},
    }
    with engine.begin() as connection:
        for name, body, more in (
            ("first", "a" * 64, {}),
            ("again", "a" * 64, {"accepted": 0, "duplicates": 7}),
            (
                None,
                "b" * 64,
                {"rejected_by_code": {"no_place": 4}, "errors": [{"row": 9, "code": "x"}]},
            ),
        ):
            upload = begin_upload(connection, made, None, name)
            years = {"implausible_years": {"0": 1, "1900": 1}} if name is None else {}
            end_upload(connection, upload, body, summary(**more), report | years)
    return made


def totals(engine, key, upload=None, limit=10):
    with engine.connect() as connection:
        return upload_totals(connection, key, upload, limit)


def test_counts_are_summed_over_all_uploads(engine, key):
    found = totals(engine, key)
    assert found.n_uploads == 3
    assert found.counts == {
        "received": 30, "accepted": 14, "corrected": 0, "duplicates": 7, "rejected": 9,
    }  # fmt: skip
    assert list(found.by_code.items()) == [("no_place", 6), ("bad_time", 4)]


def test_notes_of_a_body_that_was_sent_twice_count_once(engine, key):
    found = totals(engine, key)
    assert (found.repeated_rows, found.far_rows, found.swapped_rows) == (4, 2, 0)
    assert list(found.implausible_years.items()) == [("0", 1), ("1900", 6)]


def test_the_newest_uploads_and_errors_come_first_up_to_a_limit(engine, key):
    found = totals(engine, key, limit=2)
    assert [line.source for line in found.newest] == [None, "again"]
    assert found.newest[1].counts["duplicates"] == 7
    assert [(error["upload"], error["row"]) for error in found.errors] == [
        (found.newest[0].id, 9), (found.newest[1].id, 1),
    ]  # fmt: skip


def test_one_upload_is_counted_by_itself_and_none_is_nothing(engine, key):
    newest = totals(engine, key).newest
    one = totals(engine, key, newest[2].id)
    assert (one.n_uploads, one.counts["accepted"], one.repeated_rows) == (1, 7, 2)
    none = totals(engine, key, 10**9)
    assert (none.n_uploads, sum(none.counts.values()), none.by_code, none.newest) == (0, 0, {}, [])


def test_a_twin_is_of_another_upload_at_the_same_time_about_the_same_place(engine, settings):
    key = region_key(engine, "twins")

    def send(*rows):
        lines = [f"2024-01-05T{at}:00Z,{lon},4.65,theft\n" for at, lon in rows]
        body = [(HEAD + "".join(lines)).encode()]
        source = UploadSource("text/csv")
        done = ingest(engine, "twins", body, source, settings=settings)
        assert done.accepted == len(rows), json.dumps(done.errors)

    send(("10:00", -74.06), ("11:00", -74.06), ("12:00", -74.06), ("12:00", -74.0605))
    send(("10:00", -74.0605), ("11:00", -74.062), ("13:00", -74.06))
    with engine.connect() as connection:
        n, n_twins = twins(connection, key, None, 7)
        first = connection.scalar(
            text("SELECT min(upload_id) FROM incidents WHERE region_key = :k"), {"k": key}
        )
        of_first = twins(connection, key, first, 4)
    assert (n, n_twins) == (7, 2), "those of ten o'clock"
    assert of_first == (4, 1)


def test_of_many_incidents_a_repeatable_share_is_sampled(engine, settings):
    key = region_key(engine, "many")
    lines = [
        f"2024-01-{1 + k % 28:02d}T{k % 24:02d}:{k % 60:02d}:00Z,-74.{k:04d},4.65,a\n"
        for k in range(900)
    ]
    body = [(HEAD + "".join(lines)).encode()]
    ingest(engine, "many", body, UploadSource("text/csv"), settings=settings)
    with engine.connect() as connection:
        first, again = (twins(connection, key, None, 1_000) for _ in range(2))
    assert first == again
    assert first[0] == pytest.approx(450, abs=100)
