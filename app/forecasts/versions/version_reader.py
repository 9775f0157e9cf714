"""Which version answers a request, and its parts, read and checked once."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, Engine

from app.core.caching.cache import BoundedCache, TTLCache
from app.core.messages import Message
from app.core.roles import sees_unreleased
from app.core.zones import localised
from app.forecasts.cells import CELL_BYTES
from app.forecasts.plan import Selector
from app.forecasts.versions.loaded import Ground, LoadedVersion
from app.forecasts.versions.prepared import Prepared
from app.forecasts.versions.tables import read_band
from app.forecasts.warnings import WARNINGS
from app.geo.boundaries import study_area_from_geojson
from app.incidents.releases import known_categories
from app.regions.store import get_region
from app.registry import store as registry
from app.registry.artifacts import ArtifactCorrupt, load_grid
from app.registry.champions import get_champion
from app.registry.erasure_marks import Epoch, epoch_of
from app.registry.history import earlier_champions, version_as_of
from app.registry.integrity import check_grid_name
from app.registry.visibility import is_withheld
from models.bands import Band
from models.counts.model import CountModel

CHAMPION_TTL_S = 0.25
SERVED_S = 3600.0
"""How long after its last request a region counts as served by this process."""
DAMAGE_TTL_S = 60.0
"""How long a damaged version is not checked again."""
VERSION_BYTES = 100_000
"""Memory that a version's record and count model take."""
_log = logging.getLogger("hotslot.forecast")


