"""Counts of uploads for the data report, computed by PostgreSQL."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from app.core.db.engine import long_statements

SAMPLED = 500
SAME_TIME = 1_000
"""Incidents of one instant that a sampled one is compared with."""
NEAR_DEG = 0.001
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


# Incidents of one time and about one place that came by different uploads; the sample is by hash.
_TWINS = text(
    """
    SELECT count(*) AS n, count(*) FILTER (WHERE twin.found) AS n_twins
    FROM (
        SELECT occurred_at, longitude, latitude, upload_id FROM incidents
        WHERE region_key = :region AND (CAST(:upload AS bigint) IS NULL OR upload_id = :upload)
          AND ('x' || left(dedup_key::text, 8))::bit(32)::bigint < :share * 4294967296
    ) AS s CROSS JOIN LATERAL (
        SELECT coalesce(bool_or(
            b.upload_id <> s.upload_id AND abs(b.longitude - s.longitude) < :near
            AND abs(b.latitude - s.latitude) < :near
        ), false) AS found
        FROM (
            SELECT upload_id, longitude, latitude FROM incidents
            WHERE region_key = :region AND occurred_at = s.occurred_at LIMIT :same_time
        ) AS b
    ) AS twin
    """
)


def twins(
    connection: Connection, region_key: int, upload_id: int | None, n_incidents: int
) -> tuple[int, int]:
    """Return how many incidents were sampled, and how many have a twin of another upload.

    A twin has the same time and lies within about 100 m.
    """
    values = {"region": region_key, "upload": upload_id, "near": NEAR_DEG, "same_time": SAME_TIME}
    share = min(1.0, SAMPLED / max(n_incidents, 1))
    row = connection.execute(_TWINS, {**values, "share": share}).one()
    return int(row.n), int(row.n_twins)
