"""Outcomes: past forecasts compared with the incidents that happened, by cell."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import Connection

from app.core.errors import InvalidInput, LimitExceeded, NotFound, NotReady
from app.forecasts.forecast import Forecast
from app.forecasts.hotspots.selection import n_top_cells
from app.forecasts.plan import Selector
from app.forecasts.presence import outcome_presence
from app.forecasts.replies.serialisers import collection, features
from app.forecasts.service import ForecastService, check_box
from app.forecasts.time_span import check_one_way, range_of, slots_of
from app.forecasts.versions.loaded import LoadedVersion
from app.geo.antimeridian import in_bbox
from app.geo.study_area import to_degrees
from app.incidents.column_store import read_columns
from app.presence.rates import Recorded
from app.regions.category_store import kind_names
from app.regions.kinds import Kinds, folded
from app.regions.service import policy_of
from app.regions.shifts import ShiftName
from app.regions.store import Region, get_region
from app.registry.history import last_incident_at
from app.registry.new_incidents import hours_since, incidents_of
from models.evaluation.metrics import cap_curve, places_of, ranked_rows
from models.times.intervals import HourShares
from models.units import DAY_S, IntArray

MAX_DAYS = 31
DEFAULT_DAYS = 7


def outcomes_geojson(
    service: ForecastService, region_id: str, selector: Selector, top: float
) -> tuple[bytes, dict[str, Any]]:
    """Return cells with incidents and hits in the top-k% cells, as GeoJSON, and its heading.

    A box restricts incidents, hits and cells; the top-k% cells are those of the whole region. An incident
    known as an interval, or as its day because its time is a placeholder, is a hit by the share of its
    hours, at the forecast's hourly rates, in which its cell is among them.

    Without a range or a shift, the last seven days of data are used; of a shift without a date, the last
    that ended within the data. Without `as_of`, the version is one trained only on earlier data, if there is
    one; otherwise the reply has `in_sample` true.

    Raises:
        NotReady: the region has no model or no incidents.
        LimitExceeded: the range is longer than a month.
        InvalidInput: the range or the percentage is wrong.
    """
    start, end = _range(service, region_id, selector)
    version = _version(service, region_id, selector, start)
    check_box(version, selector)
    n_slots = max(1, int((end - start).total_seconds() // 3600))
    chosen = replace(selector, at=None, window=None, start=start, end=end)
    forecast = service.forecast_of(
        service.plan_of(version, chosen, int(start.timestamp()), n_slots)
    )
    rows, slots, hours, hour = _happened(service, forecast, start, end)
    n_flagged = n_top_cells(len(version.grid), top)
    place = _places(service, forecast, rows[hours.incident], slots)
    n = len(rows)
    count = np.bincount(rows, minlength=len(version.grid))
    hit = hours.mean((place < n_flagged).astype(np.float64))
    hits = np.round(np.bincount(rows, hit, len(version.grid)), 3)
    if hours.is_exact:
        hits = hits.astype(np.int64)
    minimum = policy_of(service.engine, region_id).minimum_count
    shown = np.flatnonzero(count >= max(minimum, 1))
    during = (hour >= 0) & (hour < n_slots)
    recorded = Recorded(rows[hours.incident][during], hour[during], hours.weight[during])
    presence = outcome_presence(service, forecast, recorded, n_flagged)
    head: dict[str, Any] = {
        **forecast.heading(),
        **version.cells.head(),
        "in_sample": forecast.version.data_until > start,
        "top": top,
        "incidents": n,
        "hits": hits.sum().item(),
        "hit_rate": float(hits.sum() / n) if n else None,
        "minimum_count": minimum,
        "hidden_cells": int(np.count_nonzero(count)) - len(shown),
        "share_of_cells": n_flagged / len(version.grid),
        "presence": None if presence is None else presence[0],
        "cap_curve": cap_curve(place, len(version.grid), hours.weight) if n else None,
    }
    columns = {
        "incidents": count[shown].tolist(),
        "hits": hits[shown].tolist(),
        "misses": (count - hits)[shown].tolist(),
    }
    if presence is not None:
        columns["unit_hours_present"] = presence[1][shown].round(6).tolist()
    return collection(head, features(forecast, shown, **columns)), head


def _range(
    service: ForecastService, region_id: str, selector: Selector
) -> tuple[datetime, datetime]:
    for name in ("at", "window"):
        if getattr(selector, name) is not None:
            raise InvalidInput(
                "outcomes need a range: give a shift, from and to, or neither for the last days, "
                f"not {name}",
                field=name,
            )
    if selector.day is not None or selector.shift is not None:
        check_one_way(selector)
    if selector.shift is not None:
        return _shift(service, region_id, selector, selector.shift)
    if selector.start is None and selector.end is None:
        return _last_days(service, region_id)
    version = service.versions.read(region_id, selector.model)
    start, end = range_of(selector, version.region.timezone)
    if end - start > timedelta(days=MAX_DAYS):
        raise LimitExceeded(
            f"the range spans {(end - start) / timedelta(days=1):g} days, the limit is {MAX_DAYS}",
            field="to",
            limit=MAX_DAYS,
            asked=(end - start) / timedelta(days=1),
        )
    return start, end


def _shift(
    service: ForecastService, region_id: str, selector: Selector, name: ShiftName
) -> tuple[datetime, datetime]:
    """Return the hours of a shift: of its day, or of the last that ended within the data."""
    version = service.versions.read(region_id, selector.model)
    timezone, day = version.region.timezone, selector.day
    shift = service.kinds.shift(version, name)
    if day is None:
        day = shift.last_day(_data_end(service, version), timezone)
    start, end = shift.span(day, timezone)
    begin, n_slots = slots_of(Selector(start=start, end=end), timezone)
    return begin, begin + timedelta(hours=n_slots)


def _last_days(service: ForecastService, region_id: str) -> tuple[datetime, datetime]:
    end = _data_end(service, service.versions.read(region_id))
    return end - timedelta(days=DEFAULT_DAYS), end


def _data_end(service: ForecastService, version: LoadedVersion) -> datetime:
    """Return the end of the hour of the region's last incident."""
    with service.engine.connect() as connection:
        last = last_incident_at(connection, version.record.region_key)
    if last is None:
        raise NotReady("the region has no incidents yet", code="no_incidents")
    return datetime.fromtimestamp((int(last.timestamp()) // 3600 + 1) * 3600, UTC)


def _version(
    service: ForecastService, region_id: str, selector: Selector, start: datetime
) -> LoadedVersion:
    if selector.as_of is not None:
        return service.versions.read(region_id, selector.model, selector.as_of)
    try:
        return service.versions.read(region_id, selector.model, start)
    except NotFound:
        return service.versions.read(region_id, selector.model)


def _happened(
    service: ForecastService, forecast: Forecast, start: datetime, end: datetime
) -> tuple[IntArray, IntArray, HourShares, IntArray]:
    """Return rows (n,) of the incidents inside the study area and the requested box, and their m hours.

    Between them stand the slots (m, 2) of the hours: a window and a lead day, as in `Plan.slot_kinds`;
    last the place (m,) of each hour in the period, which an interval may leave.
    """
    version = forecast.version
    with service.engine.begin() as connection:
        region = get_region(connection, version.region.id)
        wanted = kinds_forecast(connection, region, forecast)
        columns = read_columns(connection, region, start, end, wanted)
    rows = version.grid.locate(columns.x_m, columns.y_m)
    inside = rows >= 0
    if forecast.selector.bbox is not None:
        longitude, latitude = to_degrees(
            columns.x_m.astype(np.float64), columns.y_m.astype(np.float64), version.grid.crs
        )
        inside &= in_bbox(longitude, latitude, forecast.selector.bbox)
    facts = version.record.report.get("data", {})
    found = incidents_of(columns, version.region.timezone, facts).take(inside)
    hours = found.shared_by(np.array([version.record.counts["profile"]])).by_hour()
    ahead_s = found.time_s - int(version.data_until.timestamp())
    lead_days = np.maximum(ahead_s // DAY_S, 0)[hours.incident]
    slots = np.stack([hours.window, lead_days], axis=1)
    return rows[inside], slots, hours, hours_since(found, hours, int(start.timestamp()))


def kinds_forecast(connection: Connection, region: Region, forecast: Forecast) -> list[str] | None:
    """Return the kinds of incidents that a forecast is of; None: all."""
    return names_judged(connection, region, forecast.version, forecast.selector.categories)


def names_judged(
    connection: Connection, region: Region, version: LoadedVersion, asked: tuple[str, ...]
) -> list[str] | None:
    """Return the stored names of the categories that a forecast is judged on; None: of all.

    Args:
        asked: names, aliases or groups; empty: all that the version has learnt from.
    """
    known = kind_names(connection, region)
    if asked:
        have = {folded(name) for name in known}
        return [n for n in Kinds.of(region.settings).expanded(asked) if folded(n) in have]
    if not version.not_learnt:
        return None
    left_out = {folded(name) for name in version.not_learnt}
    return [name for name in known if folded(name) not in left_out]


def _places(
    service: ForecastService, forecast: Forecast, rows: IntArray, slots: IntArray
) -> IntArray:
    """Return the 0-based rank (n,) of each incident's cell in its hour, ties by cell id."""
    kinds = [(int(window), int(lead)) for window, lead in np.unique(slots, axis=0)]
    tables = service.tables.tables_of(forecast.version, forecast.plan.codes, kinds)
    place = np.empty(len(rows), np.int64)
    for slot, probability in tables.items():
        mine = (slots == slot).all(axis=1)
        place[mine] = places_of(ranked_rows(probability))[rows[mine]]
    return place
