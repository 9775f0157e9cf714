"""Regions: their rows, outlines and settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Text, cast, func, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, insert

from app.audit import store as audit
from app.core.db.locks import count_lock
from app.core.db.tables import regions, street_layers
from app.core.errors import Conflict, LimitExceeded, NotFound
from app.core.texts import shortened


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
    streets: str | None = None
    """Digest of its street layer."""


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
    streets = (
        select(street_layers.c.digest)
        .where(street_layers.c.region_key == regions.c.key)
        .scalar_subquery()
        .label("streets")
    )
    query = select(regions.c.boundary, regions.c.neighbourhoods, streets)
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
