"""Read Excel workbooks (.xlsx): only rows that exist, not those implied by row numbers."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time
from typing import IO, Any

import openpyxl
from openpyxl.worksheet._reader import WorkSheetParser
from openpyxl.xml.constants import SHEET_MAIN_NS
from openpyxl.xml.functions import iterparse

from app.core.errors import InvalidInput
from app.readers.columns import plan_columns
from app.readers.context import ReadContext, check_members
from app.readers.damage import damage_as_invalid_input
from app.readers.delimited import Block, Blocks, ReadOptions
from app.readers.limits import check_columns, too_long

MAX_ROW, MAX_COLUMN = 1_048_576, 16_384
"""Of a sheet, by the specification of Excel."""
_DATA = f"{{{SHEET_MAIN_NS}}}sheetData"
_ROW = f"{{{SHEET_MAIN_NS}}}row"
Cells = dict[int, Any]


def read_excel(file: IO[bytes], context: ReadContext) -> Blocks:
    """Yield blocks of a workbook's first sheet; its first row names the columns."""
    with damage_as_invalid_input(".xlsx file"):
        with zipfile.ZipFile(file) as archive:
            check_members(archive.infolist(), context)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # styles that openpyxl does not know
            book = openpyxl.load_workbook(file, read_only=True, data_only=True)
        yield from _sheet_blocks(_rows(book.worksheets[0]), context.options)


def _rows(sheet: Any) -> Iterator[Cells]:
    """Yield {column: value} of each row that the sheet holds, without gaps.

    openpyxl's own `iter_rows` creates a row for each number missing between two rows.
    """
    book, before = sheet.parent, 0
    with sheet._get_source() as source:
        parser = WorkSheetParser(
            source,
            sheet._shared_strings,
            data_only=True,
            epoch=book.epoch,
            date_formats=book._date_formats,
            timedelta_formats=book._timedelta_formats,
        )
        for element in _row_elements(source):
            number, cells = parser.parse_row(element)
            parser.row_dimensions.clear()
            if number > MAX_ROW or any(cell["column"] > MAX_COLUMN for cell in cells):
                raise InvalidInput(
                    f"row {number}: a sheet ends at row {MAX_ROW} and column {MAX_COLUMN}",
                    code="damaged",
                )
            if number > before:
                before = number
                yield {cell["column"]: cell["value"] for cell in cells}


def _row_elements(source: IO[bytes]) -> Iterator[Any]:
    """Yield the rows' XML elements, each freed before the next is read."""
    data = None
    for event, element in iterparse(source, ("start", "end")):
        if event == "start":
            data = element if element.tag == _DATA else data
        elif element.tag == _DATA:
            return
        elif element.tag == _ROW:
            yield element
            if data is not None:
                data.clear()


def _sheet_blocks(lines: Iterator[Cells], options: ReadOptions) -> Iterator[Block]:
    first = next(lines, {})
    header = [_name(first.get(i)) for i in range(1, max(first, default=0) + 1)]
    check_columns(header)
    plan = plan_columns(header, options.mapping)
    plan.require_all(header)
    place = {name: header.index(column) + 1 for name, column in plan.names.items()}
    columns: dict[str, list[Any]] = {name: [] for name in place}
    broken: dict[int, str] = {}
    n_rows = 0
    for line in lines:
        if all(value is None for value in line.values()):
            continue
        for name, i in place.items():
            value = line.get(i)
            if isinstance(value, str) and len(value) > options.limit_chars:
                broken[n_rows] = too_long(options.limit_chars)
                value = None
            columns[name].append(_cell(value))
        n_rows += 1
        if n_rows == options.n_rows:
            yield Block(columns, n_rows, broken, plan)
            columns, broken, n_rows = {name: [] for name in place}, {}, 0
    if n_rows:
        yield Block(columns, n_rows, broken, plan)


def _name(value: Any) -> str:
    return "" if value is None else str(value)


def _cell(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime | date | time) else value
