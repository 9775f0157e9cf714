"""The forecast service; every forecast comes from a single model version.

A request is first resolved to a version. Grid, tables and counts are then read by that version's
immutable keys, so that a promotion during a request cannot mix two versions. Everything read is cached
in the process; the champion is looked up again after `CHAMPION_TTL_S` (`versions/version_reader.py`).
"""

from __future__ import annotations

import time
from collections.abc import Hashable
from datetime import UTC, datetime, timedelta

import numpy as np
from sqlalchemy import Engine

from app.core.caching.cache import BoundedCache, TTLCache
from app.core.messages import Message
from app.core.roles import sees_unreleased
from app.core.settings import Settings
from app.forecasts.areas.layers import CellLayers, LayerReader
from app.forecasts.forecast import Forecast, rows_shown
from app.forecasts.kinds import KindReader, codes_of, harm_of, is_trained_with, shares_of
from app.forecasts.plan import Plan, Selector
from app.forecasts.regridding import CellRegridder
from app.forecasts.replies.shared_replies import SharedReplies, shared_files
from app.forecasts.streets.reader import StreetReader
from app.forecasts.time_span import check_one_way, slots_of
from app.forecasts.versions.loaded import LoadedVersion
from app.forecasts.versions.notices import news_of
from app.forecasts.versions.prepared import Prepared
from app.forecasts.versions.state_reader import StateReader
from app.forecasts.versions.tables import TableReader, log_variance
from app.forecasts.versions.version_reader import VersionReader
from app.forecasts.warnings import WARNINGS
from app.geo.hour_of_week import next_slot_of
from app.http.parameters import check_bbox_order
from app.regions.layer_store import NEIGHBOURHOODS
from app.regions.shifts import ShiftName
from models.units import FloatArray

NEWS_TTL_S = 60.0
PAST = "past"
PAST_CACHED_S = 60
"""How long what was read of past incidents serves further requests."""
"""Kind of the cache keys of a region's past incidents."""
OF_PLANS = frozenset(["reply", "best zones"])
"""Kinds of cache keys that begin with that of a plan."""


