"""Write a version into the registry: its record, its forecasts and the seal over both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, func, insert, update
from sqlalchemy.dialects.postgresql import insert as upsert

from app.core.db.tables import forecast_grids, model_versions
from app.registry.artifacts import ArtifactCorrupt
from app.registry.integrity import forecasts_sha256, row_digest, seal_version
from app.registry.store import ANY_WINDOW, NewVersion, VersionRecord, check_version, get_version


def register_version(
    connection: Connection, new: NewVersion, tables: Mapping[int, NDArray[np.float64]]
) -> VersionRecord:
    """Write a version and its probability tables in the caller's transaction.

    Args:
        new: its artifact and grid were stored earlier in the same transaction.
        tables: (W, N) probabilities, W = 1 or 168, under `ALL_CATEGORIES`; (2, N) ratio and fixed
            part under the codes of categories.

    An existing version (same data, seed, settings: same artifact) stays as it is, unless it is damaged: then
    it is rewritten.

    Raises:
        ValueError: a table has values that are not probabilities.
    """
    for code, table in tables.items():
        if not np.all(np.isfinite(table)) or np.any(table < 0):
            raise ValueError(
                f"the table of category {code} holds values that are not finite or < 0"
            )
    rows = [row for code, table in tables.items() for row in _table_rows(new, code, table)]
    forecasts = forecasts_sha256((r["category_code"], r["window"], r["digest"]) for r in rows)
    values = {**asdict(new), "forecasts_sha256": forecasts, "seal": b""}
    inserted = connection.execute(
        upsert(model_versions)
        .values(**values)
        .on_conflict_do_nothing()
        .returning(model_versions.c.version)
    ).one_or_none()
    if inserted is not None or _clear_damaged(connection, values):
        if rows:
            connection.execute(insert(forecast_grids), rows)
        seal_version(connection, new.region_key, new.version)
    return get_version(connection, new.region_key, new.version)


def _clear_damaged(connection: Connection, values: Mapping[str, Any]) -> bool:
    """If the stored version is damaged, overwrite its record; return whether it was."""
    key, version = values["region_key"], values["version"]
    try:
        check_version(connection, get_version(connection, key, version))
    except ArtifactCorrupt:
        rows, record = forecast_grids.c, model_versions.c
        connection.execute(
            forecast_grids.delete().where(rows.region_key == key, rows.version == version)
        )
        connection.execute(
            update(model_versions)
            .where(record.region_key == key, record.version == version)
            .values(**values, created_at=func.now(), sealed_at=func.now())
        )
        return True
    return False


def _table_rows(new: NewVersion, code: int, table: NDArray[np.float64]) -> list[dict[str, Any]]:
    windows = range(len(table)) if len(table) > 1 else (ANY_WINDOW,)
    rows: list[dict[str, Any]] = []
    for window, row in zip(windows, table, strict=True):
        place = {
            "region_key": new.region_key,
            "version": new.version,
            "category_code": code,
            "window": window,
            "cell_values": row.astype("<f4").tobytes(),
        }
        rows.append({**place, "digest": row_digest(**place)})
    return rows
