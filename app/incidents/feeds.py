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