class VersionReader:
    """Finds and caches versions; one instance per process, shared by its threads."""

    def __init__(
        self, engine: Engine, cache: BoundedCache, brief: TTLCache, prepared: Prepared
    ) -> None:
        self.engine = engine
        self.cache = cache
        self.brief = brief
        self.prepared = prepared

    def forget_champion(self, region_id: str) -> None:
        """Look up a region's champion again at the next request."""
        self.brief.forget("champion", region_id)
        self.brief.forget("released champion", region_id)

    def forget(self, region_id: str) -> None:
        """Discard the cached versions of a region."""
        self.cache.discard_where(lambda key: key[:2] == ("version", region_id))

    def cached(self, region_id: str, selector: Selector) -> LoadedVersion | None:
        """Return the version that answers a request, or None if that needs the database."""
        wanted = selector.model or self.brief.recall(_champion_kind(), region_id, str)
        version = self._loaded(region_id, wanted)
        if version is None or (version.withheld and not sees_unreleased.get()):
            return None
        return self._noted(version) if selector.model is None else version

    def read(
        self, region_id: str, selector: str | None = None, as_of: datetime | None = None
    ) -> LoadedVersion:
        """Return the version that answers a request.

        Raises:
            NotFound: the region, model or version does not exist.
            NotReady: the region has no version yet.
        """
        champion = self.brief.recall(_champion_kind(), region_id, str)
        if as_of is None and selector is None:
            loaded = self._loaded(region_id, champion)
            return self._champion(region_id) if loaded is None else self._noted(loaded)
        with self.engine.connect() as connection:
            region = get_region(connection, region_id)
            if as_of is None:
                record = registry.get_version(connection, region.key, selector)
            else:
                moment = localised(as_of, region.timezone)
                record = version_as_of(connection, region.key, moment, selector)
        return self.load(region_id, record)

    def _loaded(self, region_id: str, version: str | None) -> LoadedVersion | None:
        """Return a cached version; its ground counts as used, and is counted as long as it lives."""
        found = self.cache.get(("version", region_id, version), LoadedVersion)
        if found is not None:
            self._ground(found.record.grid_sha256, found.ground)
        return found

    def _champion(self, region_id: str) -> LoadedVersion:
        """Load the champion, or the version before it if the champion is damaged."""
        with self.engine.connect() as connection:
            key = get_region(connection, region_id).key
            try:
                record = registry.get_version(connection, key)
                loaded = self.load(region_id, record)
                self.brief.forget("stands_in", loaded.full_name)
            except ArtifactCorrupt as damage:
                loaded = self._predecessor(connection, region_id, key, damage)
        self.brief.keep(_champion_kind(), region_id, loaded.record.version, CHAMPION_TTL_S)
        self.brief.keep("served", region_id, True, SERVED_S)
        return self._noted(loaded)

    def _noted(self, loaded: LoadedVersion) -> LoadedVersion:
        """Return the version, with the reason if it serves in the champion's place."""
        reason = self.brief.recall("stands_in", loaded.full_name, Message)
        return loaded if reason is None else replace(loaded, stands_in=reason)

    def _predecessor(
        self, connection: Connection, region_id: str, key: int, damage: ArtifactCorrupt
    ) -> LoadedVersion:
        """Load the last intact champion before a damaged one.

        Raises:
            ArtifactCorrupt: there is none.
        """
        current = get_champion(connection, key)
        champion = "" if current is None else current.version
        for record in earlier_champions(connection, key, champion):
            with contextlib.suppress(ArtifactCorrupt):
                loaded = self.load(region_id, record)
                name = loaded.full_name
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
                epoch = epoch_of(connection, region.key)
                shown = known_categories(connection, region)
                withheld = is_withheld(connection, region.key, record.version)
                band = self._checked_band(connection, record, epoch, len(ground.grid))
            self.cache.put(_band_key(record), (band,), _band_bytes(band))
            counts = CountModel.from_state(record.counts)
            return LoadedVersion(
                region,
                record,
                ground,
                counts,
                lambda: self._band(region_id, record, epoch),
                withheld=withheld,
                shown_categories=shown,
                epoch=epoch,
            )

        key = ("version", region_id, record.version)
        name = f"{region_id}/{record.version}"
        known = self.brief.recall("damage", name, str)
        if known is not None:
            raise ArtifactCorrupt(known)
        try:
            return self.cache.get_or_make(key, LoadedVersion, read, lambda _: VERSION_BYTES)
        except ArtifactCorrupt as error:
            self.brief.keep("damage", name, error.message, DAMAGE_TTL_S)
            raise

    def _checked_band(
        self, connection: Connection, record: registry.VersionRecord, epoch: Epoch, n_cells: int
    ) -> Band | None:
        """Return a version's band, and check what is stored of it, as far as no other process just did."""
        known = self.prepared.read(record, epoch)
        registry.check_forecasts(connection, record, n_cells, values=known is None)
        if known is None:
            known = (read_band(connection, record),)
            self.prepared.write(record, epoch, known[0])
        return known[0]

    def _band(self, region_id: str, record: registry.VersionRecord, epoch: Epoch) -> Band | None:
        def read() -> tuple[Band | None]:
            known = self.prepared.read(record, epoch)
            if known is not None:
                return known
            try:
                with self.engine.connect() as connection:
                    return (read_band(connection, record),)
            except ArtifactCorrupt:  # the next use checks the whole version
                self.cache.discard(("version", region_id, record.version))
                raise

        found: Band | None = self.cache.get_or_make(
            _band_key(record), tuple, read, lambda one: _band_bytes(one[0])
        )[0]
        return found

    def _ground(self, grid_sha256: str, known: Ground | None = None) -> Ground:
        def read() -> Ground:
            if known is not None:
                return known
            with self.engine.connect() as connection:
                grid, boundary = load_grid(connection, grid_sha256)
            area = study_area_from_geojson(boundary, grid.crs)
            return Ground(grid, area)

        return self.cache.get_or_make(
            ("ground", grid_sha256), Ground, read, lambda ground: CELL_BYTES * len(ground.grid)
        )


def _band_key(record: registry.VersionRecord) -> tuple[object, ...]:
    return ("band", record.region_key, record.version)


def _band_bytes(band: Band | None) -> int:
    return 100 if band is None else band.loading.nbytes + band.variance.nbytes


def _champion_kind() -> str:
    """Return the cache key of the champion: readers get another one if it is withheld from them."""
    return "champion" if sees_unreleased.get() else "released champion"
