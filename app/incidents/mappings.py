"""Named column mappings of a region, so that a source is described once, not at every upload."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Engine

from app.core.bounds import MAX_MAPPINGS
from app.core.db.locks import count_lock
from app.core.errors import InvalidInput, LimitExceeded, NotFound
from app.core.texts import shortened
from app.readers.columns.mapping import ColumnMapping
from app.regions.store import MAPPINGS, get_region, mappings_of, remove_setting, set_setting

_NAME = re.compile(r"[a-z0-9_-]{1,63}")


def list_mappings(connection: Connection, region_id: str) -> dict[str, dict[str, Any]]:
    """Return {name: mapping} of a region.

    Raises:
        NotFound: no such region.
    """
    stored = mappings_of(connection, get_region(connection, region_id).key)
    return dict(sorted(stored.items()))


def save_mapping(
    engine: Engine, region_id: str, name: str, mapping: ColumnMapping
) -> ColumnMapping:
    """Store a mapping, replacing one of the same name, and return it.

    Unless it names a feed, a new mapping's feed is its name; one that is replaced keeps its feed.

    Raises:
        NotFound: no such region.
        InvalidInput: the name has other characters than a-z, 0-9, '-' and '_'.
        LimitExceeded: the region has too many of them.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInput("a mapping's name is 1-63 of a-z, 0-9, '-' and '_'", field="mapping")
    with engine.begin() as connection:
        region = get_region(connection, region_id)
        count_lock(connection, region.key)
        stored = mappings_of(connection, region.key)
        if name not in stored and len(stored) >= MAX_MAPPINGS:
            raise LimitExceeded(
                f"the region has {len(stored)} mappings, the limit is {MAX_MAPPINGS}; remove one first",
                field="mapping",
                limit=MAX_MAPPINGS,
                asked=len(stored) + 1,
            )
        if mapping.feed is None:
            feed = stored[name].get("feed") if name in stored else name
            mapping = replace(mapping, feed=feed)
        set_setting(connection, region.key, (MAPPINGS, name), mapping.to_json())
        return mapping


def remove_mapping(engine: Engine, region_id: str, name: str) -> None:
    """Delete a mapping; incidents uploaded with it stay.

    Raises:
        NotFound: no such region, no such mapping.
    """
    with engine.begin() as connection:
        region = get_region(connection, region_id)
        if name not in mappings_of(connection, region.key):
            raise NotFound(f"no such mapping: {shortened(name)}", field="mapping")
        remove_setting(connection, region.key, (MAPPINGS, name))


def resolve_mapping(
    connection: Connection, region_id: str, name: str | None, own: ColumnMapping
) -> ColumnMapping:
    """Return a stored mapping, overridden by what the caller gives directly.

    Raises:
        NotFound: no such region, no such mapping.
    """
    if name is None:
        return own
    stored = mappings_of(connection, get_region(connection, region_id).key).get(name)
    if stored is None:
        raise NotFound(f"no such mapping: {shortened(name)}", field="mapping")
    return own.over(stored)
