"""Rows have the feed, keys and revision that identify them; feeds are bounded and remembered."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from app.core.errors import LimitExceeded
from app.incidents.merging.feeds import MAX_FEEDS, add_feeds, has_references, note_references
from app.incidents.merging.row_identity import RowIdentity
from app.incidents.parsing.rules import ParsedBlock
from app.readers.blocks import Block
from app.readers.columns.mapping import ColumnMapping
from app.readers.columns.plan import plan_columns
from app.regions.service import add_region

HEADER = ["occurred_at", "longitude", "latitude", "updated_at"]
IDS = st.lists(st.sampled_from([None, "1", "2"]), min_size=1, max_size=6)


def parsed_of(ids, feeds=None, rows=None):
    n = len(ids)
    zeros, names = np.zeros(n), np.array(["x"] * n, object)
    held = None if feeds is None else np.array(feeds, object)
    places = np.arange(n) if rows is None else np.array(rows)
    given_ids = np.array(ids, object)
    return ParsedBlock(places, np.arange(n), zeros, zeros, names, given_ids, given_ids, feed=held)


def columns_of(parsed, mapping=None, updated=None, guessed=False):
    names = HEADER if updated is not None else HEADER[:3]
    columns = {} if updated is None else {"updated_at": updated}
    block = Block(columns, 9, {}, plan_columns(names, ColumnMapping()))
    identity = RowIdentity(mapping or ColumnMapping(), "UTC")
    found = identity.columns_of(parsed, block, guessed=guessed)
    return identity, {name: values.to_pylist() for name, values in found.items()}


@given(IDS, st.sampled_from([None, "city"]))
def test_keys_are_of_the_feed_that_is_given_or_in_the_row(ids, feed):
    in_rows = [None if i % 2 else "campus" for i in range(len(ids))]
    identity, found = columns_of(parsed_of(ids, in_rows), ColumnMapping(feed=feed))
    assert found["feed"] == [feed if one is None else one for one in in_rows]
    assert identity.has_feeds
    identities = [(one, name) if one is not None else i for i, (one, name) in
                  enumerate(zip(ids, found["feed"], strict=True))]  # fmt: skip
    assert len(set(found["dedup_key"])) == len(set(identities))


@given(IDS)
def test_guessed_ids_have_keys_beside_those_of_their_content(ids):
    _, known = columns_of(parsed_of(ids))
    _, guessed = columns_of(parsed_of(ids), guessed=True)
    assert known["id_key"] == [None] * len(ids)
    assert len(set(guessed["dedup_key"])) == len(ids)
    by_id = [key for key, one in zip(known["dedup_key"], ids, strict=True) if one is not None]
    assert [key for key in guessed["id_key"] if key is not None] == by_id


def test_revisions_are_of_the_accepted_rows_and_unread_ones_are_counted():
    updated = ["2026-03-05T10:00Z", "soon", None, "1970-01-01"]
    identity, found = columns_of(parsed_of(["1", "2", "3"], rows=[0, 1, 3]), updated=updated)
    assert (found["revised_s"], identity.unread_revisions) == ([1_772_704_800, None, 0], 1)
    assert columns_of(parsed_of(["1"]))[1]["revised_s"] == [None]


@pytest.fixture
def staged(engine):
    """Return what stages feeds in a transaction that is never committed."""
    with engine.connect() as connection:
        connection.execute(
            text("CREATE TEMP TABLE staged_incidents (feed text, id_key text) ON COMMIT DROP")
        )

        def stage(rows):
            connection.execute(text("TRUNCATE staged_incidents"))
            connection.execute(text("INSERT INTO staged_incidents VALUES (:feed, :id)"),
                               [{"feed": feed, "id": one} for feed, one in rows])  # fmt: skip
            return connection

        yield stage
        connection.rollback()


@pytest.fixture(scope="module")
def key(engine):
    return add_region(engine, "feeds", timezone="UTC").key


def test_a_region_takes_feeds_up_to_the_limit(staged, key):
    for _ in range(2):
        add_feeds(staged([(f"f{i}", None) for i in range(MAX_FEEDS)] + [(None, None)]), key)
    with pytest.raises(LimitExceeded) as caught:
        add_feeds(staged([("one more", None)]), key)
    assert (caught.value.field, caught.value.limit) == ("feed", MAX_FEEDS)


def test_references_are_remembered_of_their_feed_alone(staged, key):
    assert not has_references(staged([("city", "1"), (None, None)]), key)
    note_references(staged([("city", "1"), (None, None)]), key)
    assert has_references(staged([("city", "2")]), key)
    assert not has_references(staged([("city", None), ("campus", "1"), (None, "1")]), key)
    note_references(staged([(None, "1")]), key)
    assert has_references(staged([(None, "9")]), key)
