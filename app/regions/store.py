"""Regions and their categories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Row, Text, cast, func, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, insert

from app.audit import store as audit
from app.core.db.locks import count_lock
from app.core.db.tables import categories, incidents, regions
from app.core.errors import Conflict, LimitExceeded, NotFound
from app.core.texts import shortened
from app.regions.kinds import KindKey, Kinds, kind_keys


@dataclass(frozen=True)
class Region:
    """A study area with its time zone, CRS and default cell size."""

    key: int
    id: str
    name: str
    timezone: str
    crs: str | None
    cell_size_m: float
    boundary_derived: bool
    has_boundary: bool
    has_neighbourhoods: bool
    settings: dict[str, Any]
    """The owner's choices, without column mappings, which are read separately."""
    created_at: datetime
    revision: int = 0
    """Changes of time zone, boundary and CRS so far."""
    crs_given: bool = False


@dataclass(frozen=True)
class OutlinedRegion(Region):
    """A region with its boundary (GeoJSON geometry) and named parts (FeatureCollection): megabytes."""

    boundary: dict[str, Any] | None = None
    neighbourhoods: dict[str, Any] | None = None


@dataclass(frozen=True)
class RegionSummary:
    """What a region holds."""

    n_incidents: int
    first_at: datetime | None
    last_at: datetime | None
    categories: dict[str, int]


MAPPINGS = "mappings"
_COLUMNS = (
    *(regions.c[name] for name in ("key", "id", "name", "timezone", "crs", "cell_size_m")),
    regions.c.boundary_derived,
    regions.c.boundary.is_not(None).label("has_boundary"),
    regions.c.neighbourhoods.is_not(None).label("has_neighbourhoods"),
    regions.c.settings.op("-")(MAPPINGS).label("settings"),
    *(regions.c[name] for name in ("created_at", "revision", "crs_given")),
)


def _as_region(row: Row[Any]) -> Region:
    return Region(**row._mapping)


def create_region(
    connection: Connection,
    *,
    region_id: str,
    name: str,
    timezone: str,
    crs: str | None,
    cell_size_m: float,
    boundary: Mapping[str, Any] | None,
    neighbourhoods: Mapping[str, Any] | None,
    limit: int,
) -> Region:
    """Create a region; repeating an equal request returns the existing one.

    Raises:
        Conflict: another region has that id.
        LimitExceeded: there are `limit` regions.
    """
    values = {
        "id": region_id,
        "name": name,
        "timezone": timezone,
        "crs": crs,
        "cell_size_m": cell_size_m,
        "boundary": boundary,
        "neighbourhoods": neighbourhoods,
    }
    # JSON null and SQL NULL differ: an absent boundary must be the latter.
    values = {name_: value for name_, value in values.items() if value is not None}
    count_lock(connection)
    row = connection.execute(
        insert(regions).values(**values).on_conflict_do_nothing().returning(*_COLUMNS)
    ).one_or_none()
    if row is not None:
        _check_number(connection, limit)
        return _as_region(row)
    existing = get_region(connection, region_id)
    # A boundary derived since then does not count: the caller gave none.
    given = None if existing.boundary_derived else outlined(connection, existing).boundary
    same = (existing.name, existing.timezone, existing.cell_size_m, given) == (
        name,
        timezone,
        cell_size_m,
        boundary,
    )
    if not same:
        raise Conflict(f"region {shortened(region_id)} exists with other settings", field="id")
    return existing


def _check_number(connection: Connection, limit: int) -> None:
    n = int(connection.scalar(select(func.count()).select_from(regions)) or 0)
    if n > limit:
        raise LimitExceeded(
            f"there are {n - 1} regions, the limit is {limit} (HOTSLOT_MAX_REGIONS)",
            field="id",
            limit=limit,
            asked=n,
        )


def get_region(connection: Connection, region_id: str) -> Region:
    """Return the region with that id.

    Raises:
        NotFound: there is none.
    """
    row = connection.execute(select(*_COLUMNS).where(regions.c.id == region_id)).one_or_none()
    if row is None:
        raise NotFound(f"no such region: {shortened(region_id)}", field="region")
    return _as_region(row)


def get_region_by_key(connection: Connection, region_key: int) -> Region:
    """Return the region with that key.

    Raises:
        NotFound: there is none.
    """
    row = connection.execute(select(*_COLUMNS).where(regions.c.key == region_key)).one_or_none()
    if row is None:
        raise NotFound("no such region", field="region")
    return _as_region(row)


