"""CSV is read back as written, wherever its blocks and chunks end; odd rows are named by number."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.errors import InvalidInput
from app.readers.blocks import MAX_ROW_CHARS, ReadOptions
from app.readers.columns.mapping import ColumnMapping
from app.readers.files.delimited import DELIMITERS, is_table, read_csv

HEADER = ["occurred_at", "longitude", "latitude", "category", "note"]
CELL = st.text(
    st.characters(codec="utf-8", exclude_characters="\x00", exclude_categories=["Cc"]), max_size=6
)
TEXT = st.one_of(CELL, st.sampled_from(["a\nb", 'say "no"', "x,y;z\t|", "=1+1", "\r\n"]))
ROWS = st.lists(
    st.tuples(TEXT, st.floats(-180, 180).map(str), st.floats(-90, 90).map(str), TEXT, TEXT),
    max_size=8,
)


def written(rows, delimiter=",", ending="\r\n"):
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator=ending).writerows(rows)
    return out.getvalue().encode()


def read(body, n_rows=50_000, chunk=1 << 20, **mapping):
    options = ReadOptions(n_rows=n_rows, mapping=ColumnMapping(**mapping))
    return list(read_csv(iter([body[i : i + chunk] for i in range(0, len(body), chunk)]), options))


@settings(max_examples=60)
@given(
    ROWS,
    st.sampled_from(DELIMITERS),
    st.sampled_from(["\n", "\r\n"]),
    st.integers(1, 9),
    st.integers(1, 50),
)
def test_rows_are_read_back(rows, delimiter, ending, n_rows, chunk):
    body = written([HEADER, *rows], delimiter, ending)
    blocks = read(body, n_rows, chunk)
    assert all(block.n_rows <= n_rows and not block.broken for block in blocks)
    names = HEADER[:4]
    found = [row for b in blocks for row in zip(*(b.columns[name] for name in names), strict=True)]
    assert found == [row[:4] for row in rows]
    assert {b.plan.reading.delimiter for b in blocks} <= {delimiter}


def columns(body, **mapping):
    (block,) = read(body, **mapping)
    return block.columns


def test_decimal_commas_are_points_unless_they_part_the_fields():
    found = columns(b"occurred_at;longitude;latitude\nx;-84,5;39,1\n")
    assert (found["longitude"], found["latitude"]) == (("-84.5",), ("39.1",))


@pytest.mark.parametrize("delimiter", [";", "|", "\t", ":"])
def test_a_line_of_the_separator_is_obeyed(delimiter):
    lines = [f"sep={delimiter}", delimiter.join(HEADER[:3]), delimiter.join(["a,b,c,d", "1", "2"])]
    (block,) = read("\n".join(lines).encode())
    assert block.columns["occurred_at"] == ("a,b,c,d",)
    assert (block.plan.reading.header_row, block.plan.reading.not_read) == (2, [])


def test_titles_are_named_and_a_header_row_is_obeyed():
    body = b"Crimes of 2026\n\n" + written([HEADER[:3], ["a", "1", "2"]])
    for mapping in ({}, {"header_row": 3}):
        (block,) = read(body, **mapping)
        assert block.columns["occurred_at"] == ("a",)
        assert [part.name for part in block.plan.reading.not_read] == ["1-2"]
    with pytest.raises(InvalidInput):
        read(body, header_row=9)


@given(st.lists(st.integers(1, 6), max_size=8), st.integers(1, 4))
def test_rows_of_another_width_are_broken_alone(widths, n_rows):
    rows = [["a", "1", "2", "x", "y", "z"][:width] for width in widths]
    blocks = read(written([HEADER, *rows]), n_rows)
    broken = [i in block.broken for block in blocks for i in range(block.n_rows)]
    assert broken == [width != 5 for width in widths]


def test_an_open_quote_is_refused_by_row_even_beyond_a_block():
    rows = [["a", "1", "2"]] * 5
    body = written([HEADER[:3], *rows]) + b'"open,1,2\na,1,2\n'
    for n_rows in (2, 50):
        with pytest.raises(InvalidInput, match="row 6: a quote"):
            read(body, n_rows)


@given(st.binary(max_size=60), st.integers(1, 20))
def test_no_bytes_fail_but_by_name(body, chunk):
    for start in (b"", written([HEADER])):
        try:
            blocks = read(start + body, chunk=chunk)
        except InvalidInput:
            continue
        assert all(len(values) == b.n_rows for b in blocks for values in b.columns.values())


def test_a_guard_against_formulas_is_taken_off_texts_only():
    found = columns(
        written([["occurred_at", "longitude", "latitude", "category"], ["'=a", "1", "2", "'=b"]])
    )
    assert (found["category"], found["occurred_at"]) == (("=b",), ("'=a",))


def test_limits_hold():
    long = written([HEADER, ["x" * 5000, "1", "2", "", ""]])
    with pytest.raises(InvalidInput, match="row 1"):
        read(long)
    with pytest.raises(InvalidInput):
        read(written([HEADER]) + b"x" * (MAX_ROW_CHARS + 1))


def test_an_empty_file_and_one_without_a_table_are_refused():
    for body in (b"", b"\n \n\n"):
        with pytest.raises(InvalidInput) as caught:
            read(body)
        assert caught.value.code == "empty"
    assert is_table(written([HEADER]), ReadOptions())
    assert not is_table(b"Read me\nplease\n", ReadOptions())
    assert not is_table(b"", ReadOptions())
