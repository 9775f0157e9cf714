"""Rows staged by COPY come back as they were; keys are locked; kinds are written one way."""

import io

import numpy as np
import pyarrow as pa
import pytest
from sqlalchemy import text

from app.incidents import writes
from app.incidents.service import UploadSource, ingest
from app.regions.service import add_region
from app.regions.store import get_region

HEAD = "occurred_at,longitude,latitude,category\n"


@pytest.fixture(scope="module")
def key(engine):
    add_region(engine, "written", timezone="UTC")
    with engine.connect() as connection:
        return get_region(connection, "written").key


@pytest.fixture
def connection(engine):
    """A transaction whose work is undone."""
    with engine.connect() as opened:
        yield opened
        opened.rollback()


def table(**columns):
    n = len(next(iter(columns.values())))
    kinds = {
        "category": pa.string(), "external_id": pa.string(), "source": pa.string(),
        "dedup_key": pa.string(), "id_key": pa.string(), "reference": pa.string(), "feed": pa.string(),
        "longitude": pa.float64(), "latitude": pa.float64(), "x_m": pa.float32(), "y_m": pa.float32(),
    }  # fmt: skip
    return pa.table(
        {
            name: pa.array(columns.get(name, [None] * n), kinds.get(name, pa.int64()))
            for name in writes.STAGED_COLUMNS
        }
    )


def staged(connection, *tables, refused=b""):
    rows, digests = io.BytesIO(), io.BytesIO()
    for one in tables:
        rows.write(writes.staged_rows(one))
    digests.write(refused)
    writes.create_staging(connection)
    writes.stage(connection, rows, digests)


def test_texts_and_numbers_survive_the_copy_exactly(connection):
    hostile = ["", "\\N", 'a"b,c\nd\te', "\\.", "é\u2028", None]
    longitude = [0.1 + 0.2, -179.999999999, 1e-300, 5e-324, 180.0, -0.0]
    staged(
        connection,
        table(
            row=list(range(6)),
            external_id=hostile,
            longitude=longitude,
            time_s=[-1, 0, 1, 2**40, 3, 4],
        ),
    )
    found = connection.execute(
        text('SELECT external_id, longitude, time_s FROM staged_incidents ORDER BY "row"')
    ).all()
    assert [one.external_id for one in found] == hostile
    assert [one.longitude for one in found] == longitude
    assert [one.time_s for one in found] == [-1, 0, 1, 2**40, 3, 4]


def test_nothing_to_stage_is_no_error_and_refused_rows_are_counted_by_digest(connection):
    staged(connection, refused=(b"0" * 31 + b"1\n") * 2 + b"f" * 32 + b"\n")
    assert connection.scalar(text("SELECT count(*) FROM staged_incidents")) == 0
    counts = connection.scalars(text("SELECT count(*) FROM refused_rows GROUP BY digest")).all()
    assert sorted(counts) == [1, 2]


def test_a_key_is_held_by_one_upload_at_a_time_and_per_region(engine, connection, key):
    assert writes.lock_idempotency_key(connection, key, "once")
    with engine.connect() as other:
        assert not writes.lock_idempotency_key(other, key, "once")
        assert writes.lock_idempotency_key(other, key, "twice")
        assert writes.lock_idempotency_key(other, key + 1, "once")
        other.rollback()
    connection.rollback()
    with engine.connect() as other:
        assert writes.lock_idempotency_key(other, key, "once"), "it ends with its transaction"
        other.rollback()


def test_an_upload_is_found_by_its_key_with_what_was_said_of_it(connection, key):
    assert writes.find_upload(connection, key, "mine") is None
    upload = writes.begin_upload(connection, key, "mine", "feed")
    writes.end_upload(connection, upload, "abc", {"accepted": 3}, {"far_rows": 1})
    found = writes.find_upload(connection, key, "mine")
    assert (found.id, found.body_sha256, found.summary) == (upload, "abc", {"accepted": 3})
    assert writes.find_upload(connection, key + 1, "mine") is None


def test_new_kinds_are_added_and_known_ones_keep_their_spelling(connection, key):
    staged(connection, table(row=[0], category=["Theft"]))
    writes.add_categories(connection, key)
    connection.execute(text("DROP TABLE staged_incidents, refused_rows"))
    staged(connection, table(row=[0, 1, 2], category=["THEFT", "Arson", "theft "]))
    writes.add_categories(connection, key)
    known = writes.spellings_of(connection, key)
    assert sorted(one.name for one in known.values()) == ["Arson", "Theft"]
    kinds = connection.scalars(text('SELECT category FROM staged_incidents ORDER BY "row"')).all()
    assert kinds == ["Theft", "Arson", "Theft"]


def test_places_are_sampled_and_their_middle_is_that_of_most(engine, connection, key, settings):
    assert writes.middle_of(connection, key) is None
    assert writes.some_places(connection, key).shape == (0, 2)
    rows = "".join(
        f"2024-01-01T10:{k:02d},{-74.0 if k < 50 else 100.0},{4.6 + k / 1e4},a\n" for k in range(60)
    )
    done = ingest(
        engine, "written", [(HEAD + rows).encode()], UploadSource("text/csv"), settings=settings
    )
    assert done.accepted == 60
    places = writes.some_places(connection, key)
    assert len(places) == 60
    assert set(places[:, 0]) == {-74.0, 100.0}
    longitude, latitude = writes.middle_of(connection, key)
    assert (longitude, latitude) == (-74.0, pytest.approx(float(np.median(places[:, 1]))))
