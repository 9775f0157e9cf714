"""Grids, content-addressed: versions fitted on the same cells share one row."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert as upsert

from app.core.db.tables import grids
from app.geo.grid import Grid
from app.registry.artifacts import ArtifactCorrupt

GRID_SHAPE = ("crs", "x0_m", "y0_m", "cell_size_m", "nx", "ny")


def store_grid(connection: Connection, grid: Grid, boundary: Mapping[str, Any]) -> str:
    """Store a grid and its boundary (GeoJSON geometry); return its sha256."""
    # JSONB has no negative zero: hash what will be read.
    stored = json.loads(json.dumps(boundary), parse_float=lambda number: float(number) + 0.0)
    values = {
        **{name: getattr(grid, name) for name in GRID_SHAPE},
        "cell_id": grid.cell_id.astype("<i8").tobytes(),
        "area_km2": grid.area_km2.astype("<f8").tobytes(),
        "boundary": stored,
    }
    sha256 = _grid_sha256(values)
    connection.execute(upsert(grids).values(sha256=sha256, **values).on_conflict_do_nothing())
    return sha256


def _grid_sha256(values: Mapping[str, Any]) -> str:
    shape = {name: values[name] for name in GRID_SHAPE}
    header = json.dumps([shape, values["boundary"]], sort_keys=True).encode()
    return hashlib.sha256(header + values["cell_id"] + values["area_km2"]).hexdigest()


def load_grid(connection: Connection, sha256: str) -> tuple[Grid, dict[str, Any]]:
    """Load a stored grid and its boundary (GeoJSON geometry, WGS 84).

    Raises:
        ArtifactCorrupt: it is missing, or not what was stored.
    """
    row = connection.execute(select(grids).where(grids.c.sha256 == sha256)).one_or_none()
    if row is None or _grid_sha256(dict(row._mapping)) != sha256:
        raise ArtifactCorrupt(f"grid {sha256[:12]} is missing or does not match its hash")
    grid = Grid(
        row.crs,
        row.x0_m,
        row.y0_m,
        row.cell_size_m,
        row.nx,
        row.ny,
        np.frombuffer(row.cell_id, "<i8").astype(np.int64),
        np.frombuffer(row.area_km2, "<f8").astype(np.float64),
    )
    return grid, row.boundary
