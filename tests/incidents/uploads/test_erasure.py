"""Records of erased uploads are cleared with their copies, and their keys bring nothing back."""

import pytest
from sqlalchemy import text

from app.incidents.uploads.erasure import forget_uploads, is_erased_key, refuse_keys, same_body
from app.incidents.writes import begin_upload, end_upload
from app.regions.service import add_region
from app.regions.store import get_region

BODY, OTHER = "b" * 64, "c" * 64


@pytest.fixture(scope="module")
def keys(engine):
    """The keys of two regions."""
    for name in ("one", "two"):
        add_region(engine, name, timezone="UTC")
    with engine.connect() as connection:
        return tuple(get_region(connection, name).key for name in ("one", "two"))


@pytest.fixture
def connection(engine):
    """A transaction whose work is undone."""
    with engine.connect() as opened:
        yield opened
        opened.rollback()


def upload(connection, region_key, name, body=BODY):
    made = begin_upload(connection, region_key, name, "portal")
    summary = {"accepted": 3, "errors": [{"row": 1}], "warnings": ["w"]}
    end_upload(connection, made, body, summary, {"far_rows": 1})
    return made


def incident(connection, region_key, upload_id):
    connection.execute(text("INSERT INTO categories (region_key, name) VALUES (:r, 'a') "
                            "ON CONFLICT DO NOTHING"), {"r": region_key})  # fmt: skip
    connection.execute(
        text(
            'INSERT INTO incidents (region_key, upload_id, occurred_at, "window", longitude, latitude,'
            " x_m, y_m, category_key, source, dedup_key, occurrence) SELECT :r, :u, now(), 0, 0, 0, 0, 0,"
            " key, 'reported', gen_random_uuid(), 1 FROM categories WHERE region_key = :r"
        ),
        {"r": region_key, "u": upload_id},
    )


def record(connection, upload_id):
    query = (
        "SELECT idempotency_key, body_sha256, source, report, summary FROM uploads WHERE id = :id"
    )
    return connection.execute(text(query), {"id": upload_id}).one()


def is_cleared(connection, upload_id):
    found = record(connection, upload_id)
    if found.summary["errors"]:
        return False
    assert found == (None, None, None, {}, {"accepted": 3, "errors": [], "warnings": []})
    return True


def test_a_key_is_refused_in_its_region_alone_and_not_stored(connection, keys):
    one, two = keys
    assert not is_erased_key(connection, one, "mine")
    refuse_keys(connection, one, ["mine"])
    refuse_keys(connection, one, ["mine", "more"])
    assert is_erased_key(connection, one, "mine")
    assert is_erased_key(connection, one, "more")
    assert not is_erased_key(connection, one, "other")
    assert not is_erased_key(connection, two, "mine")
    refuse_keys(connection, two, ["mine"])
    digests = connection.scalars(text("SELECT DISTINCT digest FROM erased_keys")).all()
    assert len(digests) == 3, "of a key in two regions, and of another"
    assert not any(b"mine" in bytes(one) for one in digests)


def test_an_empty_upload_is_cleared_with_all_of_the_same_body(connection, keys):
    one, two = keys
    mine, copy = upload(connection, one, "mine"), upload(connection, one, "copy")
    other, elsewhere = upload(connection, one, "other", OTHER), upload(connection, two, "mine")
    forget_uploads(connection, one, [mine])
    assert [is_cleared(connection, u) for u in (mine, copy, other, elsewhere)] == [
        True, True, False, False,
    ]  # fmt: skip
    refused = [is_erased_key(connection, one, name) for name in ("mine", "copy", "other")]
    assert refused == [True, True, False]
    assert not is_erased_key(connection, two, "mine")


def test_an_upload_that_still_holds_incidents_stays(connection, keys):
    one, _ = keys
    held, empty = upload(connection, one, "held"), upload(connection, one, "empty", OTHER)
    incident(connection, one, held)
    forget_uploads(connection, one, [held, empty])
    assert (is_cleared(connection, held), is_cleared(connection, empty)) == (False, True)
    assert not is_erased_key(connection, one, "held")


def test_copies_of_an_upload_are_cleared_unless_they_brought_something(connection, keys):
    one, _ = keys
    mine, copy, bringing = (upload(connection, one, name) for name in ("mine", "copy", "bringing"))
    incident(connection, one, bringing)
    assert sorted(same_body(connection, one, mine)) == ["copy", "mine"]
    assert [is_cleared(connection, u) for u in (mine, copy, bringing)] == [False, True, False]
