"""Rows that stand for several incidents, and one spelling of each kind."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.incidents.parsing.counts import MAX_COUNT, counts_of, expanded
from app.incidents.parsing.row_errors import RowErrors
from app.incidents.parsing.rules import ParsedBlock
from app.incidents.parsing.spellings import Spelling, Spellings
from app.regions.kinds import folded

VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5),
                   st.lists(st.integers(), max_size=2))  # fmt: skip
KINDS = st.lists(
    st.sampled_from(["Theft", "THEFT", " theft ", "fire", "FIRE", "x"]), min_size=1, max_size=9
)


def block_of(categories, ids=None):
    n = len(categories)
    rows, zeros = np.arange(n), np.zeros(n)
    ids = np.array(ids if ids is not None else [None] * n, object)
    return ParsedBlock(rows, rows * 60, zeros, zeros, np.array(categories, object), ids, ids)


@given(
    st.lists(st.integers(1, MAX_COUNT), min_size=1),
    st.sampled_from([int, str, float, "{}.0".format]),
)
def test_whole_numbers_count(numbers, form):
    errors = RowErrors(len(numbers))
    assert counts_of([form(n) for n in numbers], errors).tolist() == numbers
    assert not errors.bad.any()


@given(VALUES)
def test_every_other_value_rejects_its_row(value):
    errors = RowErrors(2)
    counts = counts_of([value, 2], errors)
    assert counts[1] == 2
    assert not errors.bad[1]
    assert errors.bad[0] or (not isinstance(value, bool) and float(value) == counts[0])


@pytest.mark.parametrize(
    "value", [0, -1, MAX_COUNT + 1, 10**400, 1.5, "many", float("inf"), "1e400", True]
)
def test_what_is_no_count_is_refused_with_its_value(value):
    errors = RowErrors(1)
    counts_of([value], errors)
    (field, message), *_ = errors.reasons.values()
    assert (field, message.code, message.params) == (
        "count", "bad_count", {"value": str(value)[:40], "limit": MAX_COUNT}
    )  # fmt: skip


@given(
    st.lists(
        st.tuples(st.integers(1, 5), st.sampled_from([None, "7", "8"])), min_size=1, max_size=8
    )
)
def test_rows_are_repeated_with_ids_of_their_own(rows):
    counts, ids = (list(column) for column in zip(*rows, strict=True))
    found = expanded(block_of([str(i) for i in range(len(rows))], ids), np.array(counts))
    assert found.category.tolist() == [str(i) for i, n in enumerate(counts) for _ in range(n)]
    assert (found.time_s == found.row * 60).all()
    assert found.external_id.tolist() == [
        None if one is None else one if copy == 0 else f"{one}#{copy + 1}"
        for n, one in rows
        for copy in range(n)
    ]


@given(KINDS, st.integers(0, 9))
def test_the_first_spelling_stays_wherever_a_block_ends(kinds, cut):
    whole = Spellings({}, 100).applied(block_of(kinds)).category.tolist()
    parted = Spellings({}, 100)
    both = [
        name
        for part in (kinds[:cut], kinds[cut:])
        for name in parted.applied(block_of(part)).category
    ]
    assert both == whole
    first = {}
    assert whole == [first.setdefault(folded(kind), kind) for kind in kinds]


@given(KINDS)
def test_the_regions_spelling_and_its_hash_are_preferred(kinds):
    found = Spellings({"theft": Spelling("Robo", "old")}, 0).applied(block_of(kinds))
    of_theft = [folded(kind) == "theft" for kind in kinds]
    assert [name == "Robo" for name in found.category] == of_theft
    assert [one == "old" for one in found.hashed] == of_theft
    assert found.hashed.tolist() == [
        "old" if t else folded(k) for t, k in zip(of_theft, kinds, strict=True)
    ]


def test_no_more_spellings_are_remembered_than_the_limit():
    spellings = Spellings({}, 1)
    spellings.applied(block_of(["Theft", "Fire"]))
    assert spellings.applied(block_of(["THEFT", "FIRE"])).category.tolist() == ["Theft", "FIRE"]
