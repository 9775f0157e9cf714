"""Reading uploads block by block: bytes -> decoded bytes -> columns of raw values.

Memory stays bounded: a block of rows at a time, and a cap on decoded bytes so that a small compressed
file cannot unfold into a large one.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from app.domain.columns import ColumnMapping, ColumnPlan, plan_columns
from app.domain.errors import InvalidInput
from app.services.ingest_decoding import lines_of, text_of

MAX_JSON_ROW_CHARS = 1 << 20
MAX_DIGITS = 400
COORDINATES = {"longitude", "latitude", "x", "y"}


@dataclass(frozen=True)
class ReadOptions:
    """How a body is read.

    Args:
        n_rows: of a block.
        limit_chars: of a field.
        max_bytes: of the decoded body, also of an archive's member.
        max_expansion: decoded bytes allowed per compressed one.
        mapping: what the caller says about the columns.
    """

    n_rows: int = 50_000
    limit_chars: int = 4096
    max_bytes: int = 1 << 30
    max_expansion: int = 100
    mapping: ColumnMapping = field(default_factory=ColumnMapping)


@dataclass(frozen=True)
class Block:
    """Raw rows by field or part; `broken` holds rows that could not be read, by position."""

    columns: Mapping[str, Sequence[Any]]
    n_rows: int
    broken: Mapping[int, str]
    plan: ColumnPlan


Reader = Callable[[Iterator[bytes], ReadOptions], Iterator[Block]]


def read_csv(chunks: Iterator[bytes], options: ReadOptions) -> Iterator[Block]:
    """Blocks of a CSV or TSV file; rows with too few or many fields are reported, not lost."""
    lines = lines_of(text_of(chunks), MAX_JSON_ROW_CHARS)
    first = next(lines, "")
    if not first.strip():
        raise InvalidInput("the file is empty", code="empty")
    delimiter = max(",;\t|", key=first.count)
    csv.field_size_limit(options.limit_chars)
    source = _Ending(_chain(first, lines))
    rows = csv.reader(source, delimiter=delimiter, strict=False)
    try:
        header = next(rows, [])
    except csv.Error as error:
        raise InvalidInput(f"the header: {error}", code="unreadable_row") from error
    plan = plan_columns(header, options.mapping)
    plan.require_all(header)
    n_before = 0
    while rows_read := _csv_rows(rows, source, options.n_rows, n_before):
        n_before += len(rows_read)
        yield _csv_block(rows_read, header, plan, decimal_comma=delimiter != ",")


class _Ending:
    """Lines that tell when they have come to their end."""

    def __init__(self, lines: Iterator[str]) -> None:
        self.lines = lines
        self.ended = False

    def __iter__(self) -> Iterator[str]:
        yield from self.lines
        self.ended = True


def _csv_rows(
    rows: Iterator[list[str]], source: _Ending, n_rows: int, n_before: int
) -> list[list[str]]:
    """The next rows that are not empty; numbers in messages count those, as summaries do."""
    found: list[list[str]] = []
    try:
        for row in rows:
            # A row needs no more than its own lines, unless a quote in it is never closed.
            if source.ended:
                number = n_before + len(found) + 1
                raise InvalidInput(
                    f"row {number}: a quote is opened and not closed", code="unreadable_row"
                )
            if row:
                found.append(row)
            if len(found) >= n_rows:
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
    for place in broken:
        rows[place] = [""] * width
    values = list(zip(*rows, strict=True))
    columns = {name: values[header.index(column)] for name, column in plan.names.items()}
    if decimal_comma:
        for name in COORDINATES & columns.keys():
            columns[name] = tuple(v.replace(",", ".") for v in columns[name])
    return Block(columns, len(rows), broken, plan)


def block_of(objects: list[Any], options: ReadOptions) -> Block:
    """A block of JSON values; those that are no objects are reported."""
    broken = {i: "not a JSON object" for i, o in enumerate(objects) if not isinstance(o, dict)}
    rows = [o if isinstance(o, dict) else {} for o in objects]
    header = list(dict.fromkeys(key for row in rows for key in row))
    mapping = options.mapping if header else ColumnMapping()
    plan = plan_columns(header, mapping)
    columns = {name: [row.get(column) for row in rows] for name, column in plan.names.items()}
    return Block(columns, len(rows), broken, plan)


def read_ndjson(chunks: Iterator[bytes], options: ReadOptions) -> Iterator[Block]:
    """Blocks of newline-delimited JSON; a line that is no JSON is one bad row."""
    objects: list[Any] = []
    for line in lines_of(text_of(chunks), MAX_JSON_ROW_CHARS):
        if not line.strip():
            continue
        try:
            objects.append(orjson.loads(line))
        except orjson.JSONDecodeError:
            objects.append(None)
        if len(objects) >= options.n_rows:
            yield block_of(objects, options)
            objects = []
    if objects:
        yield block_of(objects, options)


def _no_constant(name: str) -> Any:
    raise InvalidInput(f"{name} is not JSON", code="bad_json")


def _whole_number(digits: str) -> int | str:
    """A number of any length: one that Python would refuse to read stays a text, to be judged later."""
    return int(digits) if len(digits) <= MAX_DIGITS else digits


def _array_items(texts: Iterator[str], start: str) -> Iterator[Any]:
    """Items of the first JSON array after `start`, decoded one at a time from a growing buffer."""
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
            position = _skip(buffer, position)
            if position >= len(buffer):
                break
            if buffer[position] == "]":
                return
            try:
                value, end = decoder.raw_decode(buffer, position)
            except json.JSONDecodeError:
                break
            # A number at the buffer's end may go on in the next chunk.
            if end == len(buffer):
                break
            if "\\ud" in buffer[position:end].lower():
                _check_surrogates(value)
            yield value
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


def _skip(buffer: str, position: int) -> int:
    while position < len(buffer) and buffer[position] in " \t\r\n,":
        position += 1
    return position


def read_json(chunks: Iterator[bytes], options: ReadOptions) -> Iterator[Block]:
    """Blocks of a JSON array of objects."""
    texts = text_of(chunks)
    head = next(texts, "")
    while not head.strip() and (more := next(texts, None)) is not None:
        head += more
    if not head.lstrip().startswith("["):
        raise InvalidInput("the body must be a JSON array of incidents", code="bad_json")
    yield from batched(_array_items(_chain(head, texts), ""), options, lambda item: item)


def read_geojson(chunks: Iterator[bytes], options: ReadOptions) -> Iterator[Block]:
    """Blocks of a GeoJSON FeatureCollection of points."""
    yield from batched(_array_items(text_of(chunks), '"features"'), options, _feature_row)


def _feature_row(feature: Any) -> Any:
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
    if feature.get("id") is not None:
        row.setdefault("external_id", str(feature["id"]))
    return row


def batched(
    items: Iterator[Any], options: ReadOptions, row_of: Callable[[Any], Any]
) -> Iterator[Block]:
    """Blocks of items, each made a row (a dict by column name)."""
    objects: list[Any] = []
    try:
        for item in items:
            objects.append(row_of(item))
            if len(objects) >= options.n_rows:
                yield block_of(objects, options)
                objects = []
    except (RecursionError, ValueError) as error:
        raise InvalidInput(f"not valid JSON: {error}", code="bad_json") from error
    if objects:
        yield block_of(objects, options)
