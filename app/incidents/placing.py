"""Place a region: its CRS follows its incidents, whose projected coordinates follow the CRS.

Without a boundary only the incidents show where a region lies. A wrong first file must not decide
that for ever, so the choice is made anew until something depends on it.
"""

from __future__ import annotations

from io import StringIO
from typing import Any

import numpy as np
from sqlalchemy import Connection, null, text, update

from app.core.db.engine import long_statements, translate_errors
from app.core.db.locks import INGEST_LOCK, transaction_lock
from app.core.db.tables import regions
from app.geo.antimeridian import unwrapped
from app.geo.study_area import choose_crs, to_degrees, to_metres
from app.incidents.writes import middle_of
from app.regions.outdated import depending_versions, outdate_versions
from app.regions.store import Region, get_region_by_key

BLOCK_ROWS = 50_000
SLACK_DEG = 4.0
"""From a zone's central meridian: there UTM stretches lengths by 0.2 %, 3 degrees being its edge."""
_NEXT = text(
    """
    SELECT id, longitude, latitude FROM incidents WHERE region_key = :region AND id > :after
    ORDER BY id LIMIT :n
    """
)
_MOVED = "CREATE TEMP TABLE moved_incidents (id bigint, x_m real, y_m real) ON COMMIT DROP"
_MOVE = text(
    """
    UPDATE incidents AS i SET x_m = m.x_m, y_m = m.y_m FROM moved_incidents AS m
    WHERE i.region_key = :region AND i.id = m.id
    """
)
# Monday 00:00 of the local week is window 0.
_WINDOWS = text(
    """
    UPDATE incidents SET "window" = 24 * (extract(isodow FROM occurred_at AT TIME ZONE :zone) - 1)
        + extract(hour FROM occurred_at AT TIME ZONE :zone)
    WHERE region_key = :region
    """
)


def follow_incidents(connection: Connection, region_key: int) -> Region:
    """Choose a region's CRS by its incidents if nothing else decides it; return the region.

    While no version depends on it, the CRS is the UTM zone of the incidents' middle, and a derived
    boundary is derived again. Once versions do, it changes only if the middle lies far from the zone;
    they are then outdated. A region without incidents has no place.
    """
    if not _changes(connection, get_region_by_key(connection, region_key)):
        return get_region_by_key(connection, region_key)
    transaction_lock(connection, INGEST_LOCK, region_key)
    changes = _changes(connection, get_region_by_key(connection, region_key))
    if "crs" in changes:
        outdate_versions(connection, region_key, "crs")
        if changes["crs"] is not None:
            project_again(connection, region_key, changes["crs"])
        changes["revision"] = regions.c.revision + 1
    if changes:
        mine = regions.c.key == region_key
        connection.execute(update(regions).where(mine).values(**changes))
    return get_region_by_key(connection, region_key)


def _changes(connection: Connection, region: Region) -> dict[str, Any]:
    """Return the columns of a region that its incidents ask to change."""
    if region.crs_given or (region.has_boundary and not region.boundary_derived):
        return {}
    middle = middle_of(connection, region.key)
    wanted = None if middle is None else choose_crs(*middle)
    anew = {"boundary": null(), "boundary_derived": False} if region.boundary_derived else {}
    if depending_versions(connection, region.key):
        if middle is None or region.crs is None or _serves(region.crs, *middle):
            return {}
        return {"crs": wanted, **anew}
    return anew if wanted == region.crs else {"crs": wanted, **anew}


def _serves(crs: str, longitude: float, latitude: float) -> bool:
    """Return whether a UTM zone is good enough for a region with its middle there."""
    if not crs.startswith(("EPSG:326", "EPSG:327")):
        return True
    meridian, _ = to_degrees(500_000.0, 0.0 if crs.startswith("EPSG:326") else 1e7, crs)
    return abs(float(unwrapped(longitude, float(meridian))) - float(meridian)) <= SLACK_DEG


def project_again(connection: Connection, region_key: int, crs: str) -> int:
    """Recompute the projected coordinates of a region's incidents by blocks; return how many.

    The caller holds the region's ingest lock. Places where the projection is undefined keep finite
    coordinates far outside any study area.
    """
    long_statements(connection)
    connection.execute(text(_MOVED))
    after, done = 0, 0
    while rows := connection.execute(
        _NEXT, {"region": region_key, "after": after, "n": BLOCK_ROWS}
    ).all():
        places = np.array([(row.longitude, row.latitude) for row in rows], np.float64)
        x_m, y_m = (_finite(v) for v in to_metres(places[:, 0], places[:, 1], crs))
        _copy(connection, [row.id for row in rows], x_m, y_m)
        connection.execute(_MOVE, {"region": region_key})
        connection.execute(text("TRUNCATE moved_incidents"))
        after, done = rows[-1].id, done + len(rows)
    connection.execute(text("DROP TABLE moved_incidents"))
    return done


UNPLACED_M = 1e9


def _finite(metres: Any) -> Any:
    return np.where(np.isfinite(metres), metres, UNPLACED_M).astype(np.float32)


def _copy(connection: Connection, ids: list[int], x_m: Any, y_m: Any) -> None:
    driver: Any = connection.connection.driver_connection
    lines = StringIO()
    for one, x, y in zip(ids, x_m.tolist(), y_m.tolist(), strict=True):
        lines.write(f"{one}\t{x!r}\t{y!r}\n")
    with (
        translate_errors(),
        driver.cursor() as cursor,
        cursor.copy("COPY moved_incidents FROM STDIN") as copy,
    ):
        copy.write(lines.getvalue())


def count_windows_again(connection: Connection, region_key: int, timezone: str) -> None:
    """Recompute the hour-of-week windows of a region's incidents in its new time zone."""
    long_statements(connection)
    connection.execute(_WINDOWS, {"region": region_key, "zone": timezone})
