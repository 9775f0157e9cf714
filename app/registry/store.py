"""The model registry: immutable versions, their grids and probabilities, one champion per region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Row, select

from app.core.caching.once import once
from app.core.db.tables import forecast_grids, model_versions
from app.core.errors import NotFound, NotReady
from app.core.texts import shortened
from app.geo.grid import Grid
from app.regions.outdated import outdated_of
from app.registry.artifacts import ArtifactCorrupt, load_grid
from app.registry.integrity import (
    check_artifact,
    check_artifact_name,
    check_grid_name,
    check_rows,
    row_digest,
    seal_of,
)
from app.registry.visibility import served, usable, visible
from models.units import N_WINDOWS, FloatArray

ALL_CATEGORIES = -1
ANY_WINDOW = -1
MAX_CATEGORY_CODE = 2**15 - 1
"""Limit of a two-byte column; only regions from before `max_categories` have more."""
WINDOWS_AT_ONCE = 12
RATIO_ROW, FIXED_ROW = 0, 1
"""Row numbers of a category's table: its ratio to the city, and its part that is fixed at all hours."""


@dataclass(frozen=True)
class NewVersion:
    """A version to register; its id names one artifact permanently."""

    region_key: int
    version: str
    model: str
    artifact_sha256: str
    grid_sha256: str
    run_id: UUID | None
    data_hash: str
    n_incidents: int
    cutoff: datetime
    seed: int
    categories: list[str]
    settings: dict[str, Any]
    provenance: dict[str, Any]
    report: dict[str, Any]
    scores: dict[str, Any]
    counts: dict[str, Any]
    gate: dict[str, Any]


@dataclass(frozen=True)
class VersionRecord(NewVersion):
    """A registered version; `sealed_at` is later than its creation where it was sealed again."""

    created_at: datetime
    forecasts_sha256: str
    sealed_at: datetime
    seal: bytes

    @once
    def is_sound(self) -> bool:
        """Whether the row is what was registered."""
        return bytes(self.seal) == seal_of(vars(self))

    def checked(self) -> VersionRecord:
        """Return the record after checking its seal.

        Raises:
            ArtifactCorrupt: the row was altered after its registration.
        """
        if not self.is_sound:
            raise ArtifactCorrupt(f"version {self.version}: its record is not what was registered")
        return self


def _as_version(row: Row[Any]) -> VersionRecord:
    return VersionRecord(**row._mapping)


def list_versions(connection: Connection, region_key: int, limit: int = 100) -> list[VersionRecord]:
    """List a region's newest versions; check `is_sound` of each before using its figures."""
    query = (
        select(model_versions)
        .where(model_versions.c.region_key == region_key, *visible())
        .order_by(model_versions.c.created_at.desc(), model_versions.c.version)
        .limit(limit)
    )
    return [_as_version(row) for row in connection.execute(query)]


def get_version(
    connection: Connection, region_key: int, selector: str | None = None
) -> VersionRecord:
    """Return the champion (no selector), a version by id, or the newest of a model's name.

    Raises:
        NotReady: the region has no champion yet, or the version was made for what it was before.
        NotFound: no version matches the selector.
        ArtifactCorrupt: its record is not what was registered.
    """
    query = select(model_versions).where(model_versions.c.region_key == region_key, *usable())
    current = served(connection, region_key) if selector is None else None
    if selector is None:
        if current is None:
            raise NotReady("no model has been trained for this region yet", code="no_model")
        selector = current
    row = connection.execute(query.where(model_versions.c.version == selector)).one_or_none()
    if row is None and current is not None:
        raise ArtifactCorrupt(f"version {selector}: its record is missing")
    if row is None:
        newest = (
            query.where(model_versions.c.model == selector)
            .order_by(model_versions.c.cutoff.desc(), model_versions.c.created_at.desc())
            .limit(1)
        )
        row = connection.execute(newest).one_or_none()
    if row is None and (changed := outdated_of(connection, region_key).get(selector)):
        raise NotReady(
            f"version {selector} was made before the region's {changed} changed; train again",
            code="version_outdated",
        )
    if row is None:
        raise NotFound(f"no model or version {shortened(selector)} in this region", field="model")
    return _as_version(row).checked()


