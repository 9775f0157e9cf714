"""Forecasts of one slot, wholly from one model version.

A request is resolved to a version first; everything after that (grid, table, counts) is read by that
version's immutable keys, so a promotion in mid-request cannot mix two versions. What is read once is
cached in the process; who is champion is asked again after `CHAMPION_TTL_S`.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray
from sqlalchemy import Engine

from app.config import Settings
from app.domain.errors import InvalidInput, LimitExceeded, NotFound
from app.domain.grid import MAX_CELLS, Grid, build_grid
from app.domain.hotspots import ranked_rows
from app.domain.regrid import Overlap, overlap_of
from app.domain.study_area import StudyArea, study_area_from_geojson
from app.domain.windows import next_slot_of, slot_start, window_of, zone
from app.services.cache import BoundedCache
from app.services.slots import slots_of
from app.storage import registry
from app.storage.regions import Region, get_region
from models.base import FloatArray
from models.counts import CountModel

CHAMPION_TTL_S = 0.25
MAX_HORIZON_YEARS = 30
STALE_AFTER_DAYS = 60
THIN_INCIDENTS = 5_000


@dataclass(frozen=True)
class Selector:
    """Which forecast: `at` or `window`, and optionally category, model, cell size."""

    at: datetime | None = None
    window: int | None = None
    category: str | None = None
    model: str | None = None
    cell_size_m: float | None = None


@dataclass(frozen=True)
class LoadedVersion:
    """A version with its grid and count model, ready to forecast."""

    region: Region
    record: registry.VersionRecord
    grid: Grid
    area: StudyArea
    counts: CountModel

    @cached_property
    def category_codes(self) -> dict[str, int]:
        """Code of each category the version was trained on."""
        return {name: code for code, name in enumerate(self.record.categories)}


@dataclass(frozen=True)
class Forecast:
    """One slot's forecast on one grid; arrays (N,), float64; probabilities sum to one."""

    version: LoadedVersion
    selector: Selector
    grid: Grid
    at: datetime
    window: int
    probability: FloatArray
    expected_total: float
    expected_total_lo: float
    expected_total_hi: float

    @cached_property
    def density_per_km2(self) -> FloatArray:
        """Probability per km2."""
        return self.probability / self.grid.area_km2

    @cached_property
    def expected_count(self) -> FloatArray:
        """Expected incidents of each cell in the slot."""
        return self.probability * self.expected_total

    @cached_property
    def interval(self) -> tuple[FloatArray, FloatArray]:
        """Bounds that hold each cell's count with 90 % probability."""
        return self.version.counts.interval(self.expected_count)

    @cached_property
    def ranking(self) -> NDArray[np.int64]:
        """Rows from the highest probability down, ties by cell id."""
        return ranked_rows(self.probability)

    @cached_property
    def warnings(self) -> list[str]:
        """What to keep in mind when reading this forecast."""
        record = self.version.record
        found = []
        if self.at - record.cutoff > timedelta(days=STALE_AFTER_DAYS):
            days = (self.at - record.cutoff).days
            found.append(f"stale: the slot is {days} days after the model's data end")
        if record.n_incidents < THIN_INCIDENTS:
            found.append(f"thin data: trained on {record.n_incidents} incidents")
        if self.version.region.boundary_derived:
            found.append("the study area was derived from the incidents; no boundary was given")
        return found