class ForecastService:
    """Forecasts for all regions; one instance per process, shared by its threads."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self.engine = engine
        self.settings = settings
        self.cache = BoundedCache(settings.model_cache_bytes)
        files = shared_files(settings)
        prepared = Prepared(files)
        self.tables = TableReader(engine, self.cache, prepared)
        self.cells = CellRegridder(self.cache)
        self.promotions_seen = 0
        self.brief = TTLCache()
        self.versions = VersionReader(engine, self.cache, self.brief, prepared)
        self.kinds = KindReader(engine, self.brief)
        self.states = StateReader(engine, self.cache, self.brief)
        self.layers = LayerReader(engine, self.cache)
        self.streets = StreetReader(engine, self.cache, self.brief)
        self.shared = SharedReplies(engine, files, self.forget_region)

    def forget_champion(self, region_id: str) -> None:
        """Discard the cached champion of a region, after a promotion or a new state by this process."""
        self.versions.forget_champion(region_id)
        self.states.forget(region_id)
        self.promotions_seen += 1

    def forget_region(self, region_id: str) -> None:
        """Discard what is cached of a region, after an erasure or a change."""
        self.forget_champion(region_id)
        for name in self.brief.names("news") + self.brief.names("released news"):
            if name.startswith(f"{region_id}/"):
                self.brief.forget("news", name)
                self.brief.forget("released news", name)
        region_keys = self.shared.drop(region_id)
        self.versions.forget(region_id)
        self.streets.forget(region_id)
        self.kinds.forget(region_id)
        self.cache.discard_where(lambda key: key[:2] == (PAST, region_id))
        self.cache.discard_where(lambda key: key[0] in OF_PLANS and key[1] in region_keys)

    def past_key(self, region_id: str, *what: Hashable) -> tuple[Hashable, ...]:
        """Return the cache key of something read of past incidents: an erasure discards it, as does time."""
        return (PAST, region_id, *what, int(time.monotonic()) // PAST_CACHED_S)

    def forget_kinds(self, region_id: str) -> None:
        """Discard a region's cached choices of categories, after a change by this process."""
        self.kinds.forget(region_id)

    def forget_layer(self, region_id: str, name: str) -> None:
        """Discard a cached layer, after a change by this process."""
        self.layers.forget(region_id, name)
        self.promotions_seen += 1

    def cached_plan(self, region_id: str, selector: Selector) -> Plan | None:
        """Return the plan of a request, or None if that needs the database.

        Raises:
            InvalidInput: the selector is invalid.
        """
        if selector.as_of is not None:
            return None
        version = self.versions.cached(region_id, selector)
        if version is None or not self.kinds.is_cached(region_id):
            return None
        if not self.streets.is_cached(region_id):
            return None
        layers = (NEIGHBOURHOODS, *selector.layers)
        if any(self.layers.known_digest(version.region, name) is None for name in layers):
            return None
        news = self.brief.recall(_news_kind(), version.full_name, tuple)
        if news is None:
            return None
        check_box(version, selector)
        start, n_slots = self._span(version, selector)
        stated = self.states.cached(version, selector, start)
        if stated is None:
            return None
        return self._plan_in(stated, selector, int(start.timestamp()), n_slots, news)

    def plan(self, region_id: str, selector: Selector) -> Plan:
        """Resolve a request to a version and slots.

        Raises:
            NotFound: the region, model, version or layer does not exist.
            NotReady: the region has no version yet.
            InvalidInput: the selector is invalid.
        """
        version = self.versions.read(region_id, selector.model, selector.as_of)
        self.kinds.read_all(version)
        news = self.brief.recall(_news_kind(), version.full_name, tuple)
        if news is None:
            news = news_of(self.engine, version)
            self.brief.keep(_news_kind(), version.full_name, news, NEWS_TTL_S)
        check_box(version, selector)
        start, n_slots = self._span(version, selector)
        return self.plan_of(version, selector, int(start.timestamp()), n_slots, news)

    def plan_of(
        self,
        version: LoadedVersion,
        selector: Selector,
        start_s: int,
        n_slots: int,
        news: tuple[Message, ...] = (),
    ) -> Plan:
        """Return the plan of some slots, with the state and the codes of the categories asked for.

        Raises:
            NotFound: the version has no such category, or no such state.
            InvalidInput: no category has the weight asked for.
        """
        stated = self.states.read(version, selector, datetime.fromtimestamp(start_s, UTC))
        return self._plan_in(stated, selector, start_s, n_slots, news)

    def _plan_in(
        self,
        version: LoadedVersion,
        selector: Selector,
        start_s: int,
        n_slots: int,
        news: tuple[Message, ...],
    ) -> Plan:
        if version.state is not None:
            news = tuple(one for one in news if one.code != "new_incidents")
        kinds = self.kinds.read(version)
        codes = harm = None
        if selector.categories:
            codes = codes_of(version, kinds, self.kinds.codes(version), selector.categories)
        if selector.weight is not None:
            harm = harm_of(version, kinds, self.kinds.codes(version), codes)
        if not is_trained_with(version, kinds):
            news = (*news, WARNINGS.make("former_kinds"))
        neighbourhoods = self.layers.digest(version.region, NEIGHBOURHOODS)
        named = [self.layers.read(version.region, name).sha256 for name in selector.layers]
        layers = (neighbourhoods, *named)
        streets = self.streets.digest(version)
        return Plan(version, selector, start_s, n_slots, news, codes, harm, layers, streets)

    def _span(self, version: LoadedVersion, selector: Selector) -> tuple[datetime, int]:
        """Return the UTC start of the first slot and the number of slots."""
        check_one_way(selector)
        if selector.window is not None:
            return self._next_slot(version, selector.window), 1
        if selector.shift is not None:
            return self._shift_slots(version, selector.shift, selector)
        return slots_of(selector, version.region.timezone)

    def _shift_slots(
        self, version: LoadedVersion, name: ShiftName, selector: Selector
    ) -> tuple[datetime, int]:
        """Return the span of a shift: of its day, or the first that has not ended."""
        timezone, shift = version.region.timezone, self.kinds.shift(version, name)
        day = selector.day
        if day is None:
            day = shift.next_day(max(datetime.now(UTC), version.record.cutoff), timezone)
        start, end = shift.span(day, timezone)
        return slots_of(Selector(start=start, end=end), timezone)

    def _next_slot(self, version: LoadedVersion, window: int) -> datetime:
        """Return the next slot of a window; the result is cached for the rest of the hour."""
        after = max(datetime.now(UTC), version.record.cutoff)
        hour = after.replace(minute=after.minute // 15 * 15, second=0, microsecond=0)
        hour += timedelta(minutes=15) if hour < after else timedelta(0)
        key = ("next", version.region.timezone, window, hour)
        return self.cache.get_or_make(
            key,
            datetime,
            lambda: next_slot_of(window, hour, version.region.timezone),
            lambda _slot: 500,
        )

    def forecast(self, region_id: str, selector: Selector) -> Forecast:
        """Return the forecast of a slot, or of a range of slots; see `plan` for errors."""
        return self.forecast_of(self.plan(region_id, selector))

    def forecast_of(self, plan: Plan, only_shown: bool = False) -> Forecast:
        """Compute the forecast of a plan; only of the cells to show, if the others matter to nothing.

        Raises:
            NotFound: the version does not have the category, or the layer not the area.
            InvalidInput: the cell size or resolution is out of range, or no cell belongs to the area.
            LimitExceeded: too many cells.
        """
        version, selector = plan.version, plan.selector
        cells, regridding = self.cells.of(version, selector)
        layers = self.layers.of(version, selector, cells)
        rows = shown = None
        if only_shown and (selector.bbox is not None or layers.inside is not None):
            shown = rows_shown(cells, layers, selector)
        if regridding is None and shown is not None:
            cells, layers, rows, shown = cells.take(shown), CellLayers(), shown, None
        mean = self.slot_means(plan)
        windows = plan.slots.window
        probability = self.tables.mixed(plan, plan.codes, mean, rows=rows)
        variance = None
        if plan.codes is None and plan.harm is None:
            variance = log_variance(version.band, windows, mean, rows)
        if regridding is not None:
            if variance is not None:
                # As if the cells were off together: their deviations add up like the probabilities.
                variance = regridding.mean(np.sqrt(variance), probability) ** 2
            probability = regridding.apply(probability)
        found = Forecast(plan, cells, probability, mean, log_variance=variance, layers=layers)
        if plan.harm is not None:
            weights = plan.harm.by_code
            shares = shares_of(version.counts, weights, windows)
            harm = version.counts.mean(plan.slots) * shares.sum(axis=0)
            weighted = self.tables.mixed(plan, None, harm, weights, rows)
            if regridding is not None:
                weighted = regridding.apply(weighted)
            total = float(harm.sum())
            found = Forecast(plan, cells, weighted, mean, probability, total, layers=layers)
        return found if shown is None else found.of_cells(shown)

    def slot_means(self, plan: Plan) -> FloatArray:
        """Return the expected incidents (K,) of each slot, of the requested categories."""
        counts, slots = plan.version.counts, plan.slots
        mean: FloatArray = counts.mean(slots)
        if plan.codes is None:
            return mean
        weights = tuple((code, 1.0) for code in plan.codes)
        result: FloatArray = mean * shares_of(counts, weights, slots.window).sum(axis=0)
        return result


def check_box(version: LoadedVersion, selector: Selector) -> None:
    """Raise if the requested box was probably given in another order.

    Raises:
        InvalidInput: see `check_bbox_order`.
    """
    if selector.bbox is not None:
        check_bbox_order(selector.bbox, version.cells.extent)


def _news_kind() -> str:
    """Return the cache key of notices: readers see released incidents only."""
    return "news" if sees_unreleased.get() else "released news"
