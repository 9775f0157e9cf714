"""The header is found below titles; a file without one says so, about its most likely row."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import InvalidInput
from app.readers.columns.headers import find_header, given_header, title_rows
from app.readers.columns.mapping import ColumnMapping
from app.readers.limits import MAX_COLUMNS

HEADER = ["occurred_at", "longitude", "latitude", "category"]
TITLES = st.lists(
    st.lists(st.sampled_from(["Crime", "2026", "", "Source: police", "id"]), max_size=4), max_size=8
)


def candidates(rows):
    return [(i, lambda row=row: row) for i, row in enumerate(rows)]


@pytest.mark.slow
@given(TITLES, TITLES)
def test_the_header_is_found_below_any_titles(above, below):
    place, plan = find_header(candidates([*above, HEADER, *below]), ColumnMapping())
    assert (place, list(plan.names)) == (
        len(above),
        ["occurred_at", "longitude", "latitude", "category"],
    )


@given(st.lists(st.lists(st.text(max_size=5), max_size=4), max_size=6))
def test_rows_without_a_header_are_refused_by_name(rows):
    with pytest.raises(InvalidInput) as caught:
        find_header(candidates(rows), ColumnMapping())
    assert caught.value.code in ("missing_column", "empty", "bad_text", "ambiguous_column")


def test_the_refusal_is_about_the_row_with_most_known_names():
    rows = [["Crimes"], ["occurred_at", "longitude", "place"], ["2026-03-05", "1", "2"]]
    with pytest.raises(InvalidInput, match=r"^row 2: column latitude is missing"):
        find_header(candidates(rows), ColumnMapping())


def test_data_rows_are_not_repeated():
    with pytest.raises(InvalidInput, match="header_row=") as caught:
        find_header(candidates([["Maria", "Lopez"], ["Ana", "Diaz"]]), ColumnMapping())
    assert "Maria" not in str(caught.value)


def test_a_name_of_two_meanings_ends_the_search():
    rows = [[*HEADER, "lat", "Latitude"], HEADER]
    with pytest.raises(InvalidInput) as caught:
        find_header(candidates(rows), ColumnMapping())
    assert caught.value.code == "ambiguous_column"


def test_headings_above_the_header_may_repeat():
    rows = [["Crime", "Crime", "Place", "Place", "ID", "ID"], HEADER]
    assert find_header(candidates(rows), ColumnMapping())[0] == 1
    with pytest.raises(InvalidInput) as caught:
        find_header(candidates(rows[:1]), ColumnMapping())
    assert caught.value.code == "missing_column"


def test_a_row_given_is_taken_or_refused():
    mapping = ColumnMapping(header_row=3)
    assert given_header(HEADER, mapping).names["category"] == "category"
    for row in (None, ["a", "b"]):
        with pytest.raises(InvalidInput):
            given_header(row, mapping)


def test_a_header_has_as_many_columns_as_the_limit():
    fill = [f"c{i}" for i in range(MAX_COLUMNS - len(HEADER))]
    assert find_header(candidates([[*HEADER, *fill]]), ColumnMapping())[0] == 0
    with pytest.raises(InvalidInput) as caught:
        find_header(candidates([[*HEADER, *fill, "more"]]), ColumnMapping())
    assert caught.value.code == "too_many_columns"


@pytest.mark.parametrize(("first", "header", "named"),
                         [(0, 0, []), (1, 1, []), (0, 1, ["1"]), (1, 2, ["2"]), (0, 5, ["1-5"])])  # fmt: skip
def test_rows_above_the_header_are_named(first, header, named):
    assert [part.name for part in title_rows(first, header)] == named
