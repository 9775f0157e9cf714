"""Places to judge: polygons, or cells of the served version's grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from app.core.bounds import check_number
from app.core.errors import InvalidInput
from app.core.processes.native import prepared
from app.forecasts.areas.polygons import polygons_m
from app.forecasts.versions.loaded import LoadedVersion
from models.units import FloatArray

MAX_AREAS = 500
MAX_VERTICES = 20_000
MAX_CELLS = 20_000
POINTS_AT_ONCE = 50_000


@dataclass(frozen=True)
class Places:
    """Places and their area within the study area, overlaps counted once.

    Exactly one of `shape_m` (a valid polygon) and `cells` (rows of the grid) is given.
    """

    area_km2: float
    shape_m: Any | None = None
    cells: NDArray[np.int64] | None = None

    def hold(
        self, x_m: NDArray[Any], y_m: NDArray[Any], rows: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Return which points (n,), in cells `rows`, lie in the places; outlines belong to them."""
        if self.cells is not None:
            return np.isin(rows, self.cells)
        inside = np.zeros(len(x_m), np.bool_)
        mine = prepared(self.shape_m)
        for start in range(0, len(x_m), POINTS_AT_ONCE):
            part = slice(start, start + POINTS_AT_ONCE)
            inside[part] = shapely.intersects_xy(mine, x_m[part], y_m[part])
        return inside

    def share_of_cells(self, version: LoadedVersion) -> FloatArray:
        """Return the share (N,) of each cell's area that lies in the places."""
        share = np.zeros(len(version.grid))
        if self.cells is not None:
            share[self.cells] = 1.0
        else:
            found = version.index.overlap(np.array([self.shape_m], object))
            share[found.source] = found.area_km2 / version.grid.area_km2[found.source]
        return np.minimum(share, 1.0)


def places_of(
    version: LoadedVersion, features: Sequence[Mapping[str, Any]] | None, cells: Sequence[int]
) -> Places:
    """Return the places of GeoJSON features, or of ids of cells if there are none.

    Raises:
        InvalidInput: there are none, or one is no polygon, no such cell, or outside the study area.
        LimitExceeded: too many areas, vertices or cells.
    """
    if (features is None) == (not cells):
        raise InvalidInput("give areas or cells, one of them", field="areas")
    return _of_cells(version, cells) if features is None else _of_polygons(version, features)


def _of_cells(version: LoadedVersion, cells: Sequence[int]) -> Places:
    _check_number("cells", "cells", len(cells), MAX_CELLS)
    grid = version.grid
    ids = np.unique(np.array(cells, np.int64))
    known = (ids >= 0) & (ids < grid.nx * grid.ny)
    rows = np.where(known, grid.rows_of_ids(np.where(known, ids, 0)), -1)
    if (rows < 0).any():
        raise InvalidInput(
            f"the study area has no cell {ids[rows < 0][0]}; ids are those of forecasts of "
            f"{version.record.version} in its own cells of {grid.cell_size_m:g} m",
            field="cells",
        )
    return Places(float(grid.area_km2[rows].sum()), cells=rows)


def _of_polygons(version: LoadedVersion, features: Sequence[Mapping[str, Any]]) -> Places:
    _check_number("areas", "areas", len(features), MAX_AREAS)
    for place, feature in enumerate(features):
        geometry = feature.get("geometry") if isinstance(feature, Mapping) else None
        kind = geometry.get("type") if isinstance(geometry, Mapping) else None
        if kind not in ("Polygon", "MultiPolygon"):
            raise InvalidInput(
                "an area must be a Polygon or a MultiPolygon",
                field=f"areas.features.{place}.geometry",
            )
    shapes_m = polygons_m(features, version.grid.crs, 1.0)
    n_vertices = int(shapely.get_num_coordinates(shapes_m).sum())
    _check_number("areas", "vertices", n_vertices, MAX_VERTICES)
    shape_m = shapely.union_all(shapes_m)
    area_km2 = float(version.index.overlap(np.array([shape_m], object)).area_km2.sum())
    if area_km2 <= 0:
        raise InvalidInput("the areas lie outside the study area", field="areas")
    return Places(area_km2, shape_m=shape_m)


def _check_number(field: str, what: str, asked: int, limit: int) -> None:
    check_number(asked, limit, f"{asked} {what}", field, "send fewer, or simpler ones")
