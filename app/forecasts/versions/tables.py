"""Reading of a version's stored probability tables and bands."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine

from app.core.caching.cache import BoundedCache
from app.core.errors import NotFound
from app.forecasts.kinds import shares_of
from app.forecasts.plan import Plan, SlotKind
from app.forecasts.versions.loaded import LoadedState, LoadedVersion
from app.forecasts.versions.prepared import Prepared
from app.registry.artifacts import ArtifactCorrupt, load_artifact
from app.registry.store import (
    ALL_CATEGORIES,
    FIXED_ROW,
    RATIO_ROW,
    VersionRecord,
    category_codes,
    read_mean,
    read_probabilities,
)
from models.bands import Band
from models.base import CategoryDensity
from models.counts.model import CountModel
from models.densities.ingredients import Ingredients
from models.units import N_WINDOWS, FloatArray


class TableReader:
    """Reads tables (N,) that sum to one in double precision."""

    def __init__(self, engine: Engine, cache: BoundedCache, prepared: Prepared) -> None:
        self.engine = engine
        self.cache = cache
        self.prepared = prepared

    def table(self, version: LoadedVersion, code: int, window: int) -> FloatArray:
        """Return one window's table (N,); categories without their own table use the city's."""
        return self.tables(version, code, [window])[window]

    def tables(
        self, version: LoadedVersion, code: int, windows: Iterable[int]
    ) -> dict[int, FloatArray]:
        """Return the tables of several windows, with one query for those not cached."""
        record = version.record
        wanted = list(dict.fromkeys(windows))
        keys = {w: ("table", record.region_key, record.version, code, w) for w in wanted}
        found = {w: self.cache.get(key, np.ndarray) for w, key in keys.items()}
        missing = [w for w, table in found.items() if table is None]
        if missing:
            try:
                read = self._read(version, code, missing)
            except ArtifactCorrupt:
                # The next use checks the whole version and falls back to another if it is damaged.
                self.cache.discard(("version", version.region.id, record.version))
                self.prepared.discard(version)
                raise
            for window, table in zip(missing, read, strict=True):
                probability = table / table.sum()
                found[window] = probability
                self.cache.put(keys[window], probability, probability.nbytes)
        return {w: table for w, table in found.items() if table is not None}

    def _read(self, version: LoadedVersion, code: int, windows: list[int]) -> FloatArray:
        """Read probabilities (len(windows), N) of the city or of a category."""
        record = version.record
        with self.engine.connect() as connection:

            def stored(category_code: int, rows: list[int]) -> FloatArray:
                table = read_probabilities(
                    connection, record.region_key, record.version, category_code, rows
                )
                return table.astype(np.float64)

            city = stored(ALL_CATEGORIES, windows)
            if code == ALL_CATEGORIES:
                return city
            own = _category(connection, record, code)
        return city if own is None else own.given(city)

    def all_hours(self, version: LoadedVersion, codes: tuple[int, ...] | None) -> FloatArray:
        """Return the probabilities (N,) of an incident at any hour of the week, as trained.

        Args:
            codes: of the categories to sum up; None: all incidents.
        """
        record = version.record
        key = ("all hours", record.region_key, record.version, codes)

        def made() -> FloatArray:
            counts = CountModel.from_state(record.counts)
            rates = np.array(counts.profile)
            if codes is None:
                with self.engine.connect() as connection:
                    return read_mean(connection, record.region_key, record.version, rates)
            return self._categories_of(record, self.all_hours(version, None), codes, counts)

        return self.cache.get_or_make(key, np.ndarray, made, lambda found: found.nbytes)

    def _categories_of(
        self,
        record: VersionRecord,
        city: FloatArray,
        codes: tuple[int, ...],
        counts: CountModel,
    ) -> FloatArray:
        """Return the same of some categories together, given that of all incidents."""
        weights = tuple((code, 1.0) for code in codes)
        shares = shares_of(counts, weights, range(N_WINDOWS)) @ np.array(counts.profile)
        shares = shares if shares.sum() > 0 else np.ones(len(codes))
        total = np.zeros(len(city))
        with self.engine.connect() as connection:
            for code, share in zip(codes, shares, strict=True):
                own = _category(connection, record, code)
                total += share * (city if own is None else own.given(city))
        return np.asarray(total / total.sum(), np.float64)

    def ingredients(self, version: LoadedVersion) -> Ingredients | None:
        """Return what the ingredients of the version's density contribute; None: it does not know."""
        record = version.record
        key = ("ingredients", record.region_key, record.version)

        def read() -> tuple[Ingredients | None]:
            with self.engine.connect() as connection:
                _, tensors = load_artifact(connection, record.artifact_sha256)
            return (Ingredients.stored(tensors),)

        def size(found: tuple[Ingredients | None]) -> int:
            return 100 if found[0] is None else found[0].tables.nbytes

        found: Ingredients | None = self.cache.get_or_make(key, tuple, read, size)[0]
        return found

    def tables_of(
        self,
        version: LoadedVersion,
        codes: tuple[int, ...] | None,
        slots: Iterable[SlotKind],
        weights: tuple[tuple[int, float], ...] | None = None,
        rows: NDArray[np.int64] | None = None,
    ) -> dict[SlotKind, FloatArray]:
        """Return the tables of several categories together, each by its share of the incidents.

        Args:
            codes: the categories; None: all incidents.
            slots: which tables; those of different lead days differ where the version has a state.
            weights: (code, weight) to weigh the shares with, instead of `codes`.
            rows: of the cells wanted; None: all.
        """
        wanted = list(dict.fromkeys(slots))
        windows, state = [w for w, _ in wanted], version.state
        trained = self._trained_tables(version, codes, windows, weights, None if state else rows)
        if state is None:
            return {(window, lead): trained[window] for window, lead in wanted}
        found = {}
        for window, lead in wanted:
            moved = trained[window] * self.ratio(version, state, lead)
            found[window, lead] = _some(moved / moved.sum(), rows)
        return found

    def ratio(self, version: LoadedVersion, state: LoadedState, lead_days: int) -> FloatArray:
        """Return the factors (N,) of the middle of a lead day."""
        key = ("ratio", version.record.region_key, state.record.number, lead_days)
        return self.cache.get_or_make(
            key,
            np.ndarray,
            lambda: state.record.density.ratio(lead_days + 0.5),
            lambda ratio: ratio.nbytes,
        )

    def _trained_tables(
        self,
        version: LoadedVersion,
        codes: tuple[int, ...] | None,
        windows: Iterable[int],
        weights: tuple[tuple[int, float], ...] | None,
        rows: NDArray[np.int64] | None,
    ) -> dict[int, FloatArray]:
        """Return the same of the version as trained, by window."""
        wanted = list(dict.fromkeys(windows))
        if weights is None:
            if codes is None or len(codes) == 1:
                code = ALL_CATEGORIES if codes is None else codes[0]
                found = self.tables(version, code, wanted)
                return {window: _some(table, rows) for window, table in found.items()}
            weights = tuple((code, 1.0) for code in codes)
        shares = shares_of(version.counts, weights, wanted)
        # A kind that the count model gives no share leaves the others'; where all have none, all count.
        shares = np.where(shares.sum(axis=0) > 0, shares, [[w] for _, w in weights])
        own = self._own_codes(version)
        parts: dict[int, FloatArray] = {}
        for (code, _), share in zip(weights, shares / shares.sum(axis=0), strict=True):
            table = code if code in own else ALL_CATEGORIES
            parts[table] = parts.get(table, np.zeros(len(wanted))) + share
        total: dict[int, FloatArray] = {}
        for code, share in parts.items():
            for place, (window, table_) in enumerate(self.tables(version, code, wanted).items()):
                total[window] = total.get(window, 0.0) + share[place] * _some(table_, rows)
        return total

    def _own_codes(self, version: LoadedVersion) -> frozenset[int]:
        """Return the codes of the categories that have tables of their own."""
        record = version.record

        def read() -> frozenset[int]:
            with self.engine.connect() as connection:
                return category_codes(connection, record.region_key, record.version)

        key = ("own codes", record.region_key, record.version)
        return self.cache.get_or_make(key, frozenset, read, lambda found: 100 + 40 * len(found))

    def mixed(
        self,
        plan: Plan,
        codes: tuple[int, ...] | None,
        mean: FloatArray,
        weights: tuple[tuple[int, float], ...] | None = None,
        rows: NDArray[np.int64] | None = None,
    ) -> FloatArray:
        """Return the probabilities (N,) of a plan's slots, weighted by their means (K,); of all, or of rows.

        Weights that sum to one keep the sum, so that some cells need none of the others.
        """
        slots = plan.slot_kinds
        tables = self.tables_of(plan.version, codes, slots, weights, rows)
        if len(slots) == 1:
            return tables[slots[0]]
        weight = mean if mean.sum() > 0 else np.ones(len(mean))
        shares = dict.fromkeys(tables, 0.0)
        for slot, share in zip(slots, (weight / weight.sum()).tolist(), strict=True):
            shares[slot] += share
        total = np.zeros_like(tables[slots[0]])
        for slot, table in tables.items():
            total += shares[slot] * table
        return total


