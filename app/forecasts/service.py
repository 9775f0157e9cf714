"""The forecast service; every forecast comes from a single model version.

A request is first resolved to a version. Grid, tables and counts are then read by that version's
immutable keys, so that a promotion during a request cannot mix two versions. Everything read is cached
in the process; the champion is looked up again after `CHAMPION_TTL_S`.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
from sqlalchemy import Connection, Engine

from app.core.cache import BoundedCache, TTLCache
from app.core.messages import Message
from app.core.roles import sees_unreleased
from app.core.settings import Settings
from app.core.zones import zone
from app.forecasts.cells import CELL_BYTES, CellRegridder
from app.forecasts.kinds import codes_of, harm_of, is_trained_with, shares_of
from app.forecasts.time_span import check_one_way, slots_of
from app.forecasts.types import Forecast, Plan, Selector
from app.forecasts.versions.loaded import Ground, LoadedVersion
from app.forecasts.versions.notices import news_of
from app.forecasts.versions.state_reader import StateReader
from app.forecasts.versions.tables import TableReader, log_variance, read_band
from app.forecasts.warnings import WARNINGS
from app.geo.boundaries import study_area_from_geojson
from app.geo.hour_of_week import next_slot_of
from app.http.parameters import check_bbox_order
from app.incidents.releases import known_categories
from app.regions.kinds import Kinds
from app.regions.store import get_region
from app.registry import store as registry
from app.registry.artifacts import ArtifactCorrupt, load_grid
from app.registry.history import earlier_champions, version_as_of
from app.registry.integrity import check_grid_name
from app.registry.visibility import is_withheld
from models.base import FloatArray
from models.counts.model import CountModel

__all__ = ["Forecast", "ForecastService", "LoadedVersion", "Plan", "Selector"]

CHAMPION_TTL_S = 0.25
NEWS_TTL_S = 60.0
SERVED_S = 3600.0
"""How long after its last request a region counts as served by this process."""
DAMAGE_TTL_S = 60.0
"""How long a damaged version is not checked again."""
VERSION_BYTES = 1_000_000
"""Memory that a version's record and count model take."""
_log = logging.getLogger("hotslot.forecast")