def sound_version(
    connection: Connection, region_key: int, selector: str | None = None
) -> VersionRecord | None:
    """Return what `get_version` does, or None where there is none or its record was altered."""
    try:
        return get_version(connection, region_key, selector)
    except (NotReady, NotFound, ArtifactCorrupt):
        return None


def grid_of(connection: Connection, version: VersionRecord) -> tuple[Grid, dict[str, Any]]:
    """Return a version's grid and its boundary (GeoJSON geometry, WGS 84).

    Raises:
        ArtifactCorrupt: it is missing, damaged, or not the one that was registered.
    """
    check_grid_name(version.version, version.grid_sha256)
    return load_grid(connection, version.grid_sha256)


def check_version(connection: Connection, version: VersionRecord) -> None:
    """Raise unless a version's artifact, grid and forecasts are what was registered.

    Raises:
        ArtifactCorrupt: one of them is missing or damaged.
    """
    check_artifact_name(version.version, version.artifact_sha256, version.gate)
    check_artifact(connection, version.artifact_sha256)
    grid, _ = grid_of(connection, version)
    check_forecasts(connection, version, len(grid))


def check_forecasts(
    connection: Connection, version: VersionRecord, n_cells: int, *, values: bool = True
) -> None:
    """Raise unless all stored forecasts of a version are what was registered; see `check_rows`.

    Raises:
        ArtifactCorrupt: one of them is not.
    """
    place = version.region_key, version.version
    check_rows(connection, *place, n_cells, version.forecasts_sha256, values=values)


def category_codes(connection: Connection, region_key: int, version: str) -> frozenset[int]:
    """Return the codes that a version has tables of, `ALL_CATEGORIES` among them."""
    query = (
        select(forecast_grids.c.category_code)
        .where(forecast_grids.c.region_key == region_key, forecast_grids.c.version == version)
        .distinct()
    )
    return frozenset(connection.scalars(query))


def read_probabilities(
    connection: Connection,
    region_key: int,
    version: str,
    category_code: int,
    windows: Sequence[int],
) -> NDArray[np.float32]:
    """Read (len(windows), N) float32 probabilities of a version's cells, or rows of a category.

    Raises:
        NotFound: the version has no table for that category.
        ArtifactCorrupt: a row is not what was registered.
    """
    if category_code > MAX_CATEGORY_CODE:
        raise NotFound(f"version {version} has no forecast for category {category_code}")
    wanted = sorted({*windows, ANY_WINDOW})
    rows = connection.execute(
        select(forecast_grids).where(
            forecast_grids.c.region_key == region_key,
            forecast_grids.c.version == version,
            forecast_grids.c.category_code == category_code,
            forecast_grids.c.window.in_(wanted),
        )
    )
    found = {}
    for row in rows:
        place = (row.region_key, row.version, row.category_code, row.window)
        if row_digest(*place, row.cell_values) != row.digest:
            raise ArtifactCorrupt(f"version {version}: a stored forecast does not match its digest")
        found[int(row.window)] = np.frombuffer(row.cell_values, "<f4").astype(np.float32)
    if ANY_WINDOW in found:
        return np.tile(found[ANY_WINDOW], (len(windows), 1))
    missing = [w for w in windows if w not in found]
    if missing:
        raise NotFound(f"version {version} has no forecast for window {missing[0]}")
    return np.stack([found[w] for w in windows])


def read_mean(
    connection: Connection, region_key: int, version: str, rates: FloatArray
) -> FloatArray:
    """Return the probabilities (N,) of an incident at any hour, by the hours' rates (168,).

    Some hours are read at a time: all of them take 336 MB with a quarter of a million cells.

    Raises:
        ArtifactCorrupt: a row is not what was registered.
    """
    total = np.zeros(1)
    for first in range(0, N_WINDOWS, WINDOWS_AT_ONCE):
        part = range(first, first + WINDOWS_AT_ONCE)
        rows = read_probabilities(connection, region_key, version, ALL_CATEGORIES, part)
        for share, row in zip(rates[part] / rates.sum(), rows, strict=True):
            total = total + share * row.astype(np.float64)
    return np.asarray(total / total.sum(), np.float64)