def _some(table: FloatArray, rows: NDArray[np.int64] | None) -> FloatArray:
    return table if rows is None else table[rows]


def _category(connection: Connection, record: VersionRecord, code: int) -> CategoryDensity | None:
    """Return a category's density; None: it is too rare for one of its own, and has the city's."""
    try:
        ratio, fixed = read_probabilities(
            connection, record.region_key, record.version, code, [RATIO_ROW, FIXED_ROW]
        )
    except NotFound:
        return None
    return CategoryDensity(ratio.astype(np.float64), fixed.astype(np.float64))


def read_band(connection: Connection, record: VersionRecord) -> Band | None:
    """Return how far a version's probabilities may be off; None if its model does not know.

    Raises:
        ArtifactCorrupt: the artifact differs from what was registered.
    """
    if "band" not in record.report:
        return None
    _, tensors = load_artifact(connection, record.artifact_sha256)
    loading, variance = (tensors[f"band.{name}"] for name in ("loading", "variance"))
    return Band(loading.astype(np.float64), variance.astype(np.float64))


def log_variance(
    band: Band | None,
    windows: NDArray[Any],
    mean: FloatArray,
    rows: NDArray[np.int64] | None = None,
) -> FloatArray | None:
    """Return the variances (N,) of the logarithms of the probabilities of several slots; of all, or of rows.

    Those of the slots are averaged by their means (K,), as if they were off together.
    """
    if band is None:
        return None
    weight = mean if mean.sum() > 0 else np.ones(len(mean))
    loading = weight @ band.loading[windows.astype(np.int64)] / weight.sum()
    # Not a matrix product, whose last digits depend on the number of cells.
    parts = (one * _some(part, rows) for one, part in zip(loading, band.variance, strict=True))
    return sum(parts, np.zeros(1))
