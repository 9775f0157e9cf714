"""Reading uploads block by block: bytes -> decoded bytes -> columns of raw values.

Memory stays bounded: a block of rows at a time, and a cap on decoded bytes so that a small compressed
file cannot unfold into a large one.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from app.domain.errors import InvalidInput
from app.services.ingest_decoding import lines_of, text_of

FIELDS = ("occurred_at", "longitude", "latitude", "category", "external_id", "source")
ALIASES = {
    "time": "occurred_at",
    "datetime": "occurred_at",
    "timestamp": "occurred_at",
    "occurred": "occurred_at",
    "date": "occurred_at",
    "lon": "longitude",
    "lng": "longitude",
    "long": "longitude",
    "lat": "latitude",
    "type": "category",
    "offense": "category",
    "offence": "category",
    "id": "external_id",
}
MAX_JSON_ROW_CHARS = 1 << 20


@dataclass(frozen=True)
class Block:
    """Raw rows by field; `broken` holds rows that could not be read, by position."""

    columns: Mapping[str, Sequence[Any]]
    n_rows: int
    broken: Mapping[int, str]


def field_names(header: Sequence[str]) -> list[str]:
    """The contract's names for a header's; others are kept and ignored.

    Raises:
        InvalidInput: time or place is missing.
    """
    lowered = [h.strip().lower().replace(" ", "_") for h in header]
    names = [h if h in FIELDS else ALIASES.get(h, h) for h in lowered]
    # An alias must not shadow a column that bears the field's own name.
    names = [n if lowered[i] == n or n not in lowered else lowered[i] for i, n in enumerate(names)]
    for required in FIELDS[:3]:
        if required not in names:
            raise InvalidInput(
                f"column {required} is missing; the header has {', '.join(header[:20])[:200]!r}",
                field=required,
                code="missing_column",
            )
    return names


def read_csv(chunks: Iterator[bytes], n_rows: int, limit_chars: int) -> Iterator[Block]:
    """Blocks of a CSV or TSV file; rows with too few or many fields are reported, not lost."""
    lines = lines_of(text_of(chunks), MAX_JSON_ROW_CHARS)
    first = next(lines, "")
    if not first.strip():
        raise InvalidInput("the file is empty", code="empty")
    delimiter = max(",;\t|", key=first.count)
    csv.field_size_limit(limit_chars)
    rows = csv.reader(_chain(first, lines), delimiter=delimiter, strict=False)
    names = field_names(next(rows))
    row_number = 1
    while True:
        rows_read: list[list[str]] = []
        try:
            for row in rows:
                row_number += 1
                if row:
                    rows_read.append(row)
                if len(rows_read) >= n_rows:
                    break
        except csv.Error as error:
            raise InvalidInput(f"row {row_number}: {error}", code="unreadable_row") from error
        if not rows_read:
            return
        yield _csv_block(rows_read, names, decimal_comma=delimiter != ",")


def _chain(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _csv_block(rows: list[list[str]], names: list[str], *, decimal_comma: bool) -> Block:
    width = len(names)
    broken = {
        place: f"{len(row)} fields, the header has {width}"
        for place, row in enumerate(rows)
        if len(row) != width
    }
    for place in broken:
        rows[place] = [""] * width
    values = list(zip(*rows, strict=True))
    columns = {n: values[i] for i, n in enumerate(names) if n in FIELDS}
    if decimal_comma:
        for name in ("longitude", "latitude"):
            columns[name] = tuple(v.replace(",", ".") for v in columns[name])
    return Block(columns, len(rows), broken)


def _block_of(objects: list[Any]) -> Block:
    """A block of JSON values; those that are no objects are reported."""
    broken = {i: "not a JSON object" for i, o in enumerate(objects) if not isinstance(o, dict)}
    rows = [o if isinstance(o, dict) else {} for o in objects]
    return Block({n: [row.get(n) for row in rows] for n in FIELDS}, len(rows), broken)


def read_ndjson(chunks: Iterator[bytes], n_rows: int, limit_chars: int) -> Iterator[Block]:
    """Blocks of newline-delimited JSON; a line that is no JSON is one bad row."""
    objects: list[Any] = []
    for line in lines_of(text_of(chunks), MAX_JSON_ROW_CHARS):
        if not line.strip():
            continue
        try:
            objects.append(orjson.loads(line))
        except orjson.JSONDecodeError:
            objects.append(None)
        if len(objects) >= n_rows:
            yield _block_of(objects)
            objects = []
    if objects:
        yield _block_of(objects)


def _no_constant(name: str) -> Any:
    raise InvalidInput(f"{name} is not JSON", code="bad_json")


def _array_items(texts: Iterator[str], start: str) -> Iterator[Any]:
    """Items of the first JSON array after `start`, decoded one at a time from a growing buffer."""
    decoder = json.JSONDecoder(parse_constant=_no_constant)
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
            yield value
            position = end
        buffer = buffer[position:]
        _check_row_length(buffer)
    raise InvalidInput("the JSON array is not closed or not valid", code="bad_json")


def _check_row_length(buffer: str) -> None:
    if len(buffer) > MAX_JSON_ROW_CHARS:
        raise InvalidInput("a JSON value is too long or not valid", code="bad_json")


def _skip(buffer: str, position: int) -> int:
    while position < len(buffer) and buffer[position] in " \t\r\n,":
        position += 1
    return position


def read_json(chunks: Iterator[bytes], n_rows: int, limit_chars: int) -> Iterator[Block]:
    """Blocks of a JSON array of objects."""
    texts = text_of(chunks)
    head = next(texts, "")
    while not head.strip() and (more := next(texts, None)) is not None:
        head += more
    if not head.lstrip().startswith("["):
        raise InvalidInput("the body must be a JSON array of incidents", code="bad_json")
    yield from _batched(_array_items(_chain(head, texts), ""), n_rows, lambda item: item)


def read_geojson(chunks: Iterator[bytes], n_rows: int, limit_chars: int) -> Iterator[Block]:
    """Blocks of a GeoJSON FeatureCollection of points."""
    yield from _batched(_array_items(text_of(chunks), '"features"'), n_rows, _feature_row)


def _feature_row(feature: Any) -> Any:
    if not isinstance(feature, dict):
        return None
    geometry = feature.get("geometry") or {}
    coordinates = geometry.get("coordinates") if geometry.get("type") == "Point" else None
    if not isinstance(coordinates, list) or len(coordinates) < 2:
        return None
    row = dict(feature.get("properties") or {})
    row["longitude"], row["latitude"] = coordinates[0], coordinates[1]
    if feature.get("id") is not None:
        row.setdefault("external_id", str(feature["id"]))
    return row


def _batched(items: Iterator[Any], n_rows: int, row_of: Callable[[Any], Any]) -> Iterator[Block]:
    objects: list[Any] = []
    try:
        for item in items:
            objects.append(row_of(item))
            if len(objects) >= n_rows:
                yield _block_of(objects)
                objects = []
    except (RecursionError, ValueError) as error:
        raise InvalidInput(f"not valid JSON: {error}", code="bad_json") from error
    if objects:
        yield _block_of(objects)


def read_parquet(chunks: Iterator[bytes], n_rows: int, limit_chars: int) -> Iterator[Block]:
    """Blocks of a Parquet file; its footer stands at the end, so the file is held once."""
    buffer = io.BytesIO()
    for chunk in chunks:
        buffer.write(chunk)
    try:
        file = pq.ParquetFile(buffer)
        names = field_names(file.schema_arrow.names)
        for batch in file.iter_batches(batch_size=n_rows):
            columns: dict[str, Sequence[Any]] = {}
            for name, values in zip(names, batch.columns, strict=True):
                if name in FIELDS:
                    columns[name] = _plain(name, values)
            yield Block(columns, batch.num_rows, {})
    except pa.ArrowException as error:
        raise InvalidInput(f"not a readable Parquet file: {error}", code="damaged") from error


def _plain(name: str, values: pa.Array) -> Sequence[Any]:
    """Python values; timestamps become RFC 3339 text, local when they bear no zone."""
    if pa.types.is_timestamp(values.type):
        return [None if v is None else v.isoformat() for v in values.to_pylist()]
    result: list[Any] = values.to_pylist()
    return result


READERS: dict[str, Callable[[Iterator[bytes], int, int], Iterator[Block]]] = {
    "text/csv": read_csv,
    "text/tab-separated-values": read_csv,
    "application/json": read_json,
    "application/x-ndjson": read_ndjson,
    "application/geo+json": read_geojson,
    "application/vnd.apache.parquet": read_parquet,
}
SUFFIX_TYPES = {
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".txt": "text/csv",
    ".json": "application/json",
    ".ndjson": "application/x-ndjson",
    ".jsonl": "application/x-ndjson",
    ".geojson": "application/geo+json",
    ".parquet": "application/vnd.apache.parquet",
}