class ForecastService:
    """Answers forecasts for all regions; one per process, shared by its threads."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self.engine = engine
        self.settings = settings
        self.cache = BoundedCache(settings.model_cache_bytes)
        self._champions: dict[str, tuple[float, str]] = {}
        self._lock = threading.Lock()

    def forget_champion(self, region_id: str) -> None:
        """Ask again who is champion (after a promotion by this process)."""
        with self._lock:
            self._champions.pop(region_id, None)

    def cached_version(self, region_id: str, selector: str | None) -> LoadedVersion | None:
        """The version that answers a request, if that is known without asking the database."""
        if selector is None:
            with self._lock:
                kept = self._champions.get(region_id)
            if kept is None or kept[0] <= time.monotonic():
                return None
            selector = kept[1]
        return self.cache.get(("version", region_id, selector), LoadedVersion)

    def version_of(self, region_id: str, selector: str | None) -> LoadedVersion:
        """The version that answers a request.

        Raises:
            NotFound: no such region, model or version.
            NotReady: nothing is trained yet.
        """
        loaded = self.cached_version(region_id, selector)
        if loaded is not None:
            return loaded
        with self.engine.connect() as connection:
            region = get_region(connection, region_id)
            record = registry.get_version(connection, region.key, selector)
        if selector is None:
            with self._lock:
                self._champions[region_id] = (time.monotonic() + CHAMPION_TTL_S, record.version)
        return self._load(region, record)

    def _load(self, region: Region, record: registry.VersionRecord) -> LoadedVersion:
        key = ("version", region.id, record.version)
        loaded = self.cache.get(key, LoadedVersion)
        if loaded is not None:
            return loaded
        with self.engine.connect() as connection:
            grid, boundary = registry.load_grid(connection, record.grid_sha256)
        area = study_area_from_geojson(boundary, grid.crs)
        shapely.prepare(area.polygon_m)
        loaded = LoadedVersion(region, record, grid, area, CountModel.from_state(record.counts))
        self.cache.put(key, loaded, 40 * len(grid) + 2_000_000)
        return loaded

    def slot_of(self, version: LoadedVersion, selector: Selector) -> tuple[datetime, int]:
        """The slot's UTC start and its window.

        Raises:
            InvalidInput: both or neither of `at` and `window`, or out of range.
        """
        timezone = version.region.timezone
        if (selector.at is None) == (selector.window is None):
            raise InvalidInput("give either at or window", field="at")
        if selector.window is not None:
            after = max(datetime.now(UTC), version.record.cutoff)
            return next_slot_of(selector.window, after, timezone), selector.window
        at = selector.at or datetime.now(UTC)
        if at.tzinfo is None:
            at = at.replace(tzinfo=zone(timezone))
        limit = datetime.now(UTC) + timedelta(days=365 * MAX_HORIZON_YEARS)
        if not datetime(1970, 1, 2, tzinfo=UTC) <= at <= limit:
            raise InvalidInput(
                f"at must lie within 1970 and {MAX_HORIZON_YEARS} years from now", field="at"
            )
        return slot_start(at, timezone), window_of(at, timezone)

    def forecast(self, region_id: str, selector: Selector) -> Forecast:
        """The forecast of one slot.

        Raises:
            NotFound: no such region, model, version, or category.
            NotReady: nothing is trained yet.
            InvalidInput: the selector is wrong.
        """
        version = self.version_of(region_id, selector.model)
        return self.forecast_from(version, selector)

    def forecast_from(self, version: LoadedVersion, selector: Selector) -> Forecast:
        """The forecast of one slot by a version that is chosen already."""
        at, window = self.slot_of(version, selector)
        code = registry.ALL_CATEGORIES
        share = 1.0
        if selector.category is not None:
            if selector.category not in version.category_codes:
                raise NotFound(
                    f"the model knows no category {selector.category!r}", field="category"
                )
            code = version.category_codes[selector.category]
            share = version.counts.category_share(code, window)
        probability = self.table(version, code, window)
        grid = version.grid
        size_m = selector.cell_size_m
        if size_m is not None and size_m != grid.cell_size_m:
            grid = self.regridded(version, size_m)
            probability = self._reaggregated(version, grid, probability)
        slot = slots_of(np.array([int(at.timestamp())]), version.region.timezone)
        mean = version.counts.mean(slot) * share
        low, high = version.counts.interval(mean)
        return Forecast(
            version,
            selector,
            grid,
            at,
            window,
            probability,
            float(mean[0]),
            float(low[0]),
            float(high[0]),
        )

    def table(self, version: LoadedVersion, code: int, window: int) -> FloatArray:
        """(N,) probabilities that sum to one; a category without a table has the city's."""
        record = version.record

        def read() -> FloatArray:
            with self.engine.connect() as connection:
                try:
                    stored = registry.read_probability(
                        connection, record.region_key, record.version, code, window
                    )
                except NotFound:
                    if code == registry.ALL_CATEGORIES:
                        raise
                    return self.table(version, registry.ALL_CATEGORIES, window)
            probability = stored.astype(np.float64)
            result: FloatArray = probability / probability.sum()
            return result

        key = ("table", record.region_key, record.version, code, window)
        return self.cache.get_or_make(key, np.ndarray, read, lambda table: table.nbytes)

    def regridded(self, version: LoadedVersion, cell_size_m: float) -> Grid:
        """The study area cut into cells of another size.

        Raises:
            InvalidInput: not within 100 m..5 km.
            LimitExceeded: more cells than allowed; estimated before any work.
        """
        estimate = version.area.area_km2 * 1e6 / max(cell_size_m, 1.0) ** 2
        if cell_size_m >= 1 and estimate > MAX_CELLS:
            raise LimitExceeded(
                f"about {estimate:.0f} cells, the limit is {MAX_CELLS}", field="cell_size_m"
            )
        key = ("grid", version.region.id, version.record.grid_sha256, cell_size_m)
        return self.cache.get_or_make(
            key, Grid, lambda: build_grid(version.area, cell_size_m), lambda g: 100 * len(g)
        )

    def _reaggregated(
        self, version: LoadedVersion, grid: Grid, probability: FloatArray
    ) -> FloatArray:
        key = ("overlap", version.region.id, version.record.grid_sha256, grid.cell_size_m)
        overlap = self.cache.get_or_make(
            key,
            Overlap,
            lambda: overlap_of(version.area.polygon_m, version.grid, grid),
            lambda o: 24 * len(o.share),
        )
        mass = np.bincount(
            overlap.target, weights=probability[overlap.source] * overlap.share, minlength=len(grid)
        )
        result: FloatArray = mass / mass.sum()
        return result
