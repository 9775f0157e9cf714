"""Feeds: who numbers a region's incidents. Equal ids of two feeds are two incidents."""

from __future__ import annotations

from sqlalchemy import Connection, text

from app.core.errors import LimitExceeded

MAX_FEEDS = 200
_ADD = text(
    """
    INSERT INTO feeds (region_key, name)
    SELECT DISTINCT CAST(:region AS integer), feed FROM staged_incidents WHERE feed IS NOT NULL
    ON CONFLICT DO NOTHING
    """
)
_COUNT = text("SELECT count(*) FROM feeds WHERE region_key = :region AND name <> ''")
_HAS_REFERENCES = text(
    """
    SELECT EXISTS (
        SELECT FROM feeds AS f WHERE f.region_key = :region AND f.has_references AND f.name IN (
            SELECT coalesce(feed, '') FROM staged_incidents WHERE id_key IS NOT NULL)
    )
    """
)
_NOTE_REFERENCES = text(
    """
    INSERT INTO feeds (region_key, name, has_references)
    SELECT DISTINCT CAST(:region AS integer), coalesce(feed, ''), true
    FROM staged_incidents WHERE id_key IS NOT NULL
    ON CONFLICT (region_key, name) DO UPDATE SET has_references = true
    """
)
_SPAN = text(
    """
    SELECT min(time_s) AS first, max(time_s) AS last, ARRAY(
        SELECT coalesce(feed_key, 0) FROM merged_incidents GROUP BY 1) AS feeds
    FROM merged_incidents
    """
)
_OF_SPAN = """i.region_key = :region AND i.occurred_at >= to_timestamp(:first)
    AND i.occurred_at <= to_timestamp(:last) AND coalesce(i.feed_key, 0) = ANY(:feeds)"""
_MISSING = """NOT EXISTS (SELECT FROM merged_incidents AS m
    WHERE m.dedup_key = i.dedup_key AND m.occurrence = i.occurrence)"""
_REMOVE = text(
    f"""
    WITH gone AS (DELETE FROM incidents AS i WHERE {_OF_SPAN} AND {_MISSING} RETURNING i.*)
    INSERT INTO incident_history (region_key, external_id, action, before, incident_id)
    SELECT region_key, external_id, 'deleted', to_jsonb(gone), id FROM gone
    """  # noqa: S608 - constants
)
_COUNT_STORED = text(f"SELECT count(*) FROM incidents AS i WHERE {_OF_SPAN}")  # noqa: S608
_COUNT_MISSING = text(
    f"SELECT count(*) FROM incidents AS i WHERE {_OF_SPAN} AND {_MISSING}"  # noqa: S608
)
MOST = 0.8
"""Share of a feed's incidents that a file repeats if it is meant to have all of them."""


def add_feeds(connection: Connection, region_key: int) -> None:
    """Store the names of the staged rows' feeds.

    Raises:
        LimitExceeded: the region would have too many.
    """
    connection.execute(_ADD, {"region": region_key})
    n = int(connection.execute(_COUNT, {"region": region_key}).scalar_one())
    if n > MAX_FEEDS:
        raise LimitExceeded(
            f"the region would have {n} feeds, the limit is {MAX_FEEDS}; name one with feed= instead "
            "of a column",
            field="feed",
            limit=MAX_FEEDS,
            asked=n,
        )


def has_references(connection: Connection, region_key: int) -> bool:
    """Return whether guessed ids of a staged feed repeated in an earlier file."""
    return bool(connection.scalar(_HAS_REFERENCES, {"region": region_key}))


def note_references(connection: Connection, region_key: int) -> None:
    """Remember that the guessed ids of the staged rows' feeds repeat."""
    connection.execute(_NOTE_REFERENCES, {"region": region_key})


def remove_missing(connection: Connection, region_key: int) -> int:
    """Move to the history what the rows' feeds brought within their span and the rows lack."""
    span = connection.execute(_SPAN).one()
    values = {"region": region_key, **span._mapping}
    return connection.execute(_REMOVE, values).rowcount


def count_missing(connection: Connection, region_key: int, n_rows: int, added: int) -> int:
    """Count what the rows' feeds brought before within their span and the rows, all stored now, lack.

    Zero if the rows repeat less than `MOST` of it: then they are not meant to be all.
    """
    repeated = n_rows - added
    if repeated <= 0:
        return 0
    values = {"region": region_key, **connection.execute(_SPAN).one()._mapping}
    stored = int(connection.execute(_COUNT_STORED, values).scalar_one())
    if stored <= n_rows or repeated < MOST * (stored - added):
        return 0
    return int(connection.execute(_COUNT_MISSING, values).scalar_one())
