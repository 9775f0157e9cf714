"""The register: forecasts filed before their day, scored after it, and what became of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine

from app.audit import store as audit
from app.core.db.tables import register_entries
from app.core.errors import NotFound
from app.core.roles import seeing_unreleased
from app.core.settings import Settings
from app.core.zones import zone
from app.forecasts.service import ForecastService
from app.regions.store import Region, get_region
from app.register import store
from app.register.filing import Filed, file_forecast, next_day
from app.register.scoring import read_score, score_due
from app.register.store import PARTS
from app.register.totals import exact_totals, release_periods, released_totals
from app.register.verification import DROPPED, PARTS_REMOVED, SCORES_REMOVED
from app.registry import store as registry
from app.registry.visibility import is_registered, withheld_of
from app.runs.schedules import database_clock
from app.states.store import FROZEN

NEVER = -1
FRESH = timedelta(days=92)
"""A forecast is filed by itself only where its data are no older: a feed that has ended is never scored."""
DAYS_IN_ENTRY = 200
"""Days named in one entry of the audit log, whose length is limited."""


@dataclass(frozen=True)
class Page:
    """Entries as shown, the newest first, and the record in sum."""

    region: Region
    entries: list[dict[str, Any]]
    starts: list[datetime]
    filed: int
    first_day: date | None
    last_day: date | None
    totals: dict[str, Any]


def file_next(service: ForecastService, region_id: str, day: date | None = None) -> Filed:
    """File the champion's forecast of the next day now; see `file_forecast`."""
    with service.engine.connect() as connection:
        now = database_clock(connection)
    return file_forecast(service, region_id, day, now)


def keep_register(engine: Engine, settings: Settings, region: Region, now: datetime) -> None:
    """File what is due, score what can be, release scores to readers, drop what is too old."""
    if _is_due(engine, settings, region, now):
        file_forecast(ForecastService(engine, settings), region.id, None, now)
    score_due(engine, region, now)
    with engine.begin() as connection:
        release_periods(connection, region, now)
        before = (now - timedelta(days=settings.register_retention_days)).date()
        days = store.remove_entries(connection, region.key, before)
        _record(connection, region.key, DROPPED, days)


def _is_due(engine: Engine, settings: Settings, region: Region, now: datetime) -> bool:
    """Return whether the hour of filing has come, nothing is filed yet, and the data are fresh."""
    hour = settings.register_at_hour
    if hour == NEVER or now.astimezone(zone(region.timezone)).hour < hour:
        return False
    with engine.connect() as connection, seeing_unreleased(True):
        if store.id_of(connection, region.key, next_day(now, region.timezone)) is not None:
            return False
        version = registry.sound_version(connection, region.key)
        if version is None:
            return False
        last = store.last_incident_before(connection, region.key, now)
        return last is not None and max(last, version.cutoff) >= now - FRESH


def forget_erased(
    connection: Connection,
    region_key: int,
    arrived_at: datetime | None,
    days: Collection[date],
    dropped: Sequence[str],
) -> None:
    """Remove what filed forecasts and their scores hold of erased incidents; the audit log says so.

    Last year's counts that were filed after the incidents arrived go, forecasts in states made from them,
    all forecasts of versions that are deleted, and scores of the days on which they happened, which are
    scored again.
    """
    c = register_entries.c
    conditions: dict[str, list[ColumnElement[bool]]] = {
        name: [c.version.in_(dropped)] for name in PARTS
    }
    if arrived_at is not None:
        conditions["rival"].append(c.filed_at >= arrived_at)
        conditions["forecast"].append((c.filed_at >= arrived_at) & (c.state != FROZEN))
    for name, ways in conditions.items():
        gone: set[date] = set()
        for condition in ways:
            gone.update(store.remove_parts(connection, region_key, name, condition))
        _record(connection, region_key, PARTS_REMOVED, sorted(gone), part=name)
    _record(
        connection, region_key, SCORES_REMOVED, store.remove_scores(connection, region_key, days)
    )


def _record(
    connection: Connection, region_key: int, action: str, days: Sequence[date], **details: Any
) -> None:
    for first in range(0, len(days), DAYS_IN_ENTRY):
        named = [day.isoformat() for day in days[first : first + DAYS_IN_ENTRY]]
        audit.record_for(connection, action, region_key, days=named, **details)


