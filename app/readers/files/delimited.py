"""Read CSV and TSV: find the header and the delimiter, then yield blocks of rows.

Memory is bounded by the size of a block and by `app.readers.limits`. Readers of text formats are fast and
run in the process that stores the rows; all others run in an isolated process (`app.readers.isolated`).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from operator import itemgetter

from app.core.errors import InvalidInput
from app.core.output.plain_text import from_spreadsheet
from app.readers.blocks import MAX_ROW_CHARS, Block, Blocks, ReadOptions, counted
from app.readers.columns.headers import HEADER_WITHIN, find_header, given_header, title_rows
from app.readers.columns.plan import ColumnPlan
from app.readers.files.decoding import Text, lines_of
from app.readers.files.tables import Table
from app.readers.limits import BLOCK_CHARS

COORDINATES = {"longitude", "latitude", "x", "y"}
GUARDED = {"category", "external_id", "reference", "feed"}
"""Texts that CSV exports guard against spreadsheet formulas."""
DELIMITERS = ",;\t|"
_SEPARATOR_LINE = re.compile(r"""^"?sep=(.)"?\s*$""", re.IGNORECASE)


@dataclass(frozen=True)
class _Start:
    """Where a table begins: the header's line, counted from 0, and its delimiter."""

    line: int
    delimiter: str
    titles: int


def read_csv(chunks: Iterator[bytes], options: ReadOptions) -> Blocks:
    """Yield blocks of a CSV or TSV file; rows with a wrong number of fields are reported."""
    text = Text(chunks, options.mapping.encoding)
    lines = lines_of(text.parts(), MAX_ROW_CHARS)
    asked = options.mapping.header_row or 0
    head = list(islice(lines, max(HEADER_WITHIN, asked) + 1))
    if not any(line.strip() for line in head):
        raise InvalidInput("the file is empty", code="empty")
    csv.field_size_limit(options.limit_chars)
    start, plan = _start(head, options)
    source = _Ending(counted(chain(head[start.line :], lines), options))
    rows = csv.reader(source, delimiter=start.delimiter, strict=False)
    header = next(rows)
    table = Table(
        options,
        {
            "format": "csv",
            "encoding": text.encoding,
            "delimiter": start.delimiter,
            "header_row": start.line + 1,
        },
        title_rows(start.titles, start.line),
    )
    n_before = 0
    while rows_read := _csv_rows(rows, source, options.n_rows, n_before):
        n_before += len(rows_read)
        for message in text.assumptions:
            table.assume(message)
        yield _csv_block(rows_read, header, plan, table, decimal_comma=start.delimiter != ",")


def is_table(beginning: bytes, options: ReadOptions) -> bool:
    """Return whether a text that begins so is a table of incidents."""
    try:
        lines = lines_of(Text(iter([beginning]), options.mapping.encoding).parts(), MAX_ROW_CHARS)
        head = list(islice(lines, HEADER_WITHIN))
        return bool(head) and _start(head, options) is not None
    except InvalidInput:
        return False


def _start(head: Sequence[str], options: ReadOptions) -> tuple[_Start, ColumnPlan]:
    """Find the header among the first lines.

    Raises:
        InvalidInput: no line names time and place, or a name has two meanings.
    """
    given = _SEPARATOR_LINE.match(head[0])
    fixed, first = (given[1], 1) if given else (None, 0)

    def delimiter(line: int) -> str:
        return fixed or max(DELIMITERS, key=head[line].count)

    def names(line: int) -> list[str]:
        try:
            return next(csv.reader(head[line:], delimiter=delimiter(line), strict=False), [])
        except csv.Error as error:
            raise InvalidInput(f"the header: {error}", code="unreadable_row") from error

    if options.mapping.header_row is not None:
        line = options.mapping.header_row - 1
        plan = given_header(names(line) if line < len(head) else None, options.mapping)
    else:
        full = [i for i, text in enumerate(head[:HEADER_WITHIN]) if i >= first and text.strip()]
        line, plan = find_header([(i, partial(names, i)) for i in full], options.mapping)
    return _Start(line, delimiter(line), first), plan


class _Ending:
    """Lines that count their characters and know when they have ended."""

    def __init__(self, lines: Iterator[str]) -> None:
        self.lines = lines
        self.ended = False
        self.n_chars = 0

    def __iter__(self) -> Iterator[str]:
        for line in self.lines:
            self.n_chars += len(line)
            yield line
        self.ended = True


def _csv_rows(
    rows: Iterator[list[str]], source: _Ending, n_rows: int, n_before: int
) -> list[list[str]]:
    """Return the next rows that are not empty; messages number those, as summaries do."""
    found: list[list[str]] = []
    full_chars = source.n_chars + BLOCK_CHARS
    try:
        for row in rows:
            # A row needs no more than its own lines, unless a quote in it is never closed.
            if source.ended:
                number = n_before + len(found) + 1
                raise InvalidInput(
                    f"row {number}: a quote is opened but not closed", code="unreadable_row"
                )
            if row:
                found.append(row)
            if len(found) >= n_rows or (source.n_chars >= full_chars and found):
                break
    except csv.Error as error:
        number = n_before + len(found) + 1
        raise InvalidInput(f"row {number}: {error}", code="unreadable_row") from error
    return found


def _csv_block(
    rows: list[list[str]], header: list[str], plan: ColumnPlan, table: Table, *, decimal_comma: bool
) -> Block:
    width = len(header)
    broken = {}
    if set(map(len, rows)) != {width}:
        broken = {
            place: f"{len(row)} fields, the header has {width}"
            for place, row in enumerate(rows)
            if len(row) != width
        }
    blank = [""] * width
    for place in broken:
        rows[place] = blank
    columns: dict[str, Sequence[str]] = {
        name: tuple(map(itemgetter(header.index(column)), rows))
        for name, column in plan.names.items()
    }
    if decimal_comma and plan.crs is None:  # metres may have separated thousands: see `numbers`
        for name in COORDINATES & columns.keys():
            columns[name] = tuple(v.replace(",", ".") for v in columns[name])
    for name in GUARDED & columns.keys():
        if any(value[:1] == "'" for value in set(columns[name])):
            columns[name] = tuple(map(from_spreadsheet, columns[name]))
    return table.block(plan, columns, len(rows), broken)
