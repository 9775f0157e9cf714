"""Keys of incidents: equal exactly when the rows are the same incident."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.incidents.parsing.identity import dedup_keys
from app.incidents.parsing.rules import ParsedBlock

ROW = st.tuples(
    st.integers(0, 3),
    st.sampled_from([10.0, 10.0000001, -10.0, 179.9999999]),
    st.sampled_from([50.0, 50.0000001, -0.0]),
    st.sampled_from(["theft", "Theft", "thef t", "é"]),
    st.sampled_from([None, None, "1", "2"]),
)


def block_of(rows):
    columns = list(zip(*rows, strict=True))
    as_text = [np.array(column, object) for column in columns[3:]]
    n = np.arange(len(rows))
    time_s, longitude, latitude = (np.array(c) for c in columns[:3])
    category, external_id = as_text
    return ParsedBlock(n, time_s, longitude, latitude, category, external_id, external_id)


def identity(row):
    return ("id", row[4]) if row[4] is not None else row[:4]


@given(st.lists(ROW, min_size=1, max_size=30))
def test_keys_are_equal_exactly_where_incidents_are(rows):
    keys = dedup_keys(block_of(rows))
    assert [len(key) for key in keys] == [32] * len(rows)
    for a, key_a in zip(rows, keys, strict=True):
        for b, key_b in zip(rows, keys, strict=True):
            assert (key_a == key_b) == (identity(a) == identity(b)), (a, b)


@given(st.lists(ROW, min_size=2, max_size=30), st.randoms())
def test_a_key_does_not_depend_on_the_rows_around_it(rows, rng):
    keys = dict(zip(rows, dedup_keys(block_of(rows)), strict=True))
    shuffled = rng.sample(rows, len(rows))
    assert dict(zip(shuffled, dedup_keys(block_of(shuffled)), strict=True)) == keys
    assert dedup_keys(block_of(rows[:1]))[0] == keys[rows[0]]


def test_the_key_of_a_stored_incident_never_changes():
    """Keys are stored: another key would take every incident for a new one."""
    rows = [(1_700_000_000, -74.0599999, 4.65, "theft", None), (0, 0.0, 0.0, "x", "case-7")]
    assert list(dedup_keys(block_of(rows))) == PINNED


def test_an_id_is_one_only_in_its_feed():
    block = block_of([(0, 0.0, 0.0, "x", "case-7")] * 3)
    feeds = np.array([None, "campus", "city"], object)
    keys = dedup_keys(replace(block, feed=feeds))
    assert (keys[0], len(set(keys))) == (PINNED[1], 3)


PINNED = ["17b99fd2ac243188feafb93605ae6041", "8b7cf49cb93b99e00bc331f8ae9f83d7"]
