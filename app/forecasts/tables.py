"""A version's stored probability tables, read once and kept."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from app.core.cache import BoundedCache
from app.core.errors import NotFound
from app.forecasts.types import LoadedVersion
from app.registry.artifacts import ArtifactCorrupt
from app.registry.store import (
    ALL_CATEGORIES,
    FIXED_ROW,
    RATIO_ROW,
    read_probabilities,
)
from models.base import CategoryDensity, FloatArray


class TableReader:
    """(N,) probabilities of one window that sum to one in double precision."""

    def __init__(self, engine: Engine, cache: BoundedCache) -> None:
        self.engine = engine
        self.cache = cache

    def table(self, version: LoadedVersion, code: int, window: int) -> FloatArray:
        """One window's table; a category without a table of its own has the city's."""
        return self.tables(version, code, [window])[window]

    def tables(
        self, version: LoadedVersion, code: int, windows: Iterable[int]
    ) -> dict[int, FloatArray]:
        """Several windows' tables, by one query for those not in the cache."""
        record = version.record
        wanted = list(dict.fromkeys(windows))
        keys = {w: ("table", record.region_key, record.version, code, w) for w in wanted}
        found = {w: self.cache.get(key, np.ndarray) for w, key in keys.items()}
        missing = [w for w, table in found.items() if table is None]
        if missing:
            try:
                read = self._read(version, code, missing)
            except ArtifactCorrupt:
                # Its next use checks the whole version, and goes by another where it is damaged.
                self.cache.discard(("version", version.region.id, record.version))
                raise
            for window, table in zip(missing, read, strict=True):
                probability = table / table.sum()
                found[window] = probability
                self.cache.put(keys[window], probability, probability.nbytes)
        return {w: table for w, table in found.items() if table is not None}

    def _read(self, version: LoadedVersion, code: int, windows: list[int]) -> FloatArray:
        """(len(windows), N): the city's probabilities, or what a category makes of them."""
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
            try:
                ratio, fixed = stored(code, [RATIO_ROW, FIXED_ROW])
            except NotFound:  # too rare for a density of its own: it goes by the city's
                return city
        return CategoryDensity(ratio, fixed).given(city)

    def mixed(
        self, version: LoadedVersion, code: int, windows: NDArray[Any], mean: FloatArray
    ) -> FloatArray:
        """(N,) where an incident of several slots happens: tables (K,) weighted by their means."""
        if len(windows) == 1:
            return self.table(version, code, int(windows[0]))
        tables = self.tables(version, code, windows.tolist())
        weight = mean if mean.sum() > 0 else np.ones(len(mean))
        by_window = np.bincount(windows.astype(np.int64), weights=weight, minlength=168)
        total = np.zeros(len(version.grid))
        for window, table in tables.items():
            total += by_window[window] * table
        result: FloatArray = total / total.sum()
        return result