def list_entries(
    engine: Engine,
    region_id: str,
    limit: int,
    before: tuple[datetime, int] | None = None,
    *,
    exact: bool,
) -> Page:
    """Return a page of entries and the record.

    Args:
        exact: the caller may list incidents; others see no single day's score, and no version that is
            withheld from them.

    Raises:
        NotFound: no such region.
    """
    with engine.connect() as connection:
        region = get_region(connection, region_id)
        rows = store.page(connection, region.key, limit, before)
        shown = _shown(connection, region, rows, exact=exact)
        totals = (exact_totals if exact else released_totals)(connection, region.key)
        starts = [row.starts_at for row in rows]
        counted = store.count_entries(connection, region.key)
        return Page(region, shown, starts, *counted, totals)


def get_entry(
    engine: Engine, region_id: str, entry_id: int, *, exact: bool
) -> tuple[Region, dict[str, Any], Mapping[str, bytes | None]]:
    """Return an entry as shown, and those of its parts that the caller may see.

    Raises:
        NotFound: no such region or entry.
    """
    with engine.connect() as connection:
        region = get_region(connection, region_id)
        row = store.find(connection, region.key, entry_id)
        if row is None:
            raise NotFound(f"the register has no entry {entry_id}", field="entry")
        (shown,) = _shown(connection, region, [row], exact=exact)
        visible = {"forecast": shown["model_version"] is not None, "rival": exact}
        parts = {name: row._mapping[name] if visible[name] else None for name in PARTS}
        return region, shown, {k: None if v is None else bytes(v) for k, v in parts.items()}


def find_day(engine: Engine, region_id: str, day: date) -> int:
    """Return the id of a day's entry.

    Raises:
        NotFound: no such region, or nothing was filed of the day.
    """
    with engine.connect() as connection:
        found = store.id_of(connection, get_region(connection, region_id).key, day)
    if found is None:
        raise NotFound(f"nothing was filed of {day}", field="day")
    return found


def all_entries(
    engine: Engine, region_id: str
) -> Iterator[tuple[dict[str, Any], Mapping[str, bytes | None]]]:
    """Yield every entry with its parts, the newest first, for who may list incidents."""
    with engine.connect() as connection:
        region = get_region(connection, region_id)
        ids = [row.id for row in store.page(connection, region.key)]
    for entry_id in ids:
        _, shown, parts = get_entry(engine, region_id, entry_id, exact=True)
        yield shown, parts


def _shown(
    connection: Connection, region: Region, rows: Sequence[Any], *, exact: bool
) -> list[dict[str, Any]]:
    scores = store.scores_of(connection, [row.id for row in rows]) if exact else {}
    hidden = set() if exact else withheld_of(connection, region.key)
    if not exact:
        # A version that is no longer registered may have been withheld.
        names = {row.version for row in rows} - hidden
        hidden |= {name for name in names if not is_registered(connection, region.key, name)}
    local = zone(region.timezone)
    found = []
    for row in rows:
        entry = store.entry_of(row)
        about: dict[str, Any] = {
            "model": entry.model,
            "model_version": entry.version,
            "state": entry.state,
            "data_until": entry.data_until.isoformat(),
            "expected": entry.expected,
            "expected_lo": entry.expected_lo,
            "expected_hi": entry.expected_hi,
        }
        if entry.version in hidden:
            about = dict.fromkeys(about)
        found.append(
            {
                "id": row.id,
                "day": entry.day.isoformat(),
                "start": entry.starts_at.astimezone(local).isoformat(),
                "end": entry.ends_at.astimezone(local).isoformat(),
                "filed_at": entry.filed_at.astimezone(local).isoformat(timespec="seconds"),
                **about,
                "n_cells": entry.n_cells,
                "sha256": bytes(row.digest).hex(),
                "header": None if entry.version in hidden else entry.header(region.id),
                "removed": [name for name in PARTS if row._mapping[f"no_{name}"]],
                "scores": [
                    {
                        "look_days": one.look_days,
                        "scored_at": one.scored_at.isoformat(timespec="seconds"),
                        **read_score(one),
                    }
                    for one in scores.get(row.id, [])
                ],
            }
        )
    return found
