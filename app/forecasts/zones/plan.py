"""A plan of zones with all that replies say of it: hours, places, price, what stays and what moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from app.core.caching.once import once
from app.core.errors import LimitExceeded
from app.core.zones import zone
from app.forecasts.areas.neighbourhoods import Neighbourhoods, neighbourhoods_of
from app.forecasts.forecast import Forecast
from app.forecasts.replies.serialisers import ids_of
from app.forecasts.service import ForecastService
from app.forecasts.zones.record import record_of
from app.forecasts.zones.selection import (
    MAX_ZONES,
    ChosenZones,
    Ground,
    Rows,
    ZoneOptions,
    cells_avoided,
    check_budget,
    given_zones,
)
from app.forecasts.zones.stability import Status, followed
from app.streets.places import PlaceNames, place_name
from models.units import FloatArray


@dataclass(frozen=True)
class ZonePlan:
    """Zones of a forecast, and what is known of them.

    Args:
        by_hour: (H, Z) expected counts of each slot and zone.
        status: of each zone, where a plan before was given.
        previous: what became of the plan before.
        price: what given zones cost against the best plan.
        record: what such plans caught before (see `record_of`), if asked for.
    """

    forecast: Forecast
    options: ZoneOptions
    chosen: ChosenZones
    by_hour: FloatArray
    neighbourhoods: Neighbourhoods | None = None
    street_names: PlaceNames | None = None
    status: tuple[Status, ...] | None = None
    previous: dict[str, Any] | None = None
    price: dict[str, Any] | None = None
    record: dict[str, Any] | None = None

    @once
    def hours(self) -> list[str]:
        """Local times at which the slots start."""
        local = zone(self.forecast.version.region.timezone)
        times = self.forecast.plan.slots.time_s.tolist()
        return [datetime.fromtimestamp(t, UTC).astimezone(local).isoformat() for t in times]

    def place_of(self, rows: Rows) -> str | None:
        """Return the nearest crossing of the best cell, or its neighbourhood; None where neither is known."""
        best = rows[np.argmax(self.forecast.probability[rows])]
        if self.street_names is not None:
            longitude, latitude = self.forecast.cells.centres
            crossing = place_name(self.street_names, float(longitude[best]), float(latitude[best]))
            if crossing is not None:
                return crossing
        return self.neighbourhood_of(rows)

    def neighbourhood_of(self, rows: Rows) -> str | None:
        """Return the neighbourhood of the best cell; None where it has none."""
        best = rows[np.argmax(self.forecast.probability[rows])]
        return None if self.neighbourhoods is None else self.neighbourhoods.of(best[None])[0]


def zone_plan(service: ForecastService, forecast: Forecast, options: ZoneOptions) -> ZonePlan:
    """Choose zones, follow the plan before, or price given ones.

    Raises:
        InvalidInput: an option is wrong for this forecast.
        LimitExceeded: the budget holds too many cells, or too many zones are given.
    """
    ground = Ground.of(forecast, options, _avoided(service, forecast, options))
    check_budget(options.max_km2, forecast.cells.area_km2[ground.rows])
    found = _found(service, ground)
    by_hour = counts_by_hour(service, forecast, found.chosen.rows)
    return replace(
        found,
        by_hour=by_hour,
        neighbourhoods=neighbourhoods_of(service.layers, forecast),
        street_names=service.streets.names(forecast.plan),
        record=record_of(service, forecast, options) if options.record else None,
    )


def _avoided(service: ForecastService, forecast: Forecast, options: ZoneOptions) -> Rows | None:
    if not options.avoid:
        return None
    rows = [cells_avoided(forecast, options.avoid)]
    for area in options.avoided_areas():
        selector = replace(forecast.selector, inside=area, within=None)
        found = service.layers.of(forecast.version, selector, forecast.cells)
        if found.inside is not None:
            rows.append(np.flatnonzero(found.inside))
    return np.concatenate(rows)


def _found(service: ForecastService, ground: Ground) -> ZonePlan:
    forecast, options = ground.forecast, ground.options
    nothing = np.empty((0, 0))
    if options.zones is not None:
        return _priced(service, ground)
    if options.previous is None:
        best = _best(service, ground, options.n, options.max_km2)
        chosen = ground.chosen(best, options.max_km2)
        return ZonePlan(forecast, options, chosen, nothing)
    _check_number(options.previous, "previous")
    follows = followed(ground, given_zones(forecast, options.previous, "previous"))
    chosen = ground.chosen(follows.zones, options.max_km2)
    status_of = {zone.tobytes(): s for zone, s in zip(follows.zones, follows.status, strict=True)}
    status = tuple(status_of[zone.tobytes()] for zone in chosen.rows)
    return ZonePlan(forecast, options, chosen, nothing, status=status, previous=follows.to_json())


def _best(service: ForecastService, ground: Ground, n: int, max_km2: float) -> list[Rows]:
    """Return the best zones; a record, each price and each format of a plan search for the same ones."""
    options = ground.options
    asked = (n, max_km2, options.compactness, options.min_separation_m, options.avoid)
    found: list[Rows] = service.cache.get_or_make(
        ("best zones", *ground.forecast.plan.key, *asked),
        list,
        lambda: ground.best(n, max_km2),
        lambda zones: sum(zone.nbytes for zone in zones),
    )
    return found


def _priced(service: ForecastService, ground: Ground) -> ZonePlan:
    """Return given zones as they are, and what they cost.

    The best plan beside them has as many zones and as much area as was asked for, or as they have where
    that is more.
    """
    forecast, options = ground.forecast, ground.options
    given = options.zones or ()
    _check_number(given, "zones")
    zones = given_zones(forecast, given, "zones")
    area_km2 = float(forecast.cells.area_km2[np.concatenate(zones)].sum())
    budget_km2, n = max(options.max_km2, area_km2), max(options.n, len(zones))
    chosen = ground.chosen(zones, budget_km2)
    best = ground.chosen(_best(service, ground, n, budget_km2), budget_km2)
    share = float(forecast.count_share[best.together].sum())
    price = {
        "share_of_incidents_best": share,
        "share_lost": 1.0 - chosen.worth / best.worth if best.worth > 0 else 0.0,
        "expected_count_best": share * forecast.expected_total,
        "n": n,
        "max_km2": budget_km2,
        "best": [ids_of(forecast, zone) for zone in best.rows],
    }
    return ZonePlan(forecast, options, chosen, np.empty((0, 0)), price=price)


def _check_number(zones: tuple[Any, ...], field: str) -> None:
    if len(zones) > MAX_ZONES:
        raise LimitExceeded(
            f"{len(zones)} zones, the limit is {MAX_ZONES}",
            field=field,
            limit=MAX_ZONES,
            asked=len(zones),
        )


def counts_by_hour(
    service: ForecastService, forecast: Forecast, zones: Sequence[Rows]
) -> FloatArray:
    """Return the expected counts (H, Z) of each slot and zone; they sum to those of the forecast."""
    plan = forecast.plan
    _, regridding = service.cells.of(plan.version, plan.selector)
    tables = service.tables.tables_of(plan.version, plan.codes, plan.slot_kinds)
    moved = {s: t if regridding is None else regridding.apply(t) for s, t in tables.items()}
    share = {slot: [table[zone].sum() for zone in zones] for slot, table in moved.items()}
    slots = zip(plan.slot_kinds, forecast.slot_mean.tolist(), strict=True)
    return np.array([[mean * one for one in share[slot]] for slot, mean in slots])
