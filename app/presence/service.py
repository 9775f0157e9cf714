"""The presence log: store, list, erase. It is optional, and no training reads it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import Engine, Row

from app.audit import store as audit
from app.core.bounds import check_number, limited
from app.core.db.locks import count_lock
from app.core.errors import InvalidInput, NotFound
from app.core.settings import Settings
from app.core.texts import shortened
from app.core.zones import check_moment, localised, zone
from app.geo.boundaries import study_area_from_geojson
from app.geo.overlaps import CellIndex
from app.presence.exposure import Exposure, Stay
from app.presence.places import Places
from app.presence.rates import NOTES
from app.presence.rows import TYPES, Parsed, parse_rows
from app.presence.store import PresenceQuery, add_rows, count_rows, drop_ended, erase_rows, page
from app.regions.store import Region, get_region
from app.registry import store as registry

MAX_BYTES = 8 << 20
MAX_STORED = 200_000
"""Rows of a region's log."""
DEFAULT_DAYS, MAX_DAYS = 28, 31


@dataclass(frozen=True)
class PresenceSummary:
    """What became of the rows of a body; received = accepted + duplicates + rejected."""

    received: int
    accepted: int
    duplicates: int
    rejected: int
    errors: list[dict[str, Any]]
    ignored: list[str]


def since_of(settings: Settings, now: datetime | None = None) -> datetime:
    """Return the start of the log: what ended before is deleted."""
    days = settings.presence_retention_days
    return (now or datetime.now(UTC)) - timedelta(days=days)


def store_presence(
    engine: Engine, region_id: str, content: Iterable[bytes], kind: str, settings: Settings
) -> PresenceSummary:
    """Store the rows of a body in one transaction; rejected rows are listed.

    Args:
        content: JSON array, GeoJSON, NDJSON or CSV, as `kind` (a media type) says.

    Raises:
        NotFound: no such region.
        InvalidInput: another type, or not of that type.
        LimitExceeded: too many bytes or rows.
    """
    if kind not in TYPES:
        raise InvalidInput(
            f"Content-Type {shortened(kind)} is not one of {', '.join(TYPES)}",
            code="unsupported_media_type",
        )
    said = f"a body has at most {MAX_BYTES} bytes; send the rest by itself"
    body = b"".join(limited(content, MAX_BYTES, said))
    with engine.connect() as connection:
        region = get_region(connection, region_id)
        places = Places(connection, region)
        parsed = parse_rows(body, kind, region.timezone, places.shape, since_of(settings))
    with engine.begin() as connection:
        count_lock(connection, region.key)
        added = add_rows(connection, region.key, parsed.rows)
        n = count_rows(connection, region.key)
        check_number(
            n, MAX_STORED, f"the region's log would have {n} rows", "rows", "erase old ones"
        )
        summary = _summary(parsed, added)
        audit.record(
            connection,
            "presence.stored",
            chain=region.id,
            received=summary.received,
            accepted=summary.accepted,
        )
    return summary


def _summary(parsed: Parsed, added: int) -> PresenceSummary:
    n = len(parsed.rows)
    ignored = sorted(parsed.ignored)
    return PresenceSummary(
        n + parsed.rejected, added, n - added, parsed.rejected, parsed.errors, ignored
    )


def list_presence(
    engine: Engine, region_id: str, query: PresenceQuery, limit: int, fmt: str
) -> tuple[Region, list[Row[Any]]]:
    """Read a page of the log; the audit log says that somebody did.

    Raises:
        NotFound: no such region.
    """
    with engine.begin() as connection:
        region = get_region(connection, region_id)
        rows = page(connection, region.key, query, limit)
        audit.record(connection, "presence.read", chain=region.id, rows=len(rows), format=fmt)
    return region, rows


def stays_between(engine: Engine, region: Region, start: datetime, end: datetime) -> list[Stay]:
    """Return the rows of the log that overlap a period, for reports."""
    with engine.connect() as connection:
        rows = page(connection, region.key, PresenceQuery(start, end))
    return [Stay(row.started_at.timestamp(), row.ended_at.timestamp(), row.shape) for row in rows]


def exposure_of(
    engine: Engine, region_id: str, start: datetime | None, end: datetime | None
) -> dict[str, Any]:
    """Return hours of presence by cell of the serving version; without a start, of the last 28 days.

    Raises:
        NotFound: no such region.
        NotReady: the region has no version yet.
        InvalidInput: the end is not after the start.
        LimitExceeded: the period is too long.
    """
    with engine.begin() as connection:
        region = get_region(connection, region_id)
        version = registry.get_version(connection, region.key)
        grid, boundary = registry.grid_of(connection, version)
        audit.record(connection, "presence.read", chain=region.id, format="exposure")
    first, n_slots = _period(start, end, region.timezone)
    last = first + timedelta(hours=n_slots)
    index = CellIndex(study_area_from_geojson(boundary, grid.crs), grid)
    stays = stays_between(engine, region, first, last)
    exposure = Exposure(index, stays, int(first.timestamp()), n_slots)
    hours = exposure.by_cell()
    shown = np.flatnonzero(hours)
    longitude, latitude = grid.centres_degrees
    local = zone(region.timezone)
    return {
        "region": region.id,
        "start": first.astimezone(local).isoformat(),
        "end": last.astimezone(local).isoformat(),
        "model_version": version.version,
        "rows": len(stays),
        "unit_hours": exposure.hours,
        "unit_hours_inside": float(hours.sum()),
        "cells": {
            "id": grid.cell_id[shown].tolist(),
            "longitude": longitude[shown].round(6).tolist(),
            "latitude": latitude[shown].round(6).tolist(),
            "unit_hours": hours[shown].round(6).tolist(),
        },
        "warnings": [NOTES.make("presence_no_proof").to_json()],
    }


def _period(start: datetime | None, end: datetime | None, timezone: str) -> tuple[datetime, int]:
    """Return the first hour and the number of hours."""
    last = datetime.now(UTC) if end is None else _checked(end, timezone, "to")
    days = timedelta(days=DEFAULT_DAYS)
    first = last - days if start is None else _checked(start, timezone, "from")
    first = first.replace(minute=0, second=0, microsecond=0)
    n_slots = -int((first - last) // timedelta(hours=1))
    if n_slots < 1:
        raise InvalidInput("to must be later than from", field="to")
    check_number(n_slots / 24, MAX_DAYS, f"the period spans {n_slots / 24:.4g} days", "to")
    return first, n_slots


def _checked(given: datetime, timezone: str, field: str) -> datetime:
    """Return an instant in UTC; far ones have none, so they are refused first."""
    moment = localised(given, timezone)
    check_moment(moment, field)
    return moment.astimezone(UTC)


def erase_presence(engine: Engine, region_id: str, query: PresenceQuery) -> int:
    """Delete rows for good; return how many.

    Raises:
        NotFound: no such region, or no row of that id.
    """
    with engine.begin() as connection:
        region = get_region(connection, region_id)
        erased = erase_rows(connection, region.key, query)
        if query.id is not None and not erased:
            raise NotFound(f"the log has no row {query.id}", field="id")
        audit.record(connection, "presence.erased", chain=region.id, rows=erased)
    return erased


def forget_old_presence(engine: Engine, settings: Settings, region: Region, now: datetime) -> int:
    """Delete the rows that retention no longer allows; return how many."""
    with engine.begin() as connection:
        dropped = drop_ended(connection, region.key, since_of(settings, now))
        if dropped:
            audit.record(connection, "presence.dropped", chain=region.id, rows=dropped)
    return dropped
