"""The presence log: its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, func, select, tuple_
from sqlalchemy.dialects.postgresql import insert

from app.core.db.tables import presence

LONGEST = timedelta(hours=48)
"""No row lasts longer."""
BATCH_ROWS = 1_000


@dataclass(frozen=True)
class PresenceRow:
    """Somebody was somewhere: `shape` is WKB of polygons in degrees (WGS 84)."""

    started_at: datetime
    ended_at: datetime
    shape: bytes
    activity: str
    unit: str | None

    def digest(self) -> bytes:
        """Return the SHA-256 of the row's content."""
        times = f"{self.started_at.timestamp()}|{self.ended_at.timestamp()}"
        texts = (
            f"{len(self.activity)}|{self.activity}|{'' if self.unit is None else '+' + self.unit}"
        )
        return sha256(f"{times}|{texts}|".encode() + self.shape).digest()


@dataclass(frozen=True)
class PresenceQuery:
    """Which rows: those that overlap [start, end), of a unit, or one by its id.

    `after` is the (time, id) of the last row on the page before.
    """

    start: datetime | None = None
    end: datetime | None = None
    unit: str | None = None
    id: int | None = None
    after: tuple[datetime, int] | None = None

    def conditions(self, region_key: int) -> list[ColumnElement[bool]]:
        """Return the conditions of the rows of a region."""
        c = presence.c
        found: list[ColumnElement[bool]] = [c.region_key == region_key]
        if self.start is not None:
            earliest = self.start - LONGEST if self.start.year > 1 else self.start
            found += [c.ended_at > self.start, c.started_at > earliest]
        if self.end is not None:
            found.append(c.started_at < self.end)
        if self.unit is not None:
            found.append(c.unit == self.unit)
        if self.id is not None:
            found.append(c.id == self.id)
        if self.after is not None:
            found.append(tuple_(c.started_at, c.id) > tuple_(*self.after))
        return found


def add_rows(connection: Connection, region_key: int, rows: Sequence[PresenceRow]) -> int:
    """Store rows; return how many were not stored before."""
    added = 0
    for start in range(0, len(rows), BATCH_ROWS):
        batch = rows[start : start + BATCH_ROWS]
        values = [{"region_key": region_key, **vars(row), "digest": row.digest()} for row in batch]
        statement = insert(presence).on_conflict_do_nothing(index_elements=["region_key", "digest"])
        added += len(connection.execute(statement.returning(presence.c.id), values).all())
    return added


def count_rows(connection: Connection, region_key: int) -> int:
    """Count a region's rows."""
    query = select(func.count()).select_from(presence).where(presence.c.region_key == region_key)
    return int(connection.scalar(query) or 0)


def page(
    connection: Connection, region_key: int, query: PresenceQuery, limit: int | None = None
) -> list[Row[Any]]:
    """Return rows in order of time and id."""
    c = presence.c
    statement = select(c.id, c.started_at, c.ended_at, c.shape, c.activity, c.unit)
    statement = statement.where(*query.conditions(region_key)).order_by(c.started_at, c.id)
    return list(connection.execute(statement.limit(limit)))


def erase_rows(connection: Connection, region_key: int, query: PresenceQuery) -> int:
    """Delete rows for good; return how many."""
    return connection.execute(delete(presence).where(*query.conditions(region_key))).rowcount


def drop_ended(connection: Connection, region_key: int, before: datetime) -> int:
    """Delete a region's rows that ended before an instant; return how many."""
    c = presence.c
    dropped = delete(presence).where(c.region_key == region_key, c.ended_at < before)
    return connection.execute(dropped).rowcount
