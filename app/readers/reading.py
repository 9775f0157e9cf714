"""How a file was read: what each upload's answer says under `read`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from app.core.messages import Message, MessageTable
from app.core.texts import cut, shortened

MAX_LISTED = 50
MAX_READINGS = 20
MAX_NAME_CHARS = 100
FEATURE_ID = "feature.id"
"""Name of the column that holds the ids of GeoJSON features."""
ASSUMPTIONS = MessageTable(
    {
        "ids_unique": "{column} differs in every row, so it was taken for the incidents' ids; if "
        "it is not, send columns=external_id=",
        "ids_repeat": "{column} repeats in rows that differ, so it was stored as reference; if it "
        "is an id, of which the last row counts, send columns=external_id={column}",
        "ids_repeated_before": "{column} was stored as reference, as in an earlier file of this "
        "feed where it repeated; if it is an id, send columns=external_id={column}",
        "ids_rounded": "{column} has numbers in scientific notation, whose last digits are lost, so "
        "it was stored as reference",
        "ids_decimal": "{column} has decimal numbers such as 12.0, so it was stored as reference; "
        "if it is an id, send columns=external_id={column}",
        "row_numbers": "{column} numbers the rows from {first} to {last}, so it was not stored; if "
        "it is an id, send columns=external_id={column}",
        "feature_ids": "ids of GeoJSON features were not used, since programs number them anew in "
        "every file; if they are ids, send columns=external_id=feature.id",
        "no_kind": "no column says the kind of incident: all are unspecified; name one by "
        "columns=category=COLUMN",
        "interval_read": "incidents occurred between the start of their time and {column}; if that is not "
        "the end of the interval, or the start alone counts, send columns=occurred_to=",
        "not_utf8": "the text is not UTF-8; it was read as Windows-1252; if that is wrong, give encoding=",
        "pair_order": "pairs of numbers in {column} were read as {order}; if that is wrong, map the "
        "column as columns={other}={column}",
        "source_not_ours": "column {column} says neither reported nor discovered (such as {sample}): it "
        "was not taken as the source",
        "geometry_taken": "columns of coordinates differ from the points of the geometry ({n} rows of "
        "the first block): the geometry was taken",
        "esri_utc": "dates of Esri JSON are instants of UTC",
        "array_taken": "the rows are those of {name}",
        "sheets_joined": "{n} sheets have the same columns and were all read: {names}",
        "layers_joined": "{n} layers have the same columns and were all read: {names}",
        "day_first": "dates such as {value} have the day first: no other order fits all rows",
        "month_first": "dates such as {value} have the month first: no other order fits all rows",
        "clock_hours": "numbers of column {column}, such as {value}, are hours",
        "clock_hhmm": "numbers of column {column}, such as {value}, are hours and minutes (HHMM)",
        "clock_hhmmss": "numbers of column {column}, such as {value}, are hours, minutes and seconds",
        "clock_fraction": "numbers of column {column}, such as {value}, are a spreadsheet's fractions "
        "of a day",
        "serial_times": "times such as {value} are a spreadsheet's days since 1899-12-30",
        "serial_dates": "dates such as {value} are a spreadsheet's days since 1899-12-30",
        "written_days": "dates of column {column}, such as {value}, mean the day as written: all are "
        "midnights, in UTC by the file and beside a local clock; say zone=UTC if not",
        "local_days": "dates of column {column}, such as {value}, mean the region's local day",
        "midnights": "all times are midnights, such as {value}: each is taken for its day without a time",
        "wall_times": "times of a GeoPackage without a zone are the region's local times; say zone=UTC "
        "if they are UTC",
        "states_utc": "the file calls its times UTC, as many programs write for local times; say "
        "zone=local if they are local",
    }
)
"""What a reader assumed because the file does not say it."""


class Assumed:
    """Collects what is assumed of a table, each kind of assumption once."""

    def __init__(self) -> None:
        self.messages: dict[str, Message] = {}

    def add(self, code: str, **params: object) -> None:
        """Add a message of `ASSUMPTIONS` with its values shortened."""
        if code not in self.messages:
            shown = {name: shortened(str(value), 40) for name, value in params.items()}
            self.messages[code] = ASSUMPTIONS.make(code, **shown)


@dataclass(frozen=True)
class LeftAside:
    """A part of a file that was not read.

    Args:
        kind: `column`, `sheet`, `layer`, `file` or `rows`.
        reason: what it holds instead (`personal`, `end_time`, `other_time`, `count`, `other_kind`,
            `other_place`, `other_meaning`; `title`; `hidden`, `other_columns`, `no_incidents`,
            `not_asked`), or empty if unknown.
    """

    kind: str
    name: str
    reason: str = ""


@dataclass(frozen=True)
class Reading:
    """What one table of a file was taken as.

    Args:
        file: member of an archive.
        header_row: position of the row with the column names, from 1.
        columns: {field or part: column of the file}.
        preset: the known portal whose columns these are.
        time_format: `strptime` format of the times, None for RFC 3339.
        zone: zone of times without an offset; None: the region's.
        crs: of projected coordinates.
    """

    format: str = ""
    file: str | None = None
    sheet: str | None = None
    layer: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    header_row: int | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    preset: str | None = None
    time_format: str | None = None
    zone: str | None = None
    crs: str | None = None
    not_read: Sequence[LeftAside] = ()
    assumptions: Sequence[Message] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the form that is sent, with long lists and names cut."""
        found = asdict(self)
        found["columns"] = {
            name: cut(column, MAX_NAME_CHARS) for name, column in self.columns.items()
        }
        found["not_read"] = [
            {**asdict(part), "name": cut(part.name, MAX_NAME_CHARS)}
            for part in self.not_read[:MAX_LISTED]
        ]
        found["assumptions"] = [one.to_json() for one in self.assumptions[:MAX_LISTED]]
        return found

    @classmethod
    def from_json(cls, sent: Mapping[str, Any]) -> Reading:
        """Read the sent form, of the isolated reader or of storage."""
        return cls(
            **{
                **sent,
                "not_read": tuple(LeftAside(**part) for part in sent["not_read"]),
                "assumptions": tuple(Message.from_json(one) for one in sent["assumptions"]),
            }
        )

    def with_more(self, other: Reading) -> Reading:
        """Return this reading with what another block of its table adds."""
        return replace(
            self,
            encoding=other.encoding,
            columns={**self.columns, **other.columns},
            not_read=tuple(dict.fromkeys((*self.not_read, *other.not_read))),
            assumptions=tuple(
                {a.code: a for a in (*other.assumptions, *self.assumptions)}.values()
            ),
        )


class Readings:
    """The readings of an upload's tables, in order."""

    def __init__(self) -> None:
        self.tables: dict[tuple[str | None, ...], Reading] = {}

    def add(self, reading: Reading) -> None:
        """Add a block's reading; blocks of one table share one."""
        table = (reading.file, reading.sheet, reading.layer)
        before = self.tables.get(table)
        if before is None and len(self.tables) < MAX_READINGS:
            self.tables[table] = reading
        elif before is not None and before != reading:
            self.tables[table] = before.with_more(reading)

    def left_aside(self, reason: str) -> list[str]:
        """Return the names of what was left aside for a reason."""
        found = (part for one in self.tables.values() for part in one.not_read)
        return list(dict.fromkeys(part.name for part in found if part.reason == reason))

    def to_json(self) -> dict[str, Any] | None:
        """Return how the file was read; the tables after the first are `further` ones."""
        if not self.tables:
            return None
        first, *others = [reading.to_json() for reading in self.tables.values()]
        return {**first, "further": others}
