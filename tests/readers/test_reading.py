"""How a file was read is said once a table, is read back as sent, and stays within bounds."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.readers.reading import (
    ASSUMPTIONS,
    MAX_LISTED,
    MAX_NAME_CHARS,
    MAX_READINGS,
    Assumed,
    LeftAside,
    Reading,
    Readings,
)

NAMES = st.text(min_size=1, max_size=12)
ASIDE = st.builds(
    LeftAside,
    st.sampled_from(["column", "sheet"]),
    NAMES,
    st.sampled_from(["personal", "", "title"]),
)
MESSAGES = st.sampled_from([ASSUMPTIONS.make("no_kind"), ASSUMPTIONS.make("esri_utc")])
READINGS = st.builds(
    Reading,
    format=st.sampled_from(["csv", "json"]),
    sheet=st.one_of(st.none(), NAMES),
    header_row=st.one_of(st.none(), st.integers(1, 30)),
    columns=st.dictionaries(st.sampled_from(["occurred_at", "longitude"]), NAMES),
    not_read=st.lists(ASIDE, max_size=5).map(tuple),
    assumptions=st.lists(MESSAGES, max_size=3).map(tuple),
)


@given(READINGS)
def test_a_reading_is_read_back_as_sent(reading):
    assert Reading.from_json(json.loads(json.dumps(reading.to_json()))) == reading


@given(READINGS, READINGS)
def test_a_further_block_adds_and_repeats_nothing(one, other):
    both = one.with_more(other)
    assert set(both.not_read) == {*one.not_read, *other.not_read}
    assert len(both.not_read) == len(set(both.not_read))
    codes = [message.code for message in both.assumptions]
    assert sorted(codes) == sorted({m.code for m in (*one.assumptions, *other.assumptions)})
    assert both.columns == {**one.columns, **other.columns}
    assert both.with_more(other).not_read == both.not_read


def test_what_is_sent_is_bounded():
    long = "x" * 10_000
    reading = Reading(columns={"category": long}, not_read=[LeftAside("column", long)] * 1000,
                      assumptions=[ASSUMPTIONS.make("no_kind")] * 1000)  # fmt: skip
    sent = reading.to_json()
    assert len(sent["columns"]["category"]) == len(sent["not_read"][0]["name"]) == MAX_NAME_CHARS
    assert len(sent["not_read"]) == len(sent["assumptions"]) == MAX_LISTED
    assumed = Assumed()
    assumed.add("written_days", column=long, value=long)
    assert len(assumed.messages["written_days"].message) < 500


@given(st.lists(st.integers(0, 40), min_size=1))
def test_blocks_of_one_table_share_a_reading(tables):
    readings = Readings()
    for table in tables:
        readings.add(
            Reading(sheet=str(table), not_read=(LeftAside("column", f"c{table}", "personal"),))
        )
    sent = readings.to_json()
    distinct = list(dict.fromkeys(map(str, tables)))[:MAX_READINGS]
    assert [sent["sheet"], *(one["sheet"] for one in sent["further"])] == distinct
    assert readings.left_aside("personal") == [f"c{table}" for table in distinct]
    assert readings.left_aside("title") == []


def test_no_table_has_no_reading():
    assert Readings().to_json() is None


@pytest.mark.parametrize("code", sorted(ASSUMPTIONS.templates))
def test_every_assumption_can_be_said_once(code):
    assumed = Assumed()
    for n in (1, 2):
        assumed.add(code, **dict.fromkeys(ASSUMPTIONS.fields(code), n))
    assert [m.message.count("{") for m in assumed.messages.values()] == [0]
