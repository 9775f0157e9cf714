"""Blank the names of erased categories in texts for people."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select, text, update

from app.runs.kinds import KINDS

GONE = "(erased)"
_TEXTS = (
    ("training_runs", "message"),
    ("backtests", "message"),
    ("sync_runs", "message"),
    ("sync_sources", "last_error"),
    ("schedules", "failure"),
    ("alarms", "message"),
    ("promotions", "reason"),
)
"""Texts for people, in which names are quoted."""


def blank_names(connection: Connection, region_key: int, names: Sequence[str]) -> None:
    """Blank names in texts and in what runs say by code, all in one pass: there may be thousands."""
    quoted = re.compile("|".join(re.escape(repr(name)) for name in names))
    _blank_texts(connection, region_key, quoted)
    _blank_said(connection, region_key, quoted, frozenset(names))


def _blank_texts(connection: Connection, region_key: int, quoted: re.Pattern[str]) -> None:
    for table, column in _TEXTS:
        of_region = f"FROM {table} WHERE region_key = :region AND {column} ~ '[''\"]'"
        change = text(
            f"UPDATE {table} SET {column} = :after WHERE region_key = :region AND {column} = :before"  # noqa: S608
        )
        for before in connection.scalars(
            text(f"SELECT DISTINCT {column} {of_region}"), {"region": region_key}
        ).all():
            after = quoted.sub(GONE, before)
            if after != before:
                values = {"region": region_key, "before": before, "after": after}
                connection.execute(change, values)


def _blank_said(
    connection: Connection, region_key: int, quoted: re.Pattern[str], names: frozenset[str]
) -> None:
    for table in (kind.table for kind in KINDS.values()):
        mine = table.c.region_key == region_key, table.c.said.is_not(None)
        for before in connection.scalars(select(table.c.said).where(*mine).distinct()).all():
            after = _blanked(before, quoted, names)
            if after != before:
                same = table.c.said == before
                connection.execute(update(table).where(*mine, same).values(said=after))


def _blanked(value: Any, quoted: re.Pattern[str], names: frozenset[str]) -> Any:
    """Blank names at any depth of JSON."""
    if isinstance(value, str):
        return GONE if value in names else quoted.sub(GONE, value)
    if isinstance(value, list):
        return [_blanked(one, quoted, names) for one in value]
    if isinstance(value, dict):
        return {
            GONE if key in names else key: _blanked(one, quoted, names)
            for key, one in value.items()
        }
    return value
