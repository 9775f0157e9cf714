"""The times of one upload: a reader for each table, and what the times of day suggest."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.messages import Message
from app.geo.hour_of_week import local_offset_s
from app.incidents.parsing.clock_counts import ClockCounts
from app.incidents.parsing.row_errors import RowErrors
from app.readers.blocks import Block
from app.readers.columns.fields import END_PARTS, TIME_PARTS, TIMES
from app.readers.columns.plan import ColumnPlan
from app.readers.reading import Reading
from app.readers.times.raw_columns import contract_columns
from app.readers.times.refused import TimeColumn
from app.readers.times.time_reader import TimeReader

MAX_TABLES = 20
WARNED = ("states_utc",)
"""Assumptions that are warnings too: they change every hour if they are wrong."""
NO_END = frozenset(
    ("", "(null)", "null", "none", "nan", "nat", "n/a", "na", "nd", "s/d", "-", "unknown", "unk")
)
"""What publishers write where an interval's end is unknown."""
DATE_ALONE = re.compile(r"\d{1,4}([-/.])\d{1,2}\1\d{1,4}")
Raw = Mapping[str, Sequence[Any]]


class UploadTimes:
    """Reads the times of an upload's tables; tables with the same columns of times share their readers.

    Args:
        timezone: the region's.
        date_only: whether a date without a time is an interval.
    """

    def __init__(self, timezone: str, *, date_only: bool = False) -> None:
        self.timezone = timezone
        self.date_only = date_only
        self.tables: dict[Any, TableTimes] = {}
        self.counts = ClockCounts()

    def columns(self, block: Block, errors: RowErrors) -> dict[str, Sequence[Any]]:
        """Return the contract's columns; rows whose times cannot be read are added to the errors."""
        columns = contract_columns(block.columns, block.plan)
        for field, times in self._table(block).read(block.columns).items():
            columns[field] = times.values
            errors.add_times(times.refused, field)
        return columns

    def zone(self, block: Block) -> str:
        """Return the zone of a block's times without an offset."""
        given = block.plan.reading.zone
        return self.timezone if given in (None, "local") else str(given)

    def note(self, time_s: NDArray[np.int64]) -> None:
        """Count accepted instants by their time of day."""
        self.counts.note(time_s, local_offset_s(time_s, self.timezone))

    def check(self) -> None:
        """Raise if a table's times are wrong as a whole.

        Raises:
            Conflict: `half_converted_dates`.
        """
        for table in self.tables.values():
            for reader in table.readers.values():
                reader.halves.check()

    def described(self, readings: Sequence[Reading]) -> list[Reading]:
        """Add to the readings what was assumed of their times."""
        found = []
        for reading in readings:
            table = self.tables.get(_key(reading))
            assumed = () if table is None else tuple(table.start.assumed.messages.values())
            found.append(replace(reading, assumptions=(*reading.assumptions, *assumed)))
        return found

    def warnings(self, readings: Sequence[Reading]) -> Iterator[Message]:
        """Yield what the sender should know of the times."""
        for reading in readings:
            yield from (one for one in reading.assumptions if one.code in WARNED)
        states_utc = [table.states_utc for table in self.tables.values()]
        yield from self.counts.warnings(states_utc=bool(states_utc) and all(states_utc))

    def _table(self, block: Block) -> TableTimes:
        key = _key(block.plan.reading)
        found = self.tables.get(key)
        if found is None:
            found = TableTimes(block.plan, self.timezone, date_only=self.date_only)
        if len(self.tables) < MAX_TABLES:
            self.tables[key] = found
        return found


class TableTimes:
    """The readers of a table's times, by field; the order of day and month is that of all of them."""

    def __init__(self, plan: ColumnPlan, timezone: str, *, date_only: bool) -> None:
        columns = plan.reading.columns
        self.date_only = date_only
        self.start = TimeReader(plan, timezone, date_only=date_only)
        self.readers = {"occurred_at": self.start}
        for field in TIMES[1:]:
            self.readers[field] = TimeReader(
                plan,
                timezone,
                beside=self.start,
                columns=_parts(field, columns),
                date_only=date_only,
            )

    @property
    def states_utc(self) -> bool:
        """Whether the file calls the starts UTC, and the sender does not say the zone."""
        said = [self.readers[field].states_utc for field in TIMES[:2]]
        return self.start.zone is None and next((one for one in said if one is not None), False)

    def read(self, columns: Raw) -> dict[str, TimeColumn]:
        """Return the times of a block by field, of those that it has.

        Raises:
            InvalidInput, Conflict: rows of this block contradict what earlier ones proved.
        """
        order = self.start.order
        found: dict[str, TimeColumn] = {}
        was_open: list[str] = []
        for field, reader in self.readers.items():
            read = reader.read(self._parts(field, columns))
            if read is not None:
                found[field] = read
                was_open += [field] if order.order is None else []
        # What a later column proves holds for the earlier ones.
        for field in was_open if order.order is not None else ():
            again = self.readers[field].read(self._parts(field, columns))
            found |= {} if again is None else {field: again}
        return found

    def _parts(self, field: str, columns: Raw) -> dict[str, Any]:
        parts = _parts(field, columns)
        if field == "occurred_to" and not self.date_only:
            return _without_start_days(parts, columns)
        return parts


def _parts(field: str, columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of a field's time under the names that a reader of times knows."""
    if field == "occurred_at":
        return {n: values for n, values in columns.items() if n in ("occurred_at", *TIME_PARTS)}
    if field == "occurred_from":
        return {"occurred_at": columns[field]} if field in columns else {}
    parts = {n.removeprefix("end_"): columns[n] for n in END_PARTS if n in columns}
    if field in columns:
        parts = {"occurred_at": columns[field]}
    if not all(isinstance(v, str) for v in parts.values()):
        parts = {name: _ends(values) for name, values in parts.items()}
        for clock in {"time", "hour"} & parts.keys():
            days = parts["date"]
            parts[clock] = [t if d else None for d, t in zip(days, parts[clock], strict=True)]
    return parts


def _without_start_days(parts: dict[str, Any], columns: Raw) -> dict[str, Any]:
    """Return an end's columns, empty where they show only the day of the start: no end is known there."""
    day = "date" if "date" in parts else "occurred_at"
    names = ("date", "occurred_at", "occurred_from")
    starts = next((columns[name] for name in names if name in columns), None)
    if starts is None or day not in parts:
        return parts
    clocks = next((parts[name] for name in ("time", "hour") if name in parts), None)
    lone = [None] * len(starts) if clocks is None else clocks
    days = [
        None if clock is None and _is_day_of(start, end, is_split=day == "date") else end
        for end, start, clock in zip(parts[day], starts, lone, strict=True)
    ]
    return {**parts, day: days}


def _is_day_of(start: Any, end: Any, *, is_split: bool) -> bool:
    """Return whether an end shows the day of the start and no time."""
    if isinstance(end, str) and isinstance(start, str):
        shown, whole = end.strip(), start.strip()
        is_date = is_split or (shown != whole and DATE_ALONE.fullmatch(shown) is not None)
        return is_date and whole.startswith(shown)
    return is_split and end is not None and type(end) is type(start) and end == start


def _ends(values: Sequence[Any]) -> list[Any]:
    """Return values with None where they say that there is no end."""
    return [None if isinstance(v, str) and v.strip().casefold() in NO_END else v for v in values]


def _key(reading: Reading) -> tuple[Any, ...]:
    names = (*TIMES, *TIME_PARTS, *END_PARTS)
    return (*(reading.columns.get(name) for name in names), reading.time_format, reading.preset)
