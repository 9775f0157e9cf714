"""Where a region's data begin: a few late reports of decades ago, or placeholder dates, are no beginning."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from app.core.caching.cache import TTLCache

CACHED_S = 3600.0
WINDOW = timedelta(days=28)
YEAR = timedelta(days=364)
MAX_EARLY = 20_000
"""More incidents than these, or than `MAX_EARLY_SHARE` of all, are no exceptions."""
MAX_EARLY_SHARE = 0.05
_KNOWN = TTLCache()
_ALL = " FROM incidents i WHERE i.region_key = :region "
_RELEASED = (
    " FROM incidents i JOIN uploads u ON u.id = i.upload_id "
    "WHERE i.region_key = :region AND i.occurred_at < :until AND u.release <= :seq "
)
_YEAR = "SELECT count(*)%s AND i.occurred_at > :since"
_DENSE = """
    SELECT min(at) FROM (
        SELECT at, lead(at, :enough) OVER (ORDER BY at) AS later
        FROM (SELECT i.occurred_at AS at%s ORDER BY i.occurred_at LIMIT :rows) AS early
    ) AS reaching WHERE later - at <= :width
"""
_DAY = """
    SELECT min(first) FROM (
        SELECT min(i.occurred_at) AS first%s
        AND i.occurred_at >= :start AND i.occurred_at < :start + :width
        GROUP BY (i.occurred_at AT TIME ZONE :zone)::date HAVING count(*) >= :least
    ) AS days
"""


def begin_of_data(
    connection: Connection,
    region_key: int,
    *,
    zone: str,
    n: int,
    last_at: datetime,
    release: tuple[datetime, int] | None = None,
) -> datetime | None:
    """Return the first incident from which on the data are dense, or None where that cannot be said.

    The first 28 days with at least half as many incidents as in the last year, from their first day with
    at least a quarter of its daily mean.

    Args:
        zone: the region's time zone.
        n: number of incidents.
        last_at: time of the last one.
        release: instant and number of the release that is looked at; None: all incidents.
    """
    # Reading it takes long in a large region, and pages ask all the time.
    place = f"{connection.engine.url}/{region_key}/{n}/{last_at}/{zone}/{release}"
    known = _KNOWN.recall("begin", place, tuple)
    if known is None:
        known = (_read(connection, region_key, zone, n, last_at, release),)
        _KNOWN.names("begin")  # expired ones go
        _KNOWN.keep("begin", place, known, CACHED_S)
    begin: datetime | None = known[0]
    return begin


def _read(
    connection: Connection,
    region_key: int,
    zone: str,
    n: int,
    last_at: datetime,
    release: tuple[datetime, int] | None,
) -> datetime | None:
    source = _ALL if release is None else _RELEASED
    values = {"region": region_key, "since": last_at - YEAR, "width": WINDOW, "zone": zone}
    if release is not None:
        values |= {"until": release[0], "seq": release[1]}

    def found(query: str, **more: object) -> object:
        return connection.scalar(text(query % source), {**values, **more})

    in_year = int(str(found(_YEAR)))
    enough = in_year * WINDOW // (2 * YEAR)
    if enough < 1:
        return None
    rows = enough + min(int(MAX_EARLY_SHARE * n), MAX_EARLY) + 1
    start = found(_DENSE, enough=enough, rows=rows)
    if start is None:
        return None
    day = found(_DAY, start=start, least=max(in_year / YEAR.days / 4, 1))
    return day if isinstance(day, datetime) else None
