"""Groups that readers have seen never change by a few: they are excluded from then on."""

from types import SimpleNamespace

import pytest
from sqlalchemy import text

from app.incidents.releases import advance
from app.incidents.service import UploadSource, ingest
from app.regions.service import add_region
from app.regions.store import get_region
from app.releases import store
from app.releases.groups import _left, count_since, pin, unpin
from app.releases.store import LONG_AGO, MIN_GROUP

SIZES = (MIN_GROUP, MIN_GROUP + 5, MIN_GROUP + 10)


@pytest.mark.parametrize(
    ("was", "now", "left"),
    [
        (None, 5, 5),
        (None, MIN_GROUP, MIN_GROUP),
        (MIN_GROUP - 1, 3, 3),
        (MIN_GROUP, MIN_GROUP - 1, None),
        (MIN_GROUP, MIN_GROUP + 1, None),
        (MIN_GROUP, 0, 0),
        (2 * MIN_GROUP, MIN_GROUP, MIN_GROUP),
        (2 * MIN_GROUP, MIN_GROUP + 1, None),
    ],
)
def test_a_group_that_changed_by_a_few_is_shown_no_more(was, now, left):
    assert _left(SimpleNamespace(was=was, n=now)) == left


@pytest.fixture
def begun(engine, settings):
    """A transaction, a region of one release a day with incidents of three days, and its last release."""
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE regions CASCADE"))
    add_region(engine, "grouped", timezone="UTC", cell_size_m=250.0)
    lines = [
        f"2024-01-{day:02d}T10:{k:02d}:00Z,-74.0{k:02d},4.65,theft\n"
        for day, n in enumerate(SIZES, 1)
        for k in range(n)
    ]
    body = ("occurred_at,longitude,latitude,category\n" + "".join(lines)).encode()
    ingest(engine, "grouped", [body], UploadSource("text/csv"), settings=settings)
    with engine.connect() as connection:
        region = get_region(connection, "grouped")
        yield connection, region, advance(connection, region)
        connection.rollback()


def groups(connection):
    rows = connection.execute(text("SELECT block, n FROM release_groups ORDER BY block")).all()
    return [tuple(row) for row in rows]


def remove(connection, day, n):
    """Erase so many incidents of a day of January."""
    query = """DELETE FROM incidents WHERE id IN (
        SELECT id FROM incidents WHERE extract(day FROM occurred_at) = :day LIMIT :n)
        RETURNING occurred_at::date"""
    return connection.scalars(text(query), {"day": day, "n": n}).all()


def test_each_block_of_a_release_is_a_group_and_using_it_is_noted(begun):
    connection, region, release = begun
    assert release.seq == 3
    pin(connection, region.key, release)
    assert groups(connection) == list(enumerate(SIZES, 1))
    assert store.get(connection, region.key, release.seq).used
    pin(connection, region.key, release)
    assert groups(connection) == list(enumerate(SIZES, 1)), "again is the same"


def test_only_blocks_from_an_instant_on_are_pinned(begun):
    connection, region, release = begun
    second = store.instants(connection, region.key)[0]
    pin(connection, region.key, release, second)
    assert groups(connection) == [(2, SIZES[1]), (3, SIZES[2])]


@pytest.mark.parametrize(("n", "left"), [(1, None), (MIN_GROUP, 5)])
def test_an_erasure_of_a_few_excludes_their_group_and_one_of_many_is_counted(begun, n, left):
    connection, region, release = begun
    pin(connection, region.key, release)
    unpin(connection, region.key, remove(connection, 2, n))
    assert groups(connection) == [(1, SIZES[0]), (2, left), (3, SIZES[2])]
    pin(connection, region.key, release)
    assert groups(connection)[1] == (2, left), "it does not come back"


def test_what_nobody_has_seen_is_not_excluded_by_an_erasure(begun):
    connection, region, release = begun
    unpin(connection, region.key, remove(connection, 2, 1))
    assert groups(connection) == []
    pin(connection, region.key, release)
    assert groups(connection)[1] == (2, SIZES[1] - 1)


def test_whole_groups_since_an_instant_are_counted(begun):
    connection, region, release = begun
    first, second, third = store.instants(connection, region.key)
    assert count_since(connection, region.key, release, LONG_AGO) == SIZES[1] + SIZES[2]
    assert count_since(connection, region.key, release, second) == SIZES[2]
    assert count_since(connection, region.key, release, third) == 0
    unpin(connection, region.key, remove(connection, 3, 1))
    assert count_since(connection, region.key, release, first) == SIZES[1]
    unpin(connection, region.key, [])
