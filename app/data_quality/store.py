"""Counts for the data report, computed by PostgreSQL in a few passes.

Results are bounded by days, minutes of the week and a sample of places, not by the number of incidents.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
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

MAX_PLACES = 200_000
FULLEST_PLACES = 300
BLOCK_M = 2_000
_DAYS = """
    SELECT upload_id, (occurred_at AT TIME ZONE :timezone)::date AS day, count(*) AS n
    FROM incidents
    WHERE region_key = :region AND (CAST(:upload AS bigint) IS NULL OR upload_id = :upload)
    GROUP BY upload_id, day ORDER BY upload_id, day
"""
_CLOCK = """
    SELECT "window", extract(minute FROM occurred_at AT TIME ZONE :timezone)::int AS minute,
           count(*) AS n, count(*) FILTER (WHERE occurrence > 1) AS repeated
    FROM incidents
    WHERE region_key = :region AND (CAST(:upload AS bigint) IS NULL OR upload_id = :upload)
    GROUP BY "window", minute
"""
_PLACES = """
    CREATE TEMP TABLE report_places ON COMMIT DROP AS
    SELECT round(x_m)::int AS x_m, round(y_m)::int AS y_m, count(*) AS n,
           min(longitude) AS longitude, min(latitude) AS latitude
    FROM incidents
    WHERE region_key = :region AND (CAST(:upload AS bigint) IS NULL OR upload_id = :upload)
    GROUP BY 1, 2
"""
_PLACE_TOTALS = """
    SELECT count(*) AS n_places, coalesce(sum(n), 0) AS n_incidents,
           coalesce(sum(n) FILTER (WHERE n > 1), 0) AS on_repeated
    FROM report_places
"""
_FULLEST = """
    SELECT longitude, latitude, n FROM report_places ORDER BY n DESC, x_m, y_m LIMIT :limit
