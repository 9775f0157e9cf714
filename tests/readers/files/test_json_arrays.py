"""Rows of a JSON text are found and decoded the same, wherever its chunks end."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.errors import InvalidInput
from app.readers.columns.mapping import ColumnMapping
from app.readers.files.json_arrays import MAX_DIGITS, USUAL_NAMES, ArrayItems, array_of
from app.readers.limits import MAX_ROW_VALUES, Refused

VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.text(),
        st.floats(allow_nan=False, allow_infinity=False),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)
    ),
    max_leaves=8,
)
ROW = {"occurred_at": "2026-03-05T10:00", "longitude": 1, "latitude": 2, "note": 'a "[{]" b\\'}


def parts(text, cuts):
    places = sorted(cut % (len(text) + 1) for cut in cuts)
    return [text[i:j] for i, j in zip([0, *places], [*places, len(text)], strict=True)]


CUTS = st.lists(st.integers(0, 500), max_size=6)


@given(st.lists(VALUES, max_size=5), CUTS, st.sampled_from([None, 2]), st.booleans())
def test_items_are_read_back(items, cuts, indent, ascii_only):
    text = json.dumps(items, indent=indent, ensure_ascii=ascii_only)[1:] + "tail"
    decoder = ArrayItems(iter(parts(text, cuts)))
    assert [item for item, _ in decoder] == items
    assert decoder.tail() == "tail"


@pytest.mark.parametrize("number", ["1.5", "-2e10", "1E-3", "120"])
def test_a_number_that_a_chunk_cuts_is_one(number):
    for cut in range(len(number) + 1):
        items = ArrayItems(iter([f"{number[:cut]}", f"{number[cut:]}, 7]"]))
        assert [item for item, _ in items] == [float(number), 7]


@given(st.text(alphabet='[]{},:"\\1.eEtrunalfsN\n', max_size=30), CUTS)
def test_no_text_fails_but_by_name(text, cuts):
    def outcome(texts):
        try:
            return [value for value, _ in ArrayItems(iter(texts))]
        except (InvalidInput, RecursionError) as error:
            return type(error)

    assert outcome(parts(text, cuts)) == outcome([text])


@pytest.mark.parametrize(
    "text", ["NaN]", "Infinity, 1]", "1, 2", '{"a": 1}, ', '"\\ud800"]', '{"a": "\\uDFFF"}]']
)
def test_what_is_not_json_is_refused(text):
    with pytest.raises(InvalidInput):
        list(ArrayItems(iter([text])))


def test_limits_hold():
    many = json.dumps(list(range(MAX_ROW_VALUES + 2)))
    (value, _), (digits, _) = ArrayItems(iter([f"{many}, {'9' * (MAX_DIGITS + 1)}]"]))
    assert isinstance(value, Refused)
    assert digits == "9" * (MAX_DIGITS + 1)


def wrapped(name, rows, before):
    inner = rows
    for part in reversed(name.split(".")):
        inner = {part: inner}
    return json.dumps({**before, **inner, "after": [1]})


BEFORE = st.dictionaries(
    st.sampled_from(["meta", "columns", "note", "total"]),
    st.one_of(st.text(alphabet='[{"a:,\\', max_size=8), st.integers(),
              st.lists(st.integers(), max_size=2), st.just({"data": [1, 2]})),
)  # fmt: skip


@settings(max_examples=60)
@given(st.sampled_from(["features", "result.records", "data", "Incidents", "mine"]), BEFORE, CUTS)
def test_the_array_of_rows_is_found_wherever_chunks_end(name, before, cuts):
    text = wrapped(name, [ROW, ROW], before)
    first, *rest = parts(text, cuts)
    texts = iter([*rest])
    while not first.strip():
        first += next(texts)
    found = array_of(first, texts, ColumnMapping())
    assert found.name == name
    items = ArrayItems(iter([found.rest, *texts]))
    assert [item for item, _ in items] == [ROW, ROW]


def test_a_list_is_its_own_array():
    found = array_of("\ufeff [1]", iter(()), ColumnMapping())
    assert (found.name, found.rest, found.is_features) == ("", "1]", False)


NO_ROWS = ("", "7", '"[]"', "{}", '{"a": 1}', '{"a": [1, 2]}', '{"b": [{"c": 1}]}', '{"data": [',
           '{"x": "data", "y": "[{')  # fmt: skip


@pytest.mark.parametrize("text", NO_ROWS)
def test_no_array_of_incidents_is_refused(text):
    with pytest.raises(InvalidInput) as caught:
        array_of(text, iter(()), ColumnMapping())
    assert caught.value.code == "bad_json"


def test_the_refusal_names_the_usual_names_and_those_found():
    with pytest.raises(InvalidInput) as caught:
        array_of('{"b": [{"c": 1}]}', iter(()), ColumnMapping())
    assert all(name in str(caught.value) for name in (*USUAL_NAMES, ": it has b"))