def list_regions(connection: Connection) -> list[Region]:
    """List all regions, by id."""
    return [_as_region(row) for row in connection.execute(select(*_COLUMNS).order_by(regions.c.id))]


def outlined(connection: Connection, region: Region) -> OutlinedRegion:
    """Read a region's boundary and neighbourhoods, which most requests do not need."""
    query = select(regions.c.boundary, regions.c.neighbourhoods)
    row = connection.execute(query.where(regions.c.key == region.key)).one()
    return OutlinedRegion(**vars(region), **row._mapping)


def mappings_of(connection: Connection, region_key: int) -> dict[str, dict[str, Any]]:
    """Return {name: column mapping} of a region."""
    query = select(regions.c.settings[MAPPINGS]).where(regions.c.key == region_key)
    found: dict[str, dict[str, Any]] | None = connection.scalar(query)
    return found or {}


def set_crs(connection: Connection, region_key: int, crs: str) -> str:
    """Store the CRS chosen from the first incidents; return an earlier choice if there is one."""
    connection.execute(
        update(regions).where(regions.c.key == region_key, regions.c.crs.is_(None)).values(crs=crs)
    )
    stored = select(regions.c.crs).where(regions.c.key == region_key)
    return str(connection.execute(stored).scalar_one())


def set_boundary(
    connection: Connection, region_key: int, boundary: Mapping[str, Any], *, derived: bool
) -> None:
    """Store a boundary (GeoJSON geometry, WGS 84)."""
    _change(connection, region_key, boundary=dict(boundary), boundary_derived=derived)


def set_neighbourhoods(
    connection: Connection, region_key: int, collection: Mapping[str, Any]
) -> None:
    """Store the named parts of a region (GeoJSON FeatureCollection), replacing earlier ones."""
    _change(connection, region_key, neighbourhoods=dict(collection))


def _change(connection: Connection, region_key: int, **values: Any) -> None:
    connection.execute(update(regions).where(regions.c.key == region_key).values(**values))


def set_setting(
    connection: Connection, region_key: int, path: tuple[str, str], value: Mapping[str, Any]
) -> None:
    """Store a value under `settings[path[0]][path[1]]`, leaving others unchanged; audited."""
    put_setting(connection, region_key, path, value)
    name = ".".join(path)
    audit.record_for(connection, "setting.changed", region_key, name=name, value=dict(value))


def put_setting(
    connection: Connection, region_key: int, path: tuple[str, str], value: Mapping[str, Any]
) -> None:
    """Store a value as `set_setting` does; the caller makes the entry of the audit log."""
    outer, inner = path
    before = func.coalesce(regions.c.settings[outer], cast({}, JSONB))
    changed = before.concat(cast({inner: dict(value)}, JSONB))
    whole = func.coalesce(regions.c.settings, cast({}, JSONB))
    settings = whole.concat(func.jsonb_build_object(outer, changed))
    _change(connection, region_key, settings=settings)


def remove_setting(connection: Connection, region_key: int, path: tuple[str, str]) -> None:
    """Remove the value under `settings[path[0]][path[1]]`, leaving others unchanged."""
    settings = regions.c.settings.op("#-")(cast(list(path), ARRAY(Text)))
    _change(connection, region_key, settings=settings)
    audit.record_for(connection, "setting.removed", region_key, name=".".join(path))


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
    return RegionSummary(sum(by_name.values()), first_at, last_at, by_name)


_AT = text(
    """
    SELECT EXISTS (
        SELECT FROM incidents
        WHERE region_key = :region AND abs(longitude - :longitude) < :margin
          AND abs(latitude - :latitude) < :margin
    )
    """
)


def has_incidents_at(
    connection: Connection, region_key: int, longitude: float, latitude: float, margin: float
) -> bool:
    """Return whether incidents of a region lie within a margin of a place (degrees)."""
    values = {"longitude": longitude, "latitude": latitude, "margin": margin}
    return bool(connection.scalar(_AT, {"region": region_key, **values}))


def _count_before(connection: Connection, region_key: int, key: int, instant_s: int) -> int:
    query = select(func.count()).where(
        incidents.c.region_key == region_key,
        incidents.c.category_key == key,
        incidents.c.occurred_at < datetime.fromtimestamp(instant_s, UTC),
    )
    return int(connection.scalar(query) or 0)


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
    return list(connection.scalars(_DROP_UNUSED, {**values, "keys": keys}))


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
