"""Read JSON item by item: arrays of rows, rows within an object, GeoJSON, Esri JSON, one row a line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import orjson

from app.core.errors import InvalidInput
from app.readers.blocks import MAX_ROW_CHARS, Block, Blocks, ReadOptions, counted
from app.readers.columns.fields import LOCATIONS
from app.readers.columns.locations import text_of_place
from app.readers.columns.mapping import ColumnMapping
from app.readers.columns.plan import ColumnPlan, plan_columns
from app.readers.files.decoding import Text, lines_of
from app.readers.files.features import PLACES, Features, Placeless, is_feature
from app.readers.files.json_arrays import ArrayItems, array_of
from app.readers.files.tables import Table
from app.readers.limits import (
    BLOCK_CHARS,
    TOO_MANY_VALUES,
    Refused,
    bounded_row,
    check_columns,
    has_too_many_values,
)
from app.readers.reading import ASSUMPTIONS

Items = Iterable[tuple[Any, int]]
"""Rows with their number of characters."""


@dataclass
class _Rows:
    """Makes blocks of JSON rows.

    Args:
        features: how rows of GeoJSON and Esri JSON are read; None: plain rows.
    """

    text: Text
    table: Table
    features: Features | None = None
    nested: list[str] = field(default_factory=list)
    names_place: bool = False

    def __post_init__(self) -> None:
        wanted = self.table.options.mapping.columns.values()
        parts = (part.strip() for column in wanted for part in column.split("+"))
        self.nested = [part for part in parts if "." in part]
        self.names_place = bool(PLACES & self.table.options.mapping.columns.keys())

    def blocks(self, items: Items) -> Blocks:
        """Yield blocks of rows.

        Raises:
            InvalidInput: not valid JSON.
        """
        options = self.table.options
        objects: list[Any] = []
        n_chars = 0
        try:
            for item, size in items:
                row = self.row(item, size)
                objects.append(row)
                n_chars += size
                if len(objects) >= options.n_rows or n_chars >= BLOCK_CHARS:
                    yield self.block(objects)
                    objects, n_chars = [], 0
        except (RecursionError, ValueError) as error:
            raise InvalidInput(f"not valid JSON: {error}", code="bad_json") from error
        if objects:
            yield self.block(objects)

    def row(self, item: Any, size: int) -> Any:
        """Return an item as a row: its nested values that a mapping names, within the limits."""
        if isinstance(item, dict) and self.nested:
            item = {**item, **_nested_values(item, self.nested)}
        row = item
        if self.features is not None or is_feature(item):
            self.features = self.features or Features()
            row = self.features.row(item, needs_place=not self.names_place)
        limit = self.table.options.limit_chars
        if size <= limit:
            return row
        if isinstance(row, Placeless):
            return replace(row, row=bounded_row(row.row, limit))
        return bounded_row(row, limit) if isinstance(row, dict) else row

    def block(self, objects: list[Any]) -> Block:
        """Build a block; items that are not objects are reported."""
        broken = {
            i: o.reason if isinstance(o, Refused) else "not a JSON object"
            for i, o in enumerate(objects)
            if not isinstance(o, dict | Placeless)
        }
        no_place = {i: o.why for i, o in enumerate(objects) if isinstance(o, Placeless)}
        rows = [
            o.row if i in no_place else o if i not in broken else {} for i, o in enumerate(objects)
        ]
        header = list(dict.fromkeys(key for row in rows for key in row))
        check_columns(header)
        plan = self.plan(header)
        columns = {name: [row.get(column) for row in rows] for name, column in plan.names.items()}
        for name in LOCATIONS:
            if name in columns:
                columns[name] = [text_of_place(value) for value in columns[name]]
        for message in self.text.assumptions:
            self.table.assume(message)
        return self.table.block(plan, columns, len(rows), broken, no_place)

    def plan(self, header: list[str]) -> ColumnPlan:
        """Plan the columns; points of features replace missing coordinates."""
        mapping = self.table.options.mapping if header else ColumnMapping()
        if self.features is None:
            return plan_columns(header, mapping)
        for message in self.features.assumptions():
            self.table.assume(message)
        plan = plan_columns(header, self.features.mapping(mapping, header))
        crs = self.features.crs if mapping.crs is None else mapping.crs
        return (
            plan if crs is None else replace(plan, crs=crs, reading=replace(plan.reading, crs=crs))
        )


def _nested_values(row: Mapping[str, Any], paths: Iterable[str]) -> dict[str, Any]:
    """Return {`a.b`: value} of the paths that lead to a value of the row."""
    found: dict[str, Any] = {}
    for path in paths:
        value: Any = row
        for part in path.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is not None and path not in row:
            found[path] = value
    return found


def read_ndjson(chunks: Iterator[bytes], options: ReadOptions) -> Blocks:
    """Yield blocks of newline-delimited JSON; an invalid line is one bad row."""
    text = Text(chunks, options.mapping.encoding)
    lines = counted(lines_of(text.parts(), MAX_ROW_CHARS), options)
    table = Table(options, {"format": "ndjson", "encoding": text.encoding})
    yield from _Rows(text, table).blocks(_ndjson_items(lines))


def _ndjson_items(lines: Iterator[str]) -> Iterator[tuple[Any, int]]:
    for line in lines:
        if has_too_many_values(line):
            yield Refused(TOO_MANY_VALUES), len(line)
        elif line.strip():
            try:
                yield orjson.loads(line), len(line)
            except orjson.JSONDecodeError:
                yield None, len(line)


def read_json(chunks: Iterator[bytes], options: ReadOptions) -> Blocks:
    """Yield blocks of a JSON array of objects, or of the array within an object."""
    yield from _array_blocks(chunks, options, "json")


def read_geojson(chunks: Iterator[bytes], options: ReadOptions) -> Blocks:
    """Yield blocks of a GeoJSON FeatureCollection of points."""
    yield from _array_blocks(chunks, options, "geojson")


def _array_blocks(chunks: Iterator[bytes], options: ReadOptions, kind: str) -> Blocks:
    text = Text(chunks, options.mapping.encoding)
    texts = text.parts()
    head = next(texts, "")
    while not head.strip() and (more := next(texts, None)) is not None:
        head += more
    table = Table(options, {"format": kind, "encoding": text.encoding})
    rows = _Rows(text, table)
    found = array_of(head, texts, options.mapping)
    if found.name:
        if found.is_features:
            rows.features = Features.of_head(found.head, has_crs=options.mapping.crs is not None)
            table.about = {**table.about, "format": rows.features.format}
        else:
            table.assume(ASSUMPTIONS.make("array_taken", name=found.name))
    items = ArrayItems(chain((found.rest,), texts))
    yield from rows.blocks(items)
    if rows.features is not None:
        rows.features.check_tail(items.tail(), has_crs=options.mapping.crs is not None)
