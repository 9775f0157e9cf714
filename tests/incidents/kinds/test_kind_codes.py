"""Codes of kinds stand for what each incident counts as at its time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.incidents.kinds.codes import chosen, kind_codes, of_kinds
from app.regions.kinds import KindKey, folded

NAMES = st.sampled_from(["theft", "Theft", "fire", "arson"])
KEYS = st.dictionaries(
    st.integers(1, 6),
    st.builds(KindKey, NAMES, st.one_of(st.none(), NAMES), st.integers(0, 100)),
    max_size=5,
)
ROWS = st.lists(st.tuples(st.integers(1, 8), st.integers(0, 100)), min_size=1, max_size=12)


def counted_as(keys, row):
    key, time_s = row
    found = keys.get(key)
    if found is None:
        return "rest"
    return found.before if found.before is not None and time_s < found.since_s else found.now


@given(KEYS, ROWS)
def test_each_incident_has_the_kind_of_its_time(keys, rows):
    category_key, time_s = (np.array([row[i] for row in rows], np.int64) for i in range(2))
    codes, names = kind_codes(keys, category_key, time_s, "rest")
    assert [names[code] for code in codes] == [counted_as(keys, row) for row in rows]
    assert ("rest" in names) == any(key not in keys for key, _ in rows)
    for kind in ("THEFT", "arson"):
        expected = [folded(counted_as(keys, row)) == folded(kind) for row in rows]
        assert of_kinds(codes, names, [kind]).tolist() == expected


@pytest.mark.slow
@given(KEYS, ROWS, st.sets(NAMES))
def test_no_incident_of_an_asked_kind_is_left_out(keys, rows, kinds):
    held = chosen(keys, kinds)
    wanted = {folded(kind) for kind in kinds}
    assert all(row[0] in held for row in rows if folded(counted_as(keys, row)) in wanted)
    assert all(wanted & {folded(k.now), folded(k.before or k.now)} for k in held.values())
    assert chosen(keys, None) == keys
