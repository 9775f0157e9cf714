"""The ledger of releases: readers see a region's incidents in large steps.

Release k holds the incidents of uploads released by then that happened before its instant. Releases are
nested, each adds at least `MIN_GROUP` incidents (late ones and corrections count), and none changes once it
has been used: two views of a reader never differ by fewer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, text, update

from app.core.db.locks import RELEASE_LOCK, transaction_lock
from app.core.db.tables import incidents, releases, uploads

LONG_AGO = datetime(1000, 1, 1, tzinfo=UTC)
MIN_GROUP = 20
"""Fewest incidents that anything shown to readers may change by, or stand for."""

_FROM = " FROM incidents i JOIN uploads u ON u.id = i.upload_id "
_HELD = " WHERE i.region_key = :region AND i.occurred_at < :until AND u.release <= :seq "
_COUNT = text("SELECT count(*)" + _FROM + _HELD)
_SUMMARY = text(
    "SELECT c.name, count(*), min((i.occurred_at AT TIME ZONE :zone)::date)"
    + _FROM
    + "JOIN categories c ON c.region_key = i.region_key AND c.key = i.category_key"
    + _HELD
    + "GROUP BY c.name ORDER BY c.name"
)
# Rows of unreleased uploads, and those after the last release's instant. Day NULL holds late arrivals.
_NEW_BY_DAY = text(
    """
    SELECT day, (day + 1)::timestamp AT TIME ZONE :zone AS ends, sum(n)::integer AS n FROM (
        SELECT CASE WHEN occurred_at < :until THEN NULL
                    ELSE (occurred_at AT TIME ZONE :zone)::date END AS day, count(*) AS n
        FROM incidents WHERE region_key = :region AND upload_id = ANY(:uploads) GROUP BY 1
        UNION ALL
        SELECT (occurred_at AT TIME ZONE :zone)::date, count(*)
        FROM incidents WHERE region_key = :region AND occurred_at >= :until
          AND NOT upload_id = ANY(:uploads) GROUP BY 1
    ) AS parts GROUP BY day ORDER BY day NULLS FIRST
    """
)
_LAST_UPLOADS = text(
    """
    SELECT c.region_key, u.id, extract(epoch FROM now() - u.created_at)::float8 AS quiet_s
    FROM champions c CROSS JOIN LATERAL (
        SELECT id, created_at FROM uploads
        WHERE region_key = c.region_key ORDER BY id DESC LIMIT 1
    ) AS u
    """
)
# The release that an incident came with: that of its upload, or the first that reaches its time.
_BY_STEP = text(
    """
    SELECT i.category_key, count(*) AS n, greatest(
        u.release, 1 + width_bucket(i.occurred_at, CAST(:instants AS timestamptz[]))) AS step
    """
    + _FROM
    + _HELD
    + "GROUP BY 1, 3 ORDER BY 1, 3"
)


@dataclass(frozen=True)
class Release:
    """One release; `n_incidents` is None if an erasure has reduced it."""

    seq: int
    until: datetime
    n_incidents: int | None
    categories: dict[str, int] | None
    first_day: date | None
    used: bool
    created_at: datetime


def _one(row: Row[Any] | None) -> Release | None:
    return None if row is None else Release(**row._mapping)


def _columns() -> list[Any]:
    return [releases.c[name] for name in Release.__dataclass_fields__]


def lock(connection: Connection, region_key: int) -> None:
    """Lock the region's ledger until the transaction ends."""
    transaction_lock(connection, RELEASE_LOCK, region_key)


def latest(
    connection: Connection, region_key: int, until: datetime | None = None
) -> Release | None:
    """Find the last release, or the last whose instant is no later than `until`."""
    query = select(*_columns()).where(releases.c.region_key == region_key)
    if until is not None:
        query = query.where(releases.c.until <= until)
    return _one(connection.execute(query.order_by(releases.c.seq.desc()).limit(1)).one_or_none())


def first_to(connection: Connection, region_key: int, instant: datetime) -> Release | None:
    """Find the first release that reaches an instant, or the last one where none does."""
    query = select(*_columns()).where(
        releases.c.region_key == region_key, releases.c.until >= instant
    )
    found = _one(connection.execute(query.order_by(releases.c.seq).limit(1)).one_or_none())
    return found or latest(connection, region_key)


def get(connection: Connection, region_key: int, seq: int) -> Release | None:
    """Find one release."""
    query = select(*_columns()).where(releases.c.region_key == region_key, releases.c.seq == seq)
    return _one(connection.execute(query).one_or_none())


def last_summary(connection: Connection, region_key: int) -> Release | None:
    """Find the last release that has counts by category."""
    query = select(*_columns()).where(
        releases.c.region_key == region_key, releases.c.categories.is_not(None)
    )
    return _one(connection.execute(query.order_by(releases.c.seq.desc()).limit(1)).one_or_none())


