"""Read Excel workbooks (.xlsx): only rows that exist, not those implied by row numbers."""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import partial
from itertools import islice
from typing import IO, Any

import openpyxl
from openpyxl.styles.numbers import BUILTIN_FORMATS, BUILTIN_FORMATS_MAX_SIZE
from openpyxl.utils import get_column_letter, range_boundaries
from openpyxl.worksheet._reader import WorkSheetParser
from openpyxl.xml.constants import SHEET_MAIN_NS
from openpyxl.xml.functions import iterparse

from app.core.errors import InvalidInput
from app.core.texts import shortened
from app.readers.blocks import Block, Blocks
from app.readers.columns.headers import HEADER_WITHIN, find_header, given_header, title_rows
from app.readers.columns.mapping import ColumnMapping
from app.readers.columns.plan import ColumnPlan
from app.readers.context import ReadContext, check_members
from app.readers.damage import damage_as_invalid_input
from app.readers.files.parts import Part, chosen_parts
from app.readers.files.tables import Table
from app.readers.limits import too_long
from app.readers.times.clocks import hours_text

MAX_ROW, MAX_COLUMN = 1_048_576, 16_384
"""Of a sheet, by the specification of Excel."""
_DATA, _ROW, _CELL, _FORMULA, _VALUE, _MERGED = (
    f"{{{SHEET_MAIN_NS}}}{tag}" for tag in ("sheetData", "row", "c", "f", "v", "mergeCell")
)
_LITERAL = re.compile(r'\[[^\]]*\]|"[^"]*"|\\.')
FIRST_DAY = datetime(1899, 12, 31)
Cells = dict[int, Any]


class _NoValue:
    """Stands for a formula whose value is not in the file."""


@dataclass
class _Sheet:
    """One sheet: its rows, and the ranges of merged cells once all rows are read."""

    sheet: Any
    days: frozenset[int] = frozenset()
    """Styles whose midnights are dates."""
    merged: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return str(self.sheet.title)

    def rows(self) -> Iterator[tuple[int, Cells]]:
        """Yield number and {column: value} of each row that the sheet holds, without gaps.

        openpyxl's own `iter_rows` creates a row for each number missing between two rows.
        """
        book, before = self.sheet.parent, 0
        self.merged = []
        with self.sheet._get_source() as source:
            parser = WorkSheetParser(
                source,
                self.sheet._shared_strings,
                data_only=True,
                epoch=book.epoch,
                date_formats=book._date_formats,
                timedelta_formats=book._timedelta_formats,
            )
            for element in _row_elements(source, self.merged):
                without_value = _empty_formulas(element)
                number, cells = parser.parse_row(element)
                parser.row_dimensions.clear()
                if number > MAX_ROW or any(cell["column"] > MAX_COLUMN for cell in cells):
                    raise InvalidInput(
                        f"row {number}: a sheet ends at row {MAX_ROW} and column {MAX_COLUMN}",
                        code="damaged",
                    )
                if number > before:
                    before = number
                    found = {cell["column"]: self._value(cell) for cell in cells}
                    yield (
                        number,
                        {**found, **dict.fromkeys(without_value & found.keys(), _NoValue())},
                    )

    def _value(self, cell: dict[str, Any]) -> Any:
        value = cell["value"]
        if cell["style_id"] in self.days and isinstance(value, datetime) and value.time() == time():
            return value.date()
        return value


def _day_styles(book: Any) -> frozenset[int]:
    """Return the styles of a workbook that show a date without a time."""

    def shows(style: int) -> str:
        number = book._cell_styles[style].numFmtId
        own = number - BUILTIN_FORMATS_MAX_SIZE
        text = BUILTIN_FORMATS.get(number, "") if own < 0 else book._number_formats[own]
        return _LITERAL.sub("", text).lower()

    return frozenset(i for i in book._date_formats if not {"h", "s"} & set(shows(i)))


def _row_elements(source: IO[bytes], merged: list[str]) -> Iterator[Any]:
    """Yield the rows' XML elements, each freed before the next is read; then collect merged ranges."""
    data = None
    for event, element in iterparse(source, ("start", "end")):
        if event == "start":
            data = element if element.tag == _DATA else data
        elif element.tag == _ROW and data is not None:
            yield element
            data.clear()
        elif element.tag == _MERGED and len(merged) < MAX_ROW:
            merged.append(str(element.get("ref")))
            element.clear()


def _empty_formulas(row: Any) -> set[int]:
    """Return the columns of a row's formulas that have no value."""
    found = set()
    for place, cell in enumerate(row, 1):
        if cell.tag == _CELL and cell.find(_FORMULA) is not None:
            value = cell.find(_VALUE)
            if value is None or not (value.text or ""):
                reference = cell.get("r")
                found.add(range_boundaries(reference)[0] if reference else place)
    return found


