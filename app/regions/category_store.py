"""A region's categories, what they count as, and how many incidents they have."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, func, select, text

from app.core.db.tables import categories, incidents
from app.regions.kinds import KindKey, Kinds, kind_keys
from app.regions.store import Region
from app.releases.span_store import begin_of_data


@dataclass(frozen=True)
class RegionSummary:
    """What a region holds."""

    n_incidents: int
    first_at: datetime | None
    last_at: datetime | None
    begins_at: datetime | None
    """From here on the data are dense: single earlier incidents are exceptions. None: not known."""
    categories: dict[str, int]


def categories_of(connection: Connection, region_key: int) -> dict[int, str]:
    """Return {category key: name}, by name."""
    rows = connection.execute(
        select(categories.c.key, categories.c.name)
        .where(categories.c.region_key == region_key)
        .order_by(categories.c.name)
    )
    return {int(key): str(name) for key, name in rows}


# First by the index of incidents alone; the history has none, so it is read only if names remain.
_UNUSED = text(
    """
    SELECT c.key FROM categories AS c
    WHERE c.region_key = :region AND NOT EXISTS (
        SELECT FROM incidents AS i WHERE i.region_key = :region AND i.category_key = c.key
    )
    """
)
_DROP_UNUSED = text(
    """
    DELETE FROM categories WHERE key = ANY(:keys) AND key NOT IN (
        SELECT CAST(before ->> 'category_key' AS integer) FROM incident_history
        WHERE region_key = :region AND before ->> 'category_key' IS NOT NULL
    )
    RETURNING name
    """
)


def drop_unused_categories(connection: Connection, region_key: int) -> list[str]:
    """Remove and return the names of categories that no incident of a region has or had.

    The caller holds the region's ingest lock: a merge under way may be about to use one.
    """
    values = {"region": region_key}
    keys = list(connection.scalars(_UNUSED, values))
    if not keys:
        return []
    # PostgreSQL checks each name by the foreign key of incidents, and would plan for each which partition.
    connection.execute(text("SET LOCAL plan_cache_mode = force_generic_plan"))
    dropped = list(connection.scalars(_DROP_UNUSED, {**values, "keys": keys}))
    connection.execute(text("SET LOCAL plan_cache_mode = DEFAULT"))
    return dropped


def kinds_of(connection: Connection, region: Region) -> dict[int, KindKey]:
    """Return what the incidents of each of a region's stored categories count as."""
    kinds = Kinds.of(region.settings)
    local = ZoneInfo(region.timezone)

    def instant(day: date) -> int:
        return int(datetime.combine(day, time(), local).timestamp())

    return kind_keys(categories_of(connection, region.key), kinds, instant)


def kind_names(connection: Connection, region: Region) -> list[str]:
    """List a region's kinds, by name."""
    found = kinds_of(connection, region).values()
    return sorted({name for key in found for name in (key.now, key.before) if name is not None})


def region_summary(connection: Connection, region: Region) -> RegionSummary:
    """Count a region's incidents by kind, with the first and last time.

    The counts read the region's rows once: about 0.1 s a million.
    """
    first_at, last_at = connection.execute(
        select(func.min(incidents.c.occurred_at), func.max(incidents.c.occurred_at)).where(
            incidents.c.region_key == region.key
        )
    ).one()
    by_kind: dict[str, int] = {}
    kinds = kinds_of(connection, region)
    counts = connection.execute(
        select(incidents.c.category_key, func.count())
        .where(incidents.c.region_key == region.key)
        .group_by(incidents.c.category_key)
    ).all()
    for key, count in counts:
        kind, early = kinds[key], 0
        if kind.before is not None:
            early = _count_before(connection, region.key, key, kind.since_s)
            by_kind[kind.before] = by_kind.get(kind.before, 0) + early
        by_kind[kind.now] = by_kind.get(kind.now, 0) + count - early
    by_name = {name: by_kind[name] for name in sorted(by_kind) if by_kind[name]}
    n, begins_at = sum(by_name.values()), None
    if last_at is not None:
        begins_at = begin_of_data(
            connection, region.key, zone=region.timezone, n=n, last_at=last_at
        )
    return RegionSummary(n, first_at, last_at, begins_at, by_name)


def _count_before(connection: Connection, region_key: int, key: int, instant_s: int) -> int:
    query = select(func.count()).where(
        incidents.c.region_key == region_key,
        incidents.c.category_key == key,
        incidents.c.occurred_at < datetime.fromtimestamp(instant_s, UTC),
    )
    return int(connection.scalar(query) or 0)