def instants(connection: Connection, region_key: int) -> list[datetime]:
    """List the releases' instants, in order."""
    query = select(releases.c.until).where(releases.c.region_key == region_key)
    return list(connection.scalars(query.order_by(releases.c.seq)))


def last_uploads(connection: Connection) -> list[tuple[int, int, float]]:
    """Return (region, its last upload, seconds since then) of all regions that have a champion."""
    return [(row.region_key, row.id, row.quiet_s) for row in connection.execute(_LAST_UPLOADS)]


def unreleased_uploads(connection: Connection, region_key: int) -> list[int]:
    """List the uploads that are in no release."""
    query = select(uploads.c.id).where(
        uploads.c.region_key == region_key, uploads.c.release.is_(None)
    )
    return list(connection.scalars(query))


def new_by_day(
    connection: Connection, region_key: int, zone: str, until: datetime, unreleased: Sequence[int]
) -> list[tuple[date | None, datetime | None, int]]:
    """Count what no release holds by local day (None: late arrivals), with the day's end."""
    values = {"region": region_key, "zone": zone, "until": until, "uploads": list(unreleased)}
    return [(row.day, row.ends, row.n) for row in connection.execute(_NEW_BY_DAY, values)]


def count_held(connection: Connection, region_key: int, release: Release) -> int:
    """Count what a release holds now, after corrections and erasures."""
    values = {"region": region_key, "until": release.until, "seq": release.seq}
    return int(connection.execute(_COUNT, values).scalar_one())


def count_before(connection: Connection, region_key: int, until: datetime) -> int:
    """Count a region's incidents before an instant, released or not."""
    query = select(func.count()).where(
        incidents.c.region_key == region_key, incidents.c.occurred_at < until
    )
    return int(connection.execute(query).scalar_one())


def data_end(connection: Connection, region_key: int) -> datetime | None:
    """Return the end of the hour of the last incident up to now."""
    query = select(func.max(incidents.c.occurred_at)).where(
        incidents.c.region_key == region_key, incidents.c.occurred_at < func.now()
    )
    last: datetime | None = connection.scalar(query)
    if last is None:
        return None
    return last.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)


def by_step(
    connection: Connection, region_key: int, release: Release
) -> dict[int, list[tuple[int, int]]]:
    """Return {category key: [(release that incidents came with, count)]}, in order."""
    values = {
        "region": region_key,
        "until": release.until,
        "seq": release.seq,
        "instants": instants(connection, region_key),
    }
    found: dict[int, list[tuple[int, int]]] = {}
    for row in connection.execute(_BY_STEP, values):
        found.setdefault(int(row.category_key), []).append((int(row.step), int(row.n)))
    return found


def append(
    connection: Connection, region_key: int, steps: Sequence[tuple[datetime, int | None]]
) -> Release:
    """Add releases (instant, number of incidents) behind the last one; returns the first."""
    last = latest(connection, region_key)
    first = last.seq + 1 if last else 1
    rows = [
        {"region_key": region_key, "seq": first + k, "until": until, "n_incidents": n}
        for k, (until, n) in enumerate(steps)
    ]
    added = insert(releases).returning(releases.c.created_at)
    created_at = connection.scalars(added, rows).all()[0]
    return Release(first, steps[0][0], steps[0][1], None, None, False, created_at)


def assign(connection: Connection, unreleased: Sequence[int], seq: int) -> None:
    """Put uploads into a release and all after it."""
    connection.execute(
        update(uploads)
        .where(uploads.c.id.in_(unreleased), uploads.c.release.is_(None))
        .values(release=seq)
    )


def summarise(connection: Connection, region_key: int, zone: str, release: Release) -> int:
    """Note what a release holds by category; returns how many incidents it holds."""
    values = {"region": region_key, "until": release.until, "seq": release.seq, "zone": zone}
    rows = connection.execute(_SUMMARY, values).all()
    by_name = {str(name): int(n) for name, n, _ in rows}
    first = min((day for _, _, day in rows), default=None)
    change(connection, region_key, release.seq, categories=by_name, first_day=first)
    return sum(by_name.values())


def change(connection: Connection, region_key: int, seq: int, **values: Any) -> None:
    """Change a release's row."""
    connection.execute(
        update(releases)
        .where(releases.c.region_key == region_key, releases.c.seq == seq)
        .values(**values)
    )


def forget_sizes(connection: Connection, region_key: int) -> None:
    """Clear the releases' recorded sizes, so that an erasure does not count as a change."""
    connection.execute(
        update(releases).where(releases.c.region_key == region_key).values(n_incidents=None)
    )
