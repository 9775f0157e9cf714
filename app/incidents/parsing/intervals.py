"""When incidents occurred: at an instant, or within an interval [start, end) of at most 31 days."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from app.geo.hour_of_week import local_offset_s
from app.incidents.parsing.instants import DAY_S, Instants, read_instants
from app.incidents.parsing.row_errors import RowErrors

AT, FROM, TO = "occurred_at", "occurred_from", "occurred_to"
MAX_DAYS = 31


@dataclass(frozen=True)
class Occurrences:
    """When the incidents of a block's rows occurred.

    Args:
        start_s: (n,) seconds since 1970.
        end_s: (n,) exclusive ends, equal to `start_s` for instants; None: all are instants.
        is_open: (n,) whether an interval's end is missing: it is an instant then.
    """

    start_s: NDArray[np.int64]
    end_s: NDArray[np.int64] | None = None
    is_open: NDArray[np.bool_] | None = None


def read_occurrences(
    columns: Mapping[str, Sequence[Any]],
    n_rows: int,
    *,
    timezone: str,
    now_s: int,
    errors: RowErrors,
    date_only: bool = False,
) -> Occurrences:
    """Read instants and intervals, and reject rows whose times contradict each other.

    Args:
        columns: of these, `occurred_at`, `occurred_from` and `occurred_to`.
        date_only: a date alone is its local day, from midnight to midnight.
    """
    reader = _Reader(columns, n_rows, timezone, now_s, errors, date_only)
    if not date_only and not {FROM, TO} & columns.keys():
        return Occurrences(reader.read(reader.texts(AT), AT).time_s)
    at, since, until = (reader.texts(name) for name in (AT, FROM, TO))
    has_at, has_since, has_until = (_is_given(raw) for raw in (at, since, until))
    errors.add(has_until & ~has_at & ~has_since, FROM, "missing", field=FROM)
    start = reader.read(at.where(has_at, since), AT if AT in columns else FROM)
    both = has_at & has_since
    if both.any():
        other = reader.read(since.where(both, None), FROM, is_required=False)
        errors.add(both & (other.time_s != start.time_s), FROM, "two_times", since)
    end = reader.read(until, TO, is_required=False)
    end_s = _ends(start, end, errors)
    errors.add(end_s < start.time_s, TO, "ends_before_start", until)
    errors.add(
        _is_long(start.time_s, end_s, timezone), TO, "interval_too_long", until, days=MAX_DAYS
    )
    is_open = ~has_until & ~start.is_day if TO in columns else np.zeros(n_rows, bool)
    if {AT, FROM} <= columns.keys():
        is_open &= ~has_at
    return Occurrences(start.time_s, end_s, is_open)


@dataclass(frozen=True)
class _Reader:
    """Reads the columns of a block's times."""

    columns: Mapping[str, Sequence[Any]]
    n_rows: int
    timezone: str
    now_s: int
    errors: RowErrors
    date_only: bool

    def texts(self, name: str) -> pd.Series[Any]:
        return pd.Series(self.columns.get(name, [None] * self.n_rows), dtype=object)

    def read(self, raw: pd.Series[Any], field: str, *, is_required: bool = True) -> Instants:
        return read_instants(
            raw,
            field,
            timezone=self.timezone,
            now_s=self.now_s,
            errors=self.errors,
            is_required=is_required,
            date_only=self.date_only,
        )


def _is_given(raw: pd.Series[Any]) -> NDArray[np.bool_]:
    return (raw.notna() & (raw != "")).to_numpy(bool)


def _ends(start: Instants, end: Instants, errors: RowErrors) -> NDArray[np.int64]:
    """Return the exclusive ends; a wall time that occurs twice is the pass that follows the start."""
    end_s = end.day_ends()
    early = ~end.missing & (end_s < start.time_s) & ~end.is_day & ~errors.bad
    if early.any():
        end_s = np.where(early, end.second_pass(early), end_s)
    found: NDArray[np.int64] = np.where(end.missing, start.day_ends(), end_s)
    return found


def _is_long(
    start_s: NDArray[np.int64], end_s: NDArray[np.int64], timezone: str
) -> NDArray[np.bool_]:
    """Return which intervals exceed the limit, by the clock on the wall too: 31 days may have 745 hours."""
    long: NDArray[np.bool_] = end_s - start_s > MAX_DAYS * DAY_S
    rows = np.flatnonzero(long)
    if len(rows):
        walls = [s[rows] + local_offset_s(s[rows], timezone) for s in (start_s, end_s)]
        long[rows] = walls[1] - walls[0] > MAX_DAYS * DAY_S
    return long
