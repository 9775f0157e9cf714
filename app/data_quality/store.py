"""Counts for the data report, computed by PostgreSQL in a few passes.

Results are bounded by days, minutes of the week and a sample of places, not by the number of incidents.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, bindparam, text
from sqlalchemy.exc import DataError
from sqlalchemy.sql.elements import TextClause

from app.core.db.engine import long_statements
from app.core.errors import InvalidInput
from app.core.texts import shortened
from app.geo.hour_of_week import N_WINDOWS
from app.geo.time_heaping import MINUTES_OF_DAY

_DAYS = """
    SELECT upload_id, (occurred_at AT TIME ZONE :timezone)::date AS day, count(*) AS n
    FROM incidents
    WHERE region_key = :region AND (CAST(:upload AS bigint) IS NULL OR upload_id = :upload)
    GROUP BY upload_id, day ORDER BY upload_id, day
"""
_CLOCK = """
    SELECT "window", extract(minute FROM occurred_at AT TIME ZONE :timezone)::int AS minute,
           (extract(epoch FROM occurred_at)::bigint / 60 % 1440)::int AS utc_minute,
           count(*) AS n, count(*) FILTER (WHERE occurred_to IS NULL) AS instants,
           count(*) FILTER (WHERE occurrence > 1) AS repeated
    FROM incidents
    WHERE region_key = :region AND (CAST(:upload AS bigint) IS NULL OR upload_id = :upload)
    GROUP BY "window", minute, utc_minute
"""
_LAGS = """
    SELECT percentile_cont(ARRAY[0.5, 0.9, 0.99]) WITHIN GROUP
           (ORDER BY extract(epoch FROM inserted_at - occurred_at) / 3600.0)
    FROM incidents
    WHERE region_key = :region AND (CAST(:upload AS bigint) IS NULL OR upload_id = :upload)
    AND upload_id = ANY(:feeds)
"""
_SPAN = """
    SELECT count(*) AS n, min(occurred_at) AS first, max(occurred_at) AS last
    FROM incidents
    WHERE region_key = :region AND (CAST(:upload AS bigint) IS NULL OR upload_id = :upload)
"""
_KINDS = """
    SELECT c.name, k.week, k.n, k.first, k.last
    FROM (
        SELECT category_key, (day - DATE '1970-01-01') / 7 AS week, count(*) AS n,
               min(day) AS first, max(day) AS last
        FROM (
            SELECT category_key, (occurred_at AT TIME ZONE :timezone)::date AS day
            FROM incidents
            WHERE region_key = :region AND (CAST(:upload AS bigint) IS NULL OR upload_id = :upload)
        ) AS dated
        GROUP BY category_key, week
    ) AS k
    JOIN categories AS c ON c.key = k.category_key ORDER BY c.name, k.week
"""


@dataclass(frozen=True)
class Scope:
    """Which incidents: a region's, or those that one of its uploads brought or last corrected."""

    region_key: int
    timezone: str
    upload_id: int | None = None

    def query(self, query: str) -> TextClause:
        """Bind the query's parameters to these incidents."""
        statement = text(query)
        values = {"region": self.region_key, "upload": self.upload_id, "timezone": self.timezone}
        known = {name: values[name] for name in values if f":{name}" in query}
        return statement.bindparams(**known)


@dataclass(frozen=True)
class DayCounts:
    """Incidents of each upload on each local day; arrays (n,) sorted by upload and day."""

    upload_id: NDArray[np.int64]
    day: NDArray[np.int64]
    """Days since 1970-01-01."""
    n_incidents: NDArray[np.int64]


@dataclass(frozen=True)
class KindWeek:
    """Incidents of a category in a week (since 1970-01-01), and the first and last day of these."""

    name: str
    week: int
    n_incidents: int
    first: date
    last: date


@dataclass(frozen=True)
class ClockCounts:
    """Incidents by time.

    Args:
        by_window: (168, 60) by window and local minute; of intervals that of their start.
        instants: (1440,) those with one time, by minute of the local day.
        by_utc_minute: (1440,) the same, by minute of the UTC day.
        repeated: those that repeat another of their file.
    """

    by_window: NDArray[np.int64]
    instants: NDArray[np.int64]
    by_utc_minute: NDArray[np.int64]
    repeated: int


def totals(connection: Connection, scope: Scope) -> tuple[int, Any, Any]:
    """Return the number of incidents, and the first and last instant."""
    row = connection.execute(scope.query(_SPAN)).one()
    return int(row.n), row.first, row.last


def kind_weeks(connection: Connection, scope: Scope) -> list[KindWeek]:
    """Count incidents by category and week, in the order of both."""
    rows = connection.execute(scope.query(_KINDS))
    return [KindWeek(r.name, int(r.week), int(r.n), r.first, r.last) for r in rows]


def day_counts(connection: Connection, scope: Scope) -> DayCounts:
    """Count incidents by upload and local day.

    Raises:
        InvalidInput: the server knows no such time zone.
    """
    long_statements(connection)
    try:
        rows = connection.execute(scope.query(_DAYS)).all()
    except DataError as error:
        raise InvalidInput(
            f"the database server does not know the time zone {shortened(scope.timezone)}",
            field="timezone",
        ) from error
    epoch = date(1970, 1, 1).toordinal()
    return DayCounts(
        np.array([row.upload_id for row in rows], np.int64),
        np.array([row.day.toordinal() - epoch for row in rows], np.int64),
        np.array([row.n for row in rows], np.int64),
    )


def clock_counts(connection: Connection, scope: Scope) -> ClockCounts:
    """Count incidents by window, minute, and minute of the UTC day."""
    by_window = np.zeros((N_WINDOWS, 60), np.int64)
    instants, by_utc_minute = np.zeros((2, MINUTES_OF_DAY), np.int64)
    repeated = 0
    for row in connection.execute(scope.query(_CLOCK)):
        by_window[row.window, row.minute] += row.n
        instants[row.window % 24 * 60 + row.minute] += row.instants
        by_utc_minute[row.utc_minute] += row.instants
        repeated += row.repeated
    return ClockCounts(by_window, instants, by_utc_minute, repeated)


def lag_hours(connection: Connection, scope: Scope, feeds: Sequence[int]) -> list[float] | None:
    """Return the 50, 90 and 99 % quantiles of the hours from incident to arrival by these uploads."""
    if not feeds:
        return None
    statement = scope.query(_LAGS).bindparams(bindparam("feeds", list(feeds)))
    found = connection.execute(statement).scalar_one()
    return None if found is None else [float(hours) for hours in found]
