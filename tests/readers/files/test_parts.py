"""Of several tables in a file those with the first one's columns are read, the others named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import InvalidInput
from app.readers.columns.plan import ColumnPlan
from app.readers.files.parts import Part, chosen_parts

KINDS = st.lists(st.sampled_from(["incidents", "others", "none", "hidden"]), max_size=8)
HEADERS = {
    "incidents": ["Date", "Lon"],
    "hidden": ["Date", "Lon"],
    "others": ["date", "lon", "kind"],
}


def part(place, kind):
    def header():
        if kind == "none":
            raise InvalidInput(f"no table {place}", code="missing_column")
        return 1, HEADERS[kind], ColumnPlan({})

    return Part(f"Sheet {place}", header, kind, is_hidden=kind == "hidden")


@given(KINDS)
def test_every_part_is_read_or_named_with_a_reason(kinds):
    parts = [part(i, kind) for i, kind in enumerate(kinds)]
    visible = [kind for kind in kinds if kind in ("incidents", "others")]
    if not visible:
        with pytest.raises(InvalidInput):
            chosen_parts("sheet", parts, None)
        return
    found = chosen_parts("sheet", parts, None)
    assert [one.held for one, _ in found.parts] == [kind for kind in visible if kind == visible[0]]
    read = [one.name for one, _ in found.parts]
    assert sorted([*read, *(one.name for one in found.not_read)]) == [p.name for p in parts]
    expected = {"none": "no_incidents", "hidden": "hidden"}
    assert all(
        one.reason == expected.get(kinds[int(one.name[-1])], "other_columns")
        for one in found.not_read
    )
    assert [one.code for one in found.assumptions] == (["sheets_joined"] if len(read) > 1 else [])


def test_writing_of_names_does_not_part_tables():
    upper = Part("b", lambda: (1, ["DATE", "LON"], ColumnPlan({})), "incidents")
    assert len(chosen_parts("layer", [part(0, "incidents"), upper], None).parts) == 2


@pytest.mark.parametrize("asked", ["Sheet 1", " sheet 1 "])
def test_a_part_asked_for_is_read_alone_even_if_it_is_hidden(asked):
    found = chosen_parts("sheet", [part(0, "incidents"), part(1, "hidden")], asked)
    assert [one.name for one, _ in found.parts] == ["Sheet 1"]
    assert [(one.name, one.reason) for one in found.not_read] == [("Sheet 0", "not_asked")]


def test_the_exact_name_is_preferred():
    parts = [Part(name, part(0, "incidents").header, name) for name in ("data", "Data")]
    assert chosen_parts("sheet", parts, "Data").parts[0][0].held == "Data"


def test_refusals_name_the_parts():
    with pytest.raises(InvalidInput, match="it has Sheet 0, Sheet 1") as caught:
        chosen_parts("sheet", [part(0, "incidents"), part(1, "none")], "Data")
    assert (caught.value.field, caught.value.code) == ("part", "unknown_part")
    with pytest.raises(InvalidInput, match="every sheet is hidden"):
        chosen_parts("sheet", [part(0, "hidden")], None)
    with pytest.raises(
        InvalidInput, match="no table 0; no visible sheet of Sheet 0, Sheet 1"
    ) as caught:
        chosen_parts("sheet", [part(0, "none"), part(1, "none")], None)
    assert caught.value.code == "missing_column"