"""
# Whole blocks of the city, so that sampled places have their neighbours.
_SAMPLE = """
    SELECT x_m, y_m, longitude, latitude FROM report_places
    WHERE mod(abs(floor(x_m / :block)::bigint * 73856093 # floor(y_m / :block)::bigint * 19349663),
              :one_of) = 0
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
_CATEGORIES = """
    SELECT c.name, k.n
    FROM (
        SELECT category_key, count(*) AS n
        FROM incidents
        WHERE region_key = :region AND (CAST(:upload AS bigint) IS NULL OR upload_id = :upload)
        GROUP BY category_key
    ) AS k
    JOIN categories AS c ON c.key = k.category_key ORDER BY k.n DESC, c.name
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
class PlaceCounts:
    """Places rounded to a metre.

    Args:
        n_places: all of them.
        n_incidents: at all of them.
        on_repeated: incidents at places that hold more than one.
        fullest: (longitude, latitude, incidents), most first.
        sample: (n, 4) x_m, y_m, longitude, latitude of places in a sample of whole blocks.
    """

    n_places: int
    n_incidents: int
    on_repeated: int
    fullest: list[tuple[float, float, int]]
    sample: NDArray[np.float64]


def totals(connection: Connection, scope: Scope) -> tuple[int, Any, Any]:
    """Return the number of incidents, and the first and last instant."""
    row = connection.execute(scope.query(_SPAN)).one()
    return int(row.n), row.first, row.last


def category_counts(connection: Connection, scope: Scope) -> dict[str, int]:
    """Return {name: incidents}, most first."""
    return {str(name): int(n) for name, n in connection.execute(scope.query(_CATEGORIES))}


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


def clock_counts(connection: Connection, scope: Scope) -> tuple[NDArray[np.int64], int]:
    """Count incidents (168, 60) by window and local minute, and those that repeat another of their file."""
    counts = np.zeros((N_WINDOWS, 60), np.int64)
    repeated = 0
    for row in connection.execute(scope.query(_CLOCK)):
        counts[row.window, row.minute] = row.n
        repeated += row.repeated
    return counts, repeated


def place_counts(connection: Connection, scope: Scope) -> PlaceCounts:
    """Count how places repeat; leaves a temporary table until the transaction ends."""
    connection.execute(scope.query(_PLACES))
    total = connection.execute(text(_PLACE_TOTALS)).one()
    fullest = connection.execute(text(_FULLEST), {"limit": FULLEST_PLACES})
    one_of = -(-int(total.n_places) // MAX_PLACES) or 1
    rows = connection.execute(text(_SAMPLE), {"block": float(BLOCK_M), "one_of": one_of}).all()
    return PlaceCounts(
        int(total.n_places),
        int(total.n_incidents),
        int(total.on_repeated),
        [(float(row.longitude), float(row.latitude), int(row.n)) for row in fullest],
        np.array([tuple(row) for row in rows], np.float64).reshape(-1, 4),
    )


def lag_hours(connection: Connection, scope: Scope, feeds: Sequence[int]) -> list[float] | None:
    """Return the 50, 90 and 99 % quantiles of the hours from incident to arrival by these uploads."""
    if not feeds:
        return None
    statement = scope.query(_LAGS).bindparams(bindparam("feeds", list(feeds)))
    found = connection.execute(statement).scalar_one()
    return None if found is None else [float(hours) for hours in found]


COUNTS = ("received", "accepted", "corrected", "duplicates", "rejected")
_SUMS = """
    SELECT count(*) AS n,
           coalesce(sum((summary ->> 'received')::bigint), 0)::bigint AS received,
           coalesce(sum((summary ->> 'accepted')::bigint), 0)::bigint AS accepted,
           coalesce(sum((summary ->> 'corrected')::bigint), 0)::bigint AS corrected,
           coalesce(sum((summary ->> 'duplicates')::bigint), 0)::bigint AS duplicates,
           coalesce(sum((summary ->> 'rejected')::bigint), 0)::bigint AS rejected
    FROM uploads
    WHERE region_key = :region AND (CAST(:upload AS bigint) IS NULL OR id = :upload)
"""
_BY_CODE = """
    SELECT code, sum(n::bigint)::bigint AS n
    FROM (SELECT summary
          FROM uploads
    WHERE region_key = :region AND (CAST(:upload AS bigint) IS NULL OR id = :upload)) AS u,
         LATERAL jsonb_each_text(coalesce(summary -> 'rejected_by_code', '{}')) AS c(code, n)
    GROUP BY code ORDER BY n DESC, code
"""
_ERRORS = """
    SELECT u.id AS upload, e.error
    FROM (SELECT id, summary
          FROM uploads
    WHERE region_key = :region AND (CAST(:upload AS bigint) IS NULL OR id = :upload)
          AND summary ->> 'rejected' <> '0' ORDER BY id DESC LIMIT :limit)
         AS u, LATERAL jsonb_array_elements(summary -> 'errors') WITH ORDINALITY AS e(error, place)
    ORDER BY u.id DESC, e.place LIMIT :limit
"""
# The rows of a body sent twice count once.
_NOTES = """
    SELECT DISTINCT ON (coalesce(body_sha256, id::text)) report
    FROM uploads
    WHERE region_key = :region AND (CAST(:upload AS bigint) IS NULL OR id = :upload)
    AND report <> '{}' ORDER BY coalesce(body_sha256, id::text), id
"""
_NEWEST = """
    SELECT id, source, created_at, summary
    FROM uploads
    WHERE region_key = :region AND (CAST(:upload AS bigint) IS NULL OR id = :upload)
    ORDER BY id DESC LIMIT :limit
"""


@dataclass(frozen=True)
class UploadLine:
    """One upload in a list."""

    id: int
    source: str | None
    created_at: datetime
    counts: dict[str, int]


@dataclass(frozen=True)
class UploadTotals:
    """Of a region's uploads, or of one."""

    n_uploads: int
    counts: dict[str, int]
    by_code: dict[str, int]
    errors: list[dict[str, Any]]
    repeated_rows: int
    swapped_rows: int
    far_rows: int
    implausible_years: dict[str, int]
    newest: list[UploadLine]


def upload_totals(
    connection: Connection, region_key: int, upload_id: int | None, limit: int
) -> UploadTotals:
    """Return sums, and the newest `limit` errors and uploads."""
    long_statements(connection)
    values = {"region": region_key, "upload": upload_id}
    row = connection.execute(text(_SUMS), values).one()
    by_code = {r.code: int(r.n) for r in connection.execute(text(_BY_CODE), values)}
    limited = {**values, "limit": limit}
    errors = [{"upload": r.upload, **r.error} for r in connection.execute(text(_ERRORS), limited)]
    notes, years = Counter[str](), Counter[str]()
    for (report,) in connection.execute(text(_NOTES), values):
        years.update(report.pop("implausible_years", {}))
        notes.update(report)
    newest = [
        UploadLine(r.id, r.source, r.created_at, {n: int(r.summary.get(n, 0)) for n in COUNTS})
        for r in connection.execute(text(_NEWEST), limited)
    ]
    return UploadTotals(
        int(row.n),
        {name: int(getattr(row, name)) for name in COUNTS},
        by_code,
        errors,
        notes["repeated_rows"],
        notes["swapped_rows"],
        notes["far_rows"],
        dict(sorted(years.items(), key=lambda item: int(item[0]))),
        newest,
    )
