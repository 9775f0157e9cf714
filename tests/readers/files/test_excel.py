"""Workbooks: the rows that exist, times as text, and cells that would be misread refused by name."""

import io
from datetime import date, datetime, time, timedelta

import openpyxl
import pytest

from app.core.errors import InvalidInput
from app.readers.files.excel import MAX_COLUMN, MAX_ROW, read_excel
from tests.support.file_reading import blocks_of, rows_of
from tests.support.inputs.hostile_excel import row, workbook

HEAD = ("date", "time", "longitude", "latitude", "category")


def book(*sheets, merged=()):
    """A workbook of sheets of rows."""
    made = openpyxl.Workbook()
    made.remove(made.active)
    for k, rows in enumerate(sheets):
        sheet = made.create_sheet(f"s{k}")
        for line in rows:
            sheet.append(line)
        for cells in merged:
            sheet.merge_cells(cells)
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def incident(day=date(2024, 3, 1), at=time(22, 5), category="theft"):
    return (day, at, -74.06, 4.65, category)


def read(body, **options):
    return blocks_of(read_excel, body, **options)


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (time(22, 5), "22:05:00"),
        (timedelta(hours=22, minutes=5), "22:05:00"),
        (timedelta(hours=24), "24:00:00"),
        ("22:05", "22:05"),
        (2205, 2205),
        (None, None),
    ],
)
def test_times_of_day_are_text_of_hours_whatever_the_cell_holds(at, text):
    found = rows_of(read(book([HEAD, incident(at=at)])))
    assert [one["time"] for one in found] == [text]


def test_a_midnight_beside_a_clock_is_a_day_and_alone_an_instant():
    midnight = datetime(2024, 3, 1)
    beside = rows_of(read(book([HEAD, incident(day=midnight)])))
    assert beside[0]["date"] == "2024-03-01"
    head = ("occurred_at", *HEAD[2:])
    alone = rows_of(read(book([head, (midnight, *incident()[2:])])))
    assert alone[0]["occurred_at"] == "2024-03-01T00:00:00"


def test_blocks_hold_so_many_rows_and_empty_ones_do_not_count():
    rows = [incident(category=f"k{k}") for k in range(5)]
    blocks = read(book([HEAD, *rows[:2], (None,) * 5, *rows[2:]]), n_rows=2)
    assert [block.n_rows for block in blocks] == [2, 2, 1]
    assert [one["category"] for one in rows_of(blocks)] == ["k0", "k1", "k2", "k3", "k4"]


def test_lines_above_the_header_are_a_title_and_named_so():
    blocks = read(book([("Crimes of Springfield",), (), HEAD, incident()]))
    reading = blocks[0].plan.reading
    assert (reading.format, reading.sheet, reading.header_row) == ("excel", "s0", 3)
    assert [one.reason for one in reading.not_read if one.kind == "rows"] == ["title"]
    assert len(rows_of(blocks)) == 1


def test_an_overlong_text_spoils_its_row_alone():
    body = book([HEAD, incident(category="x" * 41), incident()])
    (block,) = read(body, limit_chars=40)
    assert block.broken == {0: "a text is longer than 40 characters"}
    assert block.columns["category"] == [None, "theft"]


def test_a_formula_without_a_value_is_named_by_its_cell():
    body = book([HEAD, incident(), (*incident()[:2], "=A1", *incident()[3:])])
    with pytest.raises(
        InvalidInput, match=r"cell C3 of column 'longitude' is a formula"
    ) as refused:
        read(body)
    assert refused.value.params == {"sheet": "s0", "cell": "C3"}


def test_a_formula_outside_of_the_columns_read_does_no_harm():
    body = book([(*HEAD, "note"), (*incident(), "=1+1")])
    assert len(rows_of(read(body))) == 1


TITLE = [("Crimes of Springfield",), ()]


@pytest.mark.parametrize("merged", ["A1:E2", "E4:F4", "F4:F5"])
def test_merged_cells_of_a_title_a_row_or_another_column_do_no_harm(merged):
    body = book([*TITLE, (*HEAD, "note"), incident(), incident()], merged=[merged])
    assert [one["category"] for one in rows_of(read(body))] == ["theft", "theft"]


def test_cells_merged_over_rows_are_refused_where_they_are_read():
    body = book([*TITLE, HEAD, incident(), incident()], merged=["A1:E2", "E4:E5"])
    with pytest.raises(InvalidInput, match="cells E4:E5 are merged") as refused:
        read(body)
    assert refused.value.params == {"sheet": "s0", "cells": "E4:E5"}


@pytest.mark.parametrize(("number", "within"), [(MAX_ROW, True), (MAX_ROW + 1, False)])
def test_a_sheet_ends_where_excels_do(number, within):
    body = workbook(row(number))
    if within:
        assert len(rows_of(read(body))) == 1
        return
    with pytest.raises(
        InvalidInput, match=f"a sheet ends at row {MAX_ROW} and column {MAX_COLUMN}"
    ):
        read(body)


def test_what_is_no_workbook_is_said_to_be_none():
    for body in (b"", b"a,b\n1,2\n", book([HEAD])[:-40]):
        with pytest.raises(InvalidInput, match=r"not a readable \.xlsx file"):
            read(body)
