"""Intervals in storage: identity, corrections, what trainings read, listing by time, erasure."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import date, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from app.core.errors import Conflict
from app.erasure import store as erasure_store
from app.erasure.service import erase_incident
from app.incidents.column_store import read_columns
from app.incidents.fingerprints import data_hash
from app.incidents.parsing.identity import content_keys
from app.incidents.parsing.intervals import MAX_DAYS
from app.incidents.parsing.row_errors import RowErrors
from app.incidents.parsing.rules import parse_block
from app.incidents.service import UploadSource, ingest
from app.incidents.store import PageQuery, page
from app.incidents.summary import StoreChoices
from app.regions.service import add_region
from app.regions.store import get_region

HEAD = "occurred_from,occurred_to,longitude,latitude,category,external_id"
_names = (f"between{n}" for n in itertools.count())


@pytest.fixture
def region(engine):
    return add_region(engine, next(_names), timezone="Europe/Berlin").id


@pytest.fixture
def send(engine, settings, region):
    def sent(*rows, **choices):
        body = "\n".join([HEAD, *rows]).encode()
        source = UploadSource("text/csv", choices=StoreChoices(**choices))
        return ingest(engine, region, [body], source, settings=settings)

    return sent


def row(since, until="", external_id="", place="13.4,52.5", kind="theft"):
    return f"{since},{until},{place},{kind},{external_id}"


def columns_of(engine, region):
    with engine.begin() as connection:
        return read_columns(connection, get_region(connection, region))


def hash_of(engine, region):
    with engine.begin() as connection:
        return data_hash(connection, read_columns(connection, get_region(connection, region)))


EARLY, LATE, NIGHT = "2026-03-28T22:00Z", "2026-03-29T06:00Z", "2026-03-29T02:00Z"


def test_trainings_read_start_and_end(engine, region, send):
    send(row(EARLY, LATE), row(NIGHT), row(LATE))
    found = columns_of(engine, region)
    assert (found.end_s - found.time_s).tolist() == [8 * 3600, 0, 0]
    assert found.end_s.dtype == np.int64


def test_an_interval_is_another_incident_than_its_start(send):
    assert send(row(EARLY, LATE), row(EARLY, NIGHT), row(EARLY)).accepted == 3
    again = send(row(EARLY), row(EARLY, LATE), row(EARLY, NIGHT))
    assert (again.accepted, again.duplicates) == (0, 3)


def test_another_interval_under_an_id_corrects_it(engine, region, send):
    send(row(EARLY, LATE, "a"))
    assert send(row(EARLY, NIGHT, "a")).corrected == 1
    assert send(row(EARLY, NIGHT, "a")).duplicates == 1
    assert send(row(EARLY, LATE, "a")).outdated == 1
    assert (columns_of(engine, region).end_s - columns_of(engine, region).time_s).tolist() == [
        4 * 3600
    ]
    assert send(row(NIGHT, "", "a")).corrected == 1
    found = columns_of(engine, region)
    assert found.end_s.tolist() == found.time_s.tolist()


def test_a_time_within_the_interval_is_no_other_incident(send):
    send(row("2026-03-01T00:00Z", "2026-03-20T00:00Z", "a"))
    assert send(row("2026-03-18T00:00Z", "", "a", "13.5,52.6", "fraud")).corrected == 1
    assert send(row("2026-03-25T00:00Z", "", "a", "13.4,52.5", "theft")).conflicts == 1


def test_a_file_sent_before_with_its_starts_alone_is_questioned(engine, region, send):
    days = [f"2026-03-{day:02d}T08:00Z" for day in range(1, 20)]
    send(*(row(day) for day in days))
    rows = [row(day, f"{day[:11]}18:00Z") for day in days]
    with pytest.raises(Conflict) as caught:
        send(*rows)
    assert caught.value.code == "near_duplicates"
    assert send(*rows, near_duplicates="replace").corrected == len(days)
    found = columns_of(engine, region)
    assert set((found.end_s - found.time_s).tolist()) == {10 * 3600}


def test_rows_of_one_id_that_differ_in_their_end_are_said(send):
    summary = send(row(EARLY, LATE, "a"), row(EARLY, NIGHT, "a"))
    assert [one.code for one in summary.warnings if one.code == "repeated_ids"] == ["repeated_ids"]


def test_the_hash_of_data_without_intervals_is_as_before(engine, region, send):
    send(row(EARLY), row(LATE))
    found = columns_of(engine, region)
    with engine.begin() as connection:
        lasting = replace(found, end_s=found.end_s + np.array([60, 0]))
        assert data_hash(connection, lasting) != data_hash(connection, found)
    before = hash_of(engine, region)
    send(row(NIGHT, LATE))
    assert hash_of(engine, region) != before


@pytest.mark.parametrize(
    ("start", "end", "n"),
    [
        ("2026-03-29T01:00", None, 2),
        ("2026-03-29T05:00", "2026-03-29T07:00", 2),
        (None, "2026-03-29T06:00", 1),
        ("2026-03-29T06:00", None, 1),
        ("2026-03-29T07:00", None, 0),
    ],
)
def test_a_span_lists_the_intervals_that_overlap_it(engine, region, send, start, end, n):
    send(row(EARLY, LATE), row(LATE))
    start, end = (None if t is None else datetime.fromisoformat(f"{t}+00:00") for t in (start, end))
    with engine.connect() as connection:
        asked = PageQuery(start=start, end=end)
        assert len(page(connection, get_region(connection, region), asked)) == n


def test_an_erasure_names_every_day_that_an_interval_touches(engine, region, send):
    send(row(EARLY, "2026-03-31T22:00Z", "a"), row(LATE, "", "b"))
    with engine.begin() as connection:
        key = get_region(connection, region).key
        (one,) = erasure_store.named_incidents(connection, key, "a")
        gone = erasure_store.erase_by_ids(connection, key, [one.id])
    # Berlin's wall time: 28 March 23:00 to 1 April 00:00, which is exclusive.
    assert sorted(gone.days) == [date(2026, 3, day) for day in (28, 29, 30, 31)]
    assert erase_incident(engine, region, "b").n_incidents == 1


def test_an_interval_may_not_end_at_its_start_in_storage(engine, region, send):
    send(row(EARLY, LATE))
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(text("UPDATE incidents SET occurred_to = occurred_at"))


MOMENTS = st.datetimes(datetime(2025, 1, 1), datetime(2026, 12, 1)).map(
    lambda t: t.replace(microsecond=0)
)


@pytest.mark.slow
@given(st.lists(st.tuples(MOMENTS, st.integers(-3600, 40 * 86_400)), min_size=1, max_size=8))
def test_any_interval_is_stored_exactly_or_rejected(given_rows):
    n = len(given_rows)
    starts = [start.isoformat() + "Z" for start, _ in given_rows]
    lasts = np.array([seconds for _, seconds in given_rows])
    time_s = np.array([np.datetime64(start, "s") for start, _ in given_rows]).astype(np.int64)
    ends = [f"{np.datetime64(int(end), 's')}Z" for end in time_s + lasts]
    errors = RowErrors(n)
    columns = {
        "occurred_from": starts,
        "occurred_to": ends,
        "longitude": [1.0] * n,
        "latitude": [2.0] * n,
    }
    block = parse_block(columns, n, timezone="UTC", now_s=2**31, area=None, errors=errors)
    good = (lasts >= 0) & (lasts <= MAX_DAYS * 86_400)
    assert block.row.tolist() == np.flatnonzero(good).tolist()
    assert block.time_s.tolist() == time_s[good].tolist()
    assert block.end_s.tolist() == (time_s + lasts)[good].tolist()
    keys = content_keys(block)
    instants = content_keys(replace(block, end_s=None))
    assert ((keys == instants) == (lasts[good] == 0)).all()
