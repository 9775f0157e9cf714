"""The times of one upload: a reader for each table, and what the times of day suggest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.messages import Message
from app.geo.hour_of_week import local_offset_s
from app.incidents.parsing.clock_counts import ClockCounts
from app.incidents.parsing.row_errors import RowErrors
from app.readers.blocks import Block
from app.readers.columns.plan import TIME_PARTS
from app.readers.reading import Reading
from app.readers.times.raw_columns import contract_columns
from app.readers.times.time_reader import TimeReader

MAX_TABLES = 20
WARNED = ("states_utc",)
"""Assumptions that are warnings too: they change every hour if they are wrong."""


class UploadTimes:
    """Reads the times of an upload's tables; tables with the same columns of times share one reader.

    Args:
        timezone: the region's.
    """

    def __init__(self, timezone: str) -> None:
        self.timezone = timezone
        self.readers: dict[Any, TimeReader] = {}
        self.counts = ClockCounts()

    def columns(self, block: Block, errors: RowErrors) -> dict[str, Sequence[Any]]:
        """Return the contract's columns; rows whose times cannot be read are added to the errors."""
        columns = contract_columns(block.columns, block.plan)
        times = self._reader(block).read(block.columns)
        if times is not None:
            columns["occurred_at"] = times.values
            errors.add_times(times.refused)
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
        for reader in self.readers.values():
            reader.halves.check()

    def described(self, readings: Sequence[Reading]) -> list[Reading]:
        """Add to the readings what was assumed of their times."""
        found = []
        for reading in readings:
            reader = self.readers.get(_key(reading))
            assumed = () if reader is None else tuple(reader.assumed.messages.values())
            found.append(replace(reading, assumptions=(*reading.assumptions, *assumed)))
        return found

    def warnings(self, readings: Sequence[Reading]) -> Iterator[Message]:
        """Yield what the sender should know of the times."""
        for reading in readings:
            yield from (one for one in reading.assumptions if one.code in WARNED)
        states_utc = [reader.states_utc and reader.zone is None for reader in self.readers.values()]
        yield from self.counts.warnings(states_utc=bool(states_utc) and all(states_utc))

    def _reader(self, block: Block) -> TimeReader:
        key = _key(block.plan.reading)
        found = self.readers.get(key) or TimeReader(block.plan, self.timezone)
        if len(self.readers) < MAX_TABLES:
            self.readers[key] = found
        return found


def _key(reading: Reading) -> tuple[Any, ...]:
    names = ("occurred_at", *TIME_PARTS)
    return (*(reading.columns.get(name) for name in names), reading.time_format, reading.preset)
