"""File a forecast of the next day: the champion's in its state of that hour, beside last year's counts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import numpy as np
from sqlalchemy import Connection

from app.audit import store as audit
from app.core.db.locks import STATE_LOCK, transaction_lock
from app.core.errors import Conflict, InvalidInput
from app.core.roles import seeing_unreleased
from app.core.zones import zone
from app.forecasts.forecast import Forecast
from app.forecasts.plan import Selector
from app.forecasts.service import ForecastService
from app.forecasts.versions.loaded import LoadedVersion
from app.regions.store import Region, get_region
from app.register import store
from app.register.parts import PART_HOURS, SHARES, FiledCounts, FiledForecast, sha256_of
from app.register.store import Entry
from app.registry import store as registry
from app.registry.new_incidents import at_default_geocodes, columns_as_learnt
from app.states.store import FROZEN, find_state
from models.densities.prior_counts import PRIOR_DAYS
from models.evaluation.metrics import n_top, ranked_rows
from models.units import HOUR_S


@dataclass(frozen=True)
class Filed:
    """What was filed, and under which id."""

    id: int
    entry: Entry
    digest: bytes


def next_day(now: datetime, timezone: str) -> date:
    """Return the first local day that has not begun."""
    return now.astimezone(zone(timezone)).date() + timedelta(days=1)


def span_of(day: date, timezone: str) -> tuple[datetime, datetime]:
    """Return the UTC start and end of a local day."""
    local = zone(timezone)
    begin, end = (datetime.combine(one, time(), local) for one in (day, day + timedelta(days=1)))
    return begin.astimezone(UTC), end.astimezone(UTC)


def file_forecast(
    service: ForecastService, region_id: str, day: date | None, now: datetime
) -> Filed:
    """File the champion's forecast of the next local day, once; the audit log says so for good.

    Args:
        day: that day; None: whichever is next.
        now: the time of the database.

    Raises:
        NotFound: no such region.
        NotReady: the region has no champion.
        Conflict: the day has begun, or its forecast is filed.
        InvalidInput: it is not the next day.
    """
    with service.engine.begin() as connection, seeing_unreleased(True):
        region = get_region(connection, region_id)
        day = _checked_day(day, now, region.timezone)
        if store.id_of(connection, region.key, day) is not None:
            raise _is_filed(day)
        # No state is made and no incident erased between what is computed and what is stored.
        transaction_lock(connection, STATE_LOCK, region.key)
        service.forget_champion(region_id)
        version, state, forecast, totals = _computed(service, region, day)
        _check_still_there(connection, region, version, state.state_id)
        rival = _counts(connection, region, version, now)
        parts = forecast.pack(), rival.pack()
        start, end = span_of(day, region.timezone)
        entry = Entry(
            day, start, end, now.astimezone(UTC), version.record.model, version.record.version,
            state.state_id, state.data_until, len(version.grid), *totals, *map(sha256_of, parts),
        )  # fmt: skip
        return _stored(connection, region, entry, parts)


def _checked_day(day: date | None, now: datetime, timezone: str) -> date:
    following = next_day(now, timezone)
    if day is None or day == following:
        return following
    if day < following:
        raise Conflict(
            f"{day} has begun in {timezone}; a forecast is filed before its day, the next is {following}",
            code="day_has_begun",
            field="day",
        )
    raise InvalidInput(f"only the next day, {following}, can be filed, not {day}", field="day")


def _is_filed(day: date) -> Conflict:
    return Conflict(
        f"the forecast of {day} is filed; the first one stands", code="already_filed", field="day"
    )


def _stored(
    connection: Connection, region: Region, entry: Entry, parts: tuple[bytes, bytes]
) -> Filed:
    digest = entry.digest(region.id)
    found = store.add_entry(connection, region.key, entry, parts, digest)
    if found is None:
        raise _is_filed(entry.day)
    recorded = audit.record(
        connection,
        "register.filed",
        chain=region.id,
        day=entry.day.isoformat(),
        starts_at=entry.starts_at.isoformat(),
        version=entry.version,
        state=entry.state,
        sha256=digest.hex(),
    )
    if recorded.at >= entry.starts_at:
        raise Conflict(f"{entry.day} began meanwhile; nothing is filed", code="day_has_begun")
    return Filed(found, entry, digest)


def _computed(
    service: ForecastService, region: Region, day: date
) -> tuple[LoadedVersion, LoadedVersion, FiledForecast, tuple[float, float, float]]:
    """Return the champion as loaded and in its state, the forecast, and its total with 90 % bounds."""
    version = service.versions.read(region.id)
    service.kinds.read_all(version)
    start, end = span_of(day, region.timezone)
    n_hours = int((end - start).total_seconds() // HOUR_S)
    parts: list[Forecast] = []
    begin = 0
    while begin < n_hours:
        at = (start + timedelta(hours=begin)).astimezone(zone(region.timezone))
        n_slots = _hours_in_part(at, n_hours - begin)
        parts.append(_forecast(service, version, int(start.timestamp()) + begin * HOUR_S, n_slots))
        begin += n_slots
    whole = service.plan_of(
        version, Selector(start=start, end=end), int(start.timestamp()), n_hours
    )
    mean = service.slot_means(whole)
    counts = whole.counts_at(float(whole.lead_days.mean()))
    low, high = counts.interval(mean)
    totals = (float(mean.sum()), *counts.interval_of_sum(mean, whole.slots.time_s))
    n_listed = n_top(len(version.grid), SHARES[-1])
    filed = FiledForecast(
        version.grid.cell_id,
        version.grid.area_km2,
        mean,
        low,
        high,
        np.stack([ranked_rows(one.probability)[:n_listed] for one in parts]),
        np.stack([one.probability for one in parts]),
    )
    return version, whole.version, filed, totals


def _hours_in_part(at: datetime, n_left: int) -> int:
    """Return how many of the hours from a local time on belong to its part of the day."""
    local, n = at.tzinfo, 1
    while n < n_left:
        later = (at.astimezone(UTC) + timedelta(hours=n)).astimezone(local)
        if later.hour // PART_HOURS != at.hour // PART_HOURS:
            break
        n += 1
    return n


def _forecast(
    service: ForecastService, version: LoadedVersion, start_s: int, n_slots: int
) -> Forecast:
    begin, end = (datetime.fromtimestamp(s, UTC) for s in (start_s, start_s + n_slots * HOUR_S))
    return service.forecast_of(
        service.plan_of(version, Selector(start=begin, end=end), start_s, n_slots)
    )


def _check_still_there(
    connection: Connection, region: Region, version: LoadedVersion, state_id: str
) -> None:
    """Raise if an erasure removed the version or its state while the forecast was computed.

    Raises:
        Conflict: it did; file again.
    """
    name = version.record.version
    known = registry.sound_version(connection, region.key, name) is not None
    if known and state_id != FROZEN:
        known = find_state(connection, region.key, name, int(state_id)) is not None
    if not known:
        raise Conflict(
            f"version {name} or its state was removed meanwhile; file again",
            code="version_removed",
        )


def _counts(
    connection: Connection, region: Region, version: LoadedVersion, now: datetime
) -> FiledCounts:
    """Return the counts of the last year of data that an analyst would have had at that hour."""
    n_cells = len(version.grid)
    last = store.last_incident_before(connection, region.key, now)
    if last is None:
        return FiledCounts(np.zeros(n_cells, np.int64))
    columns = columns_as_learnt(
        connection,
        region,
        version.record,
        since=last - timedelta(days=PRIOR_DAYS),
        until=now,
    )
    facts = version.record.report.get("data", {})
    rows = version.grid.locate(columns.x_m, columns.y_m)
    rows = rows[(rows >= 0) & ~at_default_geocodes(columns, facts)]
    return FiledCounts(np.bincount(rows, minlength=n_cells).astype(np.int64))
