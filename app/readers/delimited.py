"""Read uploads block by block: bytes -> decoded bytes -> columns of raw values.

Memory is bounded by the size of a block and by `app.readers.limits`. The readers in this file, of text
formats, are fast and run in the process that stores the rows. All others run in an isolated process
(`app.readers.isolated`).
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

import orjson

from app.core.errors import InvalidInput
from app.core.plain_text import from_spreadsheet
from app.readers.columns import ColumnMapping, ColumnPlan, plan_columns
from app.readers.decoding import lines_of, text_of
from app.readers.limits import (
    BLOCK_CHARS,
    TOO_MANY_VALUES,
    Refused,
    bounded_row,
    check_columns,
    check_rows,
    has_too_many_values,
)
from app.readers.reading import FEATURE_ID

MAX_JSON_ROW_CHARS = 1 << 20
MAX_DIGITS = 400
COORDINATES = {"longitude", "latitude", "x", "y"}
GUARDED = {"category", "external_id", "reference", "feed"}
"""Texts that CSV exports guard against spreadsheet formulas."""
_LINES_LOOK = 1 << 16
_GAP = re.compile(r"[ \t\r\n,]*")


@dataclass(frozen=True)
class ReadOptions:
    """Options and limits for reading a body.

    Args:
        n_rows: of a block.
        limit_chars: of a field.
        max_bytes: of the decoded body, also of an archive's member.
        max_expansion: decoded bytes allowed per one that was sent.
        mapping: the caller's mapping of columns.
        max_rows: of the body.
        memory_bytes, cpu_s, cpu_s_per_mib: of an isolated reader process.
        sent_bytes: returns how many bytes were sent so far; None: as many as the body has.
        gone: returns whether the client has gone.
        remedy: advice for a file that exceeds the limits.
    """

    n_rows: int = 50_000
    limit_chars: int = 4096
    max_bytes: int = 1 << 30
    max_expansion: int = 100
    mapping: ColumnMapping = field(default_factory=ColumnMapping)
    max_rows: int = 25_000_000
    memory_bytes: int = 512 << 20
    cpu_s: float = 3.0
    cpu_s_per_mib: float = 3.0
    sent_bytes: Callable[[], int] | None = None
    gone: Callable[[], bool] = lambda: False
    remedy: str = "split it, or send it as CSV"


@dataclass(frozen=True)
class Block:
    """Raw rows by field or part; `broken` holds rows that could not be read, by position."""

    columns: Mapping[str, Sequence[Any]]
    n_rows: int
    broken: Mapping[int, str]
    plan: ColumnPlan


Blocks = Generator[Block, None, None]
Reader = Callable[[Iterator[bytes], ReadOptions], Blocks]


def read_csv(chunks: Iterator[bytes], options: ReadOptions) -> Blocks:
    """Yield blocks of a CSV or TSV file; rows with a wrong number of fields are reported."""
    lines = lines_of(text_of(chunks), MAX_JSON_ROW_CHARS)
    first = next(lines, "")
    if not first.strip():
        raise InvalidInput("the file is empty", code="empty")
    delimiter = max(",;\t|", key=first.count)
    csv.field_size_limit(options.limit_chars)
    source = _Ending(_counted(_chain(first, lines), options))
    rows = csv.reader(source, delimiter=delimiter, strict=False)
    try:
        header = next(rows, [])
    except csv.Error as error:
        raise InvalidInput(f"the header: {error}", code="unreadable_row") from error
    check_columns(header)
    plan = plan_columns(header, options.mapping)
    plan.require_all(header)
    n_before = 0
    while rows_read := _csv_rows(rows, source, options.n_rows, n_before):
        n_before += len(rows_read)
        yield _csv_block(rows_read, header, plan, decimal_comma=delimiter != ",")


def _counted(lines: Iterator[str], options: ReadOptions) -> Iterator[str]:
    """Yield the lines, up to the number of rows that the body may hold.

    Raises:
        LimitExceeded: too many lines.
    """
    sent = options.sent_bytes
    for n_lines, line in enumerate(lines, 1):
        if n_lines % _LINES_LOOK == 0 and sent is not None:
            check_rows(n_lines, sent(), options.max_rows)
        yield line


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


def _chain(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _csv_block(
    rows: list[list[str]], header: list[str], plan: ColumnPlan, *, decimal_comma: bool
) -> Block:
    width = len(header)
    broken = {
        place: f"{len(row)} fields, the header has {width}"
        for place, row in enumerate(rows)
        if len(row) != width
    }
    blank = [""] * width
    for place in broken:
        rows[place] = blank
    # A header without time and place was rejected, so at least two columns are wanted.
    wanted = itemgetter(*(header.index(column) for column in plan.names.values()))
    values = zip(*map(wanted, rows), strict=True)
    columns: dict[str, Sequence[str]] = dict(zip(plan.names, values, strict=True))
    if decimal_comma:
        for name in COORDINATES & columns.keys():
            columns[name] = tuple(v.replace(",", ".") for v in columns[name])
    for name in GUARDED & columns.keys():
        if any(value[:1] == "'" for value in set(columns[name])):
            columns[name] = tuple(map(from_spreadsheet, columns[name]))
    return Block(columns, len(rows), broken, plan)


def block_of(objects: list[Any], options: ReadOptions) -> Block:
    """Build a block of JSON values; those that are not objects are reported."""
    broken = {
        i: o.reason if isinstance(o, Refused) else "not a JSON object"
        for i, o in enumerate(objects)
        if not isinstance(o, dict)
    }
    rows = [o if isinstance(o, dict) else {} for o in objects]
    header = list(dict.fromkeys(key for row in rows for key in row))
    check_columns(header)
    mapping = options.mapping if header else ColumnMapping()
    plan = plan_columns(header, mapping)
    columns = {name: [row.get(column) for row in rows] for name, column in plan.names.items()}
    return Block(columns, len(rows), broken, plan)


def read_ndjson(chunks: Iterator[bytes], options: ReadOptions) -> Blocks:
    """Yield blocks of newline-delimited JSON; an invalid line is one bad row."""
    lines = _counted(lines_of(text_of(chunks), MAX_JSON_ROW_CHARS), options)
    yield from batched(_ndjson_items(lines), options)


def _ndjson_items(lines: Iterator[str]) -> Iterator[tuple[Any, int]]:
    for line in lines:
        if has_too_many_values(line):
            yield Refused(TOO_MANY_VALUES), len(line)
        elif line.strip():
            try:
                yield orjson.loads(line), len(line)
            except orjson.JSONDecodeError:
                yield None, len(line)


def _no_constant(name: str) -> Any:
    raise InvalidInput(f"{name} is not JSON", code="bad_json")


def _whole_number(digits: str) -> int | str:
    """Parse an integer; one too long for Python stays a text, to be rejected later."""
    return int(digits) if len(digits) <= MAX_DIGITS else digits


def _array_items(texts: Iterator[str], start: str) -> Iterator[tuple[Any, int]]:
    """Yield the items of the first JSON array after `start`, decoded one at a time.

    Each comes with its number of characters.
    """
    decoder = json.JSONDecoder(parse_constant=_no_constant, parse_int=_whole_number)
    buffer = ""
    opened = False
    for text in texts:
        buffer += text
        if not opened:
            place = buffer.find(start)
            bracket = buffer.find("[", place + len(start) if place >= 0 else 0)
            if place < 0 or bracket < 0:
                _check_row_length(buffer)
                continue
            buffer, opened = buffer[bracket + 1 :], True
        position = 0
        while True:
            position = _after_gap(buffer, position)
            if position >= len(buffer):
                break
            if buffer[position] == "]":
                return
            try:
                value, end = decoder.raw_decode(buffer, position)
            except json.JSONDecodeError:
                break
            # A number at the buffer's end may continue in the next chunk.
            if end == len(buffer):
                break
            item = buffer[position:end]
            if "\\ud" in item.lower():
                _check_surrogates(value)
            yield Refused(TOO_MANY_VALUES) if has_too_many_values(item) else value, len(item)
            position = end
        buffer = buffer[position:]
        _check_row_length(buffer)
    raise InvalidInput("the JSON array is not closed or not valid", code="bad_json")


def _check_row_length(buffer: str) -> None:
    if len(buffer) > MAX_JSON_ROW_CHARS:
        raise InvalidInput("a JSON value is too long or not valid", code="bad_json")


def _check_surrogates(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise InvalidInput("a text holds half of a surrogate pair", code="bad_text") from error


def _after_gap(buffer: str, position: int) -> int:
    gap = _GAP.match(buffer, position)
    return position if gap is None else gap.end()


def read_json(chunks: Iterator[bytes], options: ReadOptions) -> Blocks:
    """Yield blocks of a JSON array of objects."""
    texts = text_of(chunks)
    head = next(texts, "")
    while not head.strip() and (more := next(texts, None)) is not None:
        head += more
    if not head.lstrip().startswith("["):
        raise InvalidInput("the body must be a JSON array of incidents", code="bad_json")
    yield from batched(_array_items(_chain(head, texts), ""), options)


def read_geojson(chunks: Iterator[bytes], options: ReadOptions) -> Blocks:
    """Yield blocks of a GeoJSON FeatureCollection of points."""
    items = _array_items(text_of(chunks), '"features"')
    yield from batched(((_feature_row(item), size) for item, size in items), options)


def _feature_row(feature: Any) -> Any:
    if isinstance(feature, Refused):
        return feature
    if not isinstance(feature, dict):
        return None
    geometry, properties = feature.get("geometry"), feature.get("properties") or {}
    if not isinstance(geometry, dict) or not isinstance(properties, dict):
        return None
    coordinates = geometry.get("coordinates") if geometry.get("type") == "Point" else None
    if not isinstance(coordinates, list) or len(coordinates) < 2:
        return None
    row = dict(properties)
    row["longitude"], row["latitude"] = coordinates[0], coordinates[1]
    # Programs number features from 0 in every file, so these are ids only if the caller says so.
    if feature.get("id") is not None:
        row.setdefault(FEATURE_ID, str(feature["id"]))
    return row


def batched(items: Iterable[tuple[Any, int]], options: ReadOptions) -> Blocks:
    """Yield blocks of JSON rows, each given with its number of characters."""
    objects: list[Any] = []
    n_chars = 0
    try:
        for item, size in items:
            long = size > options.limit_chars and isinstance(item, dict)
            objects.append(bounded_row(item, options.limit_chars) if long else item)
            n_chars += size
            if len(objects) >= options.n_rows or n_chars >= BLOCK_CHARS:
                yield block_of(objects, options)
                objects, n_chars = [], 0
    except (RecursionError, ValueError) as error:
        raise InvalidInput(f"not valid JSON: {error}", code="bad_json") from error
    if objects:
        yield block_of(objects, options)