class ForecastService:
    """Forecasts for all regions; one instance per process, shared by its threads."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self.engine = engine
        self.settings = settings
        self.cache = BoundedCache(settings.model_cache_bytes)
        self.tables = TableReader(engine, self.cache)
        self.cells = CellRegridder(self.cache)
        self.promotions_seen = 0
        self.brief = TTLCache()
        self.states = StateReader(engine, self.cache, self.brief)

    def forget_champion(self, region_id: str) -> None:
        """Discard the cached champion of a region, after a promotion or a new state by this process."""
        self.brief.forget("champion", region_id)
        self.brief.forget("released champion", region_id)
        self.states.forget(region_id)
        self.promotions_seen += 1

    def forget_region(self, region_id: str) -> None:
        """Discard the cached versions of a region, after an erasure."""
        self.forget_champion(region_id)
        self.cache.discard_where(lambda key: key[:2] == ("version", region_id))

    def cached_plan(self, region_id: str, selector: Selector) -> Plan | None:
        """Return the plan of a request, or None if that needs the database.

        Raises:
            InvalidInput: the selector is invalid.
        """
        if selector.as_of is not None:
            return None
        wanted = selector.model or self.brief.recall(_champion_kind(), region_id, str)
        version = self.cache.get(("version", region_id, wanted), LoadedVersion)
        if version is None or (version.withheld and not sees_unreleased.get()):
            return None
        if selector.model is None:
            version = self._noted(version)
        news = self.brief.recall(_news_kind(), _full_name(version), tuple)
        if self._shown_categories(region_id) is None or self._known_kinds(region_id) is None:
            return None
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
            NotFound: the region, model or version does not exist.
            NotReady: the region has no version yet.
            InvalidInput: the selector is invalid.
        """
        version = self.version_of(region_id, selector.model, selector.as_of)
        self._read_shown_categories(version)
        self._read_kinds(version)
        news = self.brief.recall(_news_kind(), _full_name(version), tuple)
        if news is None:
            news = news_of(self.engine, version)
            self.brief.keep(_news_kind(), _full_name(version), news, NEWS_TTL_S)
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
        kinds = self._read_kinds(version)
        codes = harm = None
        if selector.categories:
            codes = codes_of(version, kinds, self.codes(version), selector.categories)
        if selector.weight is not None:
            harm = harm_of(version, kinds, self.codes(version), codes)
        if not is_trained_with(version, kinds):
            news = (*news, WARNINGS.make("former_kinds"))
        return Plan(version, selector, start_s, n_slots, news, codes, harm)

    def _known_kinds(self, region_id: str) -> Kinds | None:
        return self.brief.recall("kinds", region_id, Kinds)

    def _read_kinds(self, version: LoadedVersion) -> Kinds:
        """Return the region's choices; another process's changes are seen within a minute."""
        region_id = version.region.id
        found = self._known_kinds(region_id)
        if found is None:
            with self.engine.connect() as connection:
                found = Kinds.of(get_region(connection, region_id).settings)
            self.brief.keep("kinds", region_id, found, NEWS_TTL_S)
        return found

    def forget_kinds(self, region_id: str) -> None:
        """Discard a region's cached choices, after a change by this process."""
        self.brief.forget("kinds", region_id)
        self.brief.forget("shown categories", region_id)

    def codes(self, version: LoadedVersion) -> dict[str, int]:
        """Return codes of the categories that the caller may see; rare ones need the right to list."""
        known = version.category_codes
        if sees_unreleased.get():
            return known
        shown = self._read_shown_categories(version)
        return {name: code for name, code in known.items() if name in shown}

    def _shown_categories(self, region_id: str) -> frozenset[str] | None:
        """Return the cached categories that everyone may see, or None."""
        if sees_unreleased.get():
            return frozenset()
        return self.brief.recall("shown categories", region_id, frozenset)

    def _read_shown_categories(self, version: LoadedVersion) -> frozenset[str]:
        found = self._shown_categories(version.region.id)
        if found is None:
            with self.engine.begin() as connection:
                found = known_categories(connection, version.region)
            self.brief.keep("shown categories", version.region.id, found, NEWS_TTL_S)
        return found

    def version_of(
        self, region_id: str, selector: str | None = None, as_of: datetime | None = None
    ) -> LoadedVersion:
        """Return the version that answers a request.

        Raises:
            NotFound: the region, model or version does not exist.
            NotReady: the region has no version yet.
        """
        champion = self.brief.recall(_champion_kind(), region_id, str)
        if as_of is None and selector is None:
            loaded = self.cache.get(("version", region_id, champion), LoadedVersion)
            return self._champion(region_id) if loaded is None else self._noted(loaded)
        with self.engine.connect() as connection:
            region = get_region(connection, region_id)
            if as_of is None:
                record = registry.get_version(connection, region.key, selector)
            else:
                moment = as_of if as_of.tzinfo else as_of.replace(tzinfo=zone(region.timezone))
                record = version_as_of(connection, region.key, moment, selector)
        return self.load(region_id, record)

    def _champion(self, region_id: str) -> LoadedVersion:
        """Load the champion, or the version before it if the champion is damaged."""
        with self.engine.connect() as connection:
            key = get_region(connection, region_id).key
            try:
                record = registry.get_version(connection, key)
                loaded = self.load(region_id, record)
                self.brief.forget("stands_in", _full_name(loaded))
            except ArtifactCorrupt as damage:
                loaded = self._predecessor(connection, region_id, key, damage)
        self.brief.keep(_champion_kind(), region_id, loaded.record.version, CHAMPION_TTL_S)
        self.brief.keep("served", region_id, True, SERVED_S)
        return self._noted(loaded)

    def _noted(self, loaded: LoadedVersion) -> LoadedVersion:
        """Return the version, with the reason if it serves in the champion's place."""
        reason = self.brief.recall("stands_in", _full_name(loaded), Message)
        return loaded if reason is None else replace(loaded, stands_in=reason)

    def _predecessor(
        self, connection: Connection, region_id: str, key: int, damage: ArtifactCorrupt
    ) -> LoadedVersion:
        """Load the last intact champion before a damaged one.

        Raises:
            ArtifactCorrupt: there is none.
        """
        current = registry.champion(connection, key)
        champion = "" if current is None else current.version
        for record in earlier_champions(connection, key, champion):
            with contextlib.suppress(ArtifactCorrupt):
                loaded = self.load(region_id, record)
                name = _full_name(loaded)
                if self.brief.recall("stands_in", name, Message) is None:
                    _log.error("%s; %s serves in its place", damage.message, record.version)
                reason = WARNINGS.make(
                    "champion_damaged", champion=champion, version=record.version
                )
                # Cached longer than the champion, which must not outlive its reason.
                self.brief.keep("stands_in", name, reason, 4 * CHAMPION_TTL_S)
                return loaded
        raise damage

    def load(self, region_id: str, record: registry.VersionRecord) -> LoadedVersion:
        """Load a version with its ground, checked once.

        Raises:
            ArtifactCorrupt: the stored data differ from what was registered.
        """

        def read() -> LoadedVersion:
            check_grid_name(record.version, record.grid_sha256)
            ground = self._ground(record.grid_sha256)
            with self.engine.begin() as connection:
                region = get_region(connection, region_id)
                shown = known_categories(connection, region)
                registry.check_forecasts(connection, record, len(ground.grid))
                withheld = is_withheld(connection, region.key, record.version)
                band = read_band(connection, record)
            counts = CountModel.from_state(record.counts)
            return LoadedVersion(
                region, record, ground, counts, band, withheld=withheld, shown_categories=shown
            )

        key = ("version", region_id, record.version)
        name = f"{region_id}/{record.version}"
        known = self.brief.recall("damage", name, str)
        if known is not None:
            raise ArtifactCorrupt(known)
        try:
            return self.cache.get_or_make(key, LoadedVersion, read, _n_bytes)
        except ArtifactCorrupt as error:
            self.brief.keep("damage", name, error.message, DAMAGE_TTL_S)
            raise

    def _ground(self, grid_sha256: str) -> Ground:
        def read() -> Ground:
            with self.engine.connect() as connection:
                grid, boundary = load_grid(connection, grid_sha256)
            area = study_area_from_geojson(boundary, grid.crs)
            return Ground(grid, area)

        return self.cache.get_or_make(
            ("ground", grid_sha256), Ground, read, lambda ground: CELL_BYTES * len(ground.grid)
        )

    def _span(self, version: LoadedVersion, selector: Selector) -> tuple[datetime, int]:
        """Return the UTC start of the first slot and the number of slots."""
        check_one_way(selector)
        if selector.window is not None:
            return self._next_slot(version, selector.window), 1
        return slots_of(selector, version.region.timezone)

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

    def forecast_of(self, plan: Plan) -> Forecast:
        """Compute the forecast of a plan.

        Raises:
            NotFound: the version does not have the category.
            InvalidInput: the cell size or resolution is out of range.
            LimitExceeded: too many cells.
        """
        version, selector = plan.version, plan.selector
        cells, regridding = self.cells.of(version, selector)
        mean = self.slot_means(plan)
        windows = plan.slots.window
        probability = self.tables.mixed(plan, plan.codes, mean)
        variance = None
        if plan.codes is None and plan.harm is None:
            variance = log_variance(version.band, windows, mean)
        if regridding is not None:
            if variance is not None:
                # As if the cells were off together: their deviations add up like the probabilities.
                variance = regridding.mean(np.sqrt(variance), probability) ** 2
            probability = regridding.apply(probability)
        if plan.harm is None:
            return Forecast(plan, cells, probability, mean, log_variance=variance)
        weights = plan.harm.by_code
        shares = shares_of(version.counts, weights, windows)
        harm = version.counts.mean(plan.slots) * shares.sum(axis=0)
        weighted = self.tables.mixed(plan, None, harm, weights)
        if regridding is not None:
            weighted = regridding.apply(weighted)
        return Forecast(plan, cells, weighted, mean, probability, float(harm.sum()))

    def slot_means(self, plan: Plan) -> FloatArray:
        """Return the expected incidents (K,) of each slot, of the requested categories."""
        counts, slots = plan.version.counts, plan.slots
        mean: FloatArray = counts.mean(slots)
        if plan.codes is None:
            return mean
        weights = tuple((code, 1.0) for code in plan.codes)
        result: FloatArray = mean * shares_of(counts, weights, slots.window).sum(axis=0)
        return result


def _n_bytes(version: LoadedVersion) -> int:
    band = version.band
    return VERSION_BYTES + (0 if band is None else band.loading.nbytes + band.variance.nbytes)


def check_box(version: LoadedVersion, selector: Selector) -> None:
    """Raise if the requested box was probably given in another order.

    Raises:
        InvalidInput: see `check_bbox_order`.
    """
    if selector.bbox is not None:
        check_bbox_order(selector.bbox, version.cells.extent)


def _champion_kind() -> str:
    """Return the cache key of the champion: readers get another one if it is withheld from them."""
    return "champion" if sees_unreleased.get() else "released champion"


def _news_kind() -> str:
    """Return the cache key of notices: readers see released incidents only."""
    return "news" if sees_unreleased.get() else "released news"


def _full_name(version: LoadedVersion) -> str:
    """Return a unique name; regions with equal data have versions of the same name."""
    return f"{version.region.id}/{version.record.version}"
