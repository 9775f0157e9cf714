"""Artifacts and grids, stored content-addressed in PostgreSQL.

An artifact is safetensors with a JSON header, named by the sha256 of its bytes. `unpack` checks hash,
header, shapes and finiteness, since safetensors alone accepts flipped bits and NaN weights. Versions fitted
on the same cells share the row of a grid.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors
from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.dialects.postgresql import insert as upsert

from app.core.db.tables import artifacts, grids
from app.core.errors import HotslotError
from app.geo.grid import Grid

FORMAT = 1
_HEADER_KEY = "__header__"


class ArtifactCorrupt(HotslotError):
    """Stored bytes are not the ones that were registered."""

    code = "artifact_corrupt"


def pack(header: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> tuple[bytes, str]:
    """Return bytes and their sha256 (hex); equal header and tensors give equal bytes.

    The header travels as a uint8 tensor of canonical JSON: safetensors' own metadata map has no
    fixed order, which would make equal artifacts differ.

    Raises:
        ValueError: a tensor holds a value that is not finite.
    """
    for name, tensor in tensors.items():
        if np.issubdtype(tensor.dtype, np.floating) and not np.all(np.isfinite(tensor)):
            raise ValueError(f"tensor {name} holds values that are not finite")
    shapes = {name: list(tensor.shape) for name, tensor in tensors.items()}
    text = json.dumps(
        {"format": FORMAT, "shapes": shapes, **header}, sort_keys=True, separators=(",", ":")
    )
    stored = {name: np.ascontiguousarray(tensors[name]) for name in sorted(tensors)}
    stored[_HEADER_KEY] = np.frombuffer(text.encode(), np.uint8)
    content = save_tensors(stored)
    return content, hashlib.sha256(content).hexdigest()


def unpack(content: bytes, sha256: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the header and tensors of an artifact.

    Raises:
        ArtifactCorrupt: hash, format, shapes or finiteness differ from what was packed.
    """
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ArtifactCorrupt(f"artifact {sha256[:12]} does not match its hash")
    try:
        tensors = load_tensors(content)
        header: dict[str, Any] = json.loads(tensors.pop(_HEADER_KEY).tobytes())
    except (SafetensorError, KeyError, ValueError) as error:
        raise ArtifactCorrupt(f"artifact {sha256[:12]} cannot be read: {error}") from error
    if header.get("format") != FORMAT:
        raise ArtifactCorrupt(f"artifact {sha256[:12]} has format {header.get('format')!r}")
    shapes = {name: list(tensor.shape) for name, tensor in tensors.items()}
    if shapes != header.get("shapes"):
        raise ArtifactCorrupt(f"artifact {sha256[:12]} has other shapes than in its header")
    for name, tensor in tensors.items():
        if np.issubdtype(tensor.dtype, np.floating) and not np.all(np.isfinite(tensor)):
            raise ArtifactCorrupt(f"artifact {sha256[:12]}: tensor {name} is not finite")
    return header, tensors


def store_artifact(connection: Connection, content: bytes, sha256: str) -> None:
    """Store an artifact; storing the same one again changes nothing."""
    statement = insert(artifacts).values(sha256=sha256, content=content, size_bytes=len(content))
    connection.execute(statement.on_conflict_do_nothing(index_elements=["sha256"]))


def load_artifact(
    connection: Connection, sha256: str
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Load and check the header and tensors of a stored artifact.

    Raises:
        ArtifactCorrupt: it is missing or damaged.
    """
    content = connection.scalar(select(artifacts.c.content).where(artifacts.c.sha256 == sha256))
    if content is None:
        raise ArtifactCorrupt(f"artifact {sha256[:12]} is missing")
    return unpack(bytes(content), sha256)


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