def read_excel(file: IO[bytes], context: ReadContext) -> Blocks:
    """Yield blocks of a workbook's sheets that have the columns of its first table of incidents."""
    with damage_as_invalid_input(".xlsx file"):
        with zipfile.ZipFile(file) as archive:
            check_members(archive.infolist(), context)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # styles that openpyxl does not know
            book = openpyxl.load_workbook(file, read_only=True, data_only=True)
        mapping = context.options.mapping
        days = frozenset[int]() if mapping.date_only is None else _day_styles(book)
        parts = [
            Part(
                sheet.title,
                partial(_header_of, _Sheet(sheet), mapping),
                _Sheet(sheet, days),
                is_hidden=sheet.sheet_state != "visible",
            )
            for sheet in book.worksheets
        ]
        chosen = chosen_parts("sheet", parts, mapping.part)
        for part, (header_row, names, plan) in chosen.parts:
            table = Table(
                context.options,
                {"format": "excel", "sheet": part.name, "header_row": header_row},
                (*title_rows(0, header_row - 1), *chosen.not_read),
                chosen.assumptions,
            )
            yield from _sheet_blocks(part.held, header_row, names, plan, table)


def _header_of(sheet: _Sheet, mapping: ColumnMapping) -> tuple[int, list[str], ColumnPlan]:
    """Return number, names and plan of a sheet's header.

    Raises:
        InvalidInput: no row names time and place.
    """
    asked = mapping.header_row or 0
    rows = list(islice(sheet.rows(), max(HEADER_WITHIN, asked)))
    if asked:
        line = next((cells for number, cells in rows if number == asked), None)
        names = None if line is None else _names(line)
        return asked, names or [], given_header(names, mapping)
    full = [(number, cells) for number, cells in rows if any(v is not None for v in cells.values())]
    place, plan = find_header([(n - 1, partial(_names, cells)) for n, cells in full], mapping)
    return place + 1, _names(dict(full)[place + 1]), plan


def _names(cells: Cells) -> list[str]:
    last = max((i for i, value in cells.items() if value is not None), default=0)
    return [_name(cells.get(i)) for i in range(1, last + 1)]


def _sheet_blocks(
    sheet: _Sheet, header_row: int, header: Sequence[str], plan: ColumnPlan, table: Table
) -> Iterator[Block]:
    options = table.options
    place = {name: header.index(column) + 1 for name, column in plan.names.items()}
    columns: dict[str, list[Any]] = {name: [] for name in place}
    broken: dict[int, str] = {}
    n_rows = 0
    for number, line in sheet.rows():
        if number <= header_row or all(value is None for value in line.values()):
            continue
        for name, i in place.items():
            value = line.get(i)
            if isinstance(value, _NoValue):
                raise _without_value(sheet.name, number, i, plan.names[name])
            if isinstance(value, str) and len(value) > options.limit_chars:
                broken[n_rows] = too_long(options.limit_chars)
                value = None
            columns[name].append(_cell(value, name))
        n_rows += 1
        if n_rows == options.n_rows:
            yield table.block(plan, columns, n_rows, broken)
            columns, broken, n_rows = {name: [] for name in place}, {}, 0
    if n_rows:
        yield table.block(plan, columns, n_rows, broken)
    _check_merged(sheet, header_row, place)


def _without_value(sheet: str, row: int, column: int, name: str) -> InvalidInput:
    cell = f"{get_column_letter(column)}{row}"
    return InvalidInput(
        f"sheet {shortened(sheet, 40)}: cell {cell} of column {shortened(name, 40)} is a formula whose "
        "value is not in the file: open and save it in Excel, or send CSV",
        field="columns",
        code="formula_without_value",
        params={"sheet": sheet[:60], "cell": cell},
    )


def _check_merged(sheet: _Sheet, header_row: int, place: dict[str, int]) -> None:
    """Raise if cells of the columns read are merged over rows: only the first would have the value.

    Raises:
        InvalidInput: names the first range.
    """
    for merged in sheet.merged:
        left, top, right, bottom = range_boundaries(merged)
        if bottom > max(top, header_row) and any(left <= i <= right for i in place.values()):
            raise InvalidInput(
                f"sheet {shortened(sheet.name, 40)}: cells {merged} are merged, so that only the first row "
                "has their value: unmerge and fill them in, or send CSV",
                field="columns",
                code="merged_cells",
                params={"sheet": sheet.name[:60], "cells": merged[:20]},
            )


def _name(value: Any) -> str:
    return "" if value is None else str(value)


def _cell(value: Any, name: str) -> Any:
    """Return a cell's value with times as text; a date beside a clock is a day without a time."""
    if isinstance(value, datetime) and value.year <= 1900:
        # A time of day of 24 hours or more: Excel counts it from its first day.
        value -= FIRST_DAY
    if isinstance(value, timedelta):
        return hours_text(value)
    if isinstance(value, datetime) and name in ("date", "end_date") and value.time() == time():
        value = value.date()
    return value.isoformat() if isinstance(value, datetime | date | time) else value
