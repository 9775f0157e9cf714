"""H3 cells over a study area: the hexagons that many maps and data catalogues share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import h3
import numpy as np
import shapely
from numpy.typing import NDArray

from app.core.errors import LimitExceeded
from app.geo.antimeridian import cut, unwrapped
from app.geo.grid import MAX_CELLS
from app.geo.study_area import StudyArea, shape_in_degrees, to_metres

MIN_RESOLUTION = 4
MAX_RESOLUTION = 10
"""Edges of about 66 m; finer cells would be less than 100 m across."""
MAX_SLACK_M = 50.0


def check_resolution(resolution: int, area_km2: float) -> None:
    """Raise unless a study area of this size may be divided at this resolution.

    Raises:
        LimitExceeded: the resolution is not within 4..10, or too many cells (by an estimate).
    """
    if not MIN_RESOLUTION <= resolution <= MAX_RESOLUTION:
        raise LimitExceeded(
            f"resolution is {resolution}; it must lie within {MIN_RESOLUTION}..{MAX_RESOLUTION}",
            field="resolution",
            limit=MIN_RESOLUTION if resolution < MIN_RESOLUTION else MAX_RESOLUTION,
            asked=resolution,
        )
    estimate = area_km2 / h3.average_hexagon_area(resolution, unit="km^2")
    if estimate > MAX_CELLS:
        raise LimitExceeded(
            f"about {estimate:.0f} cells, the limit is {MAX_CELLS}",
            field="resolution",
            limit=MAX_CELLS,
            asked=round(estimate),
        )


def h3_cells_over(area: StudyArea, resolution: int) -> list[str]:
    """List the ids of all H3 cells that may overlap a study area, ascending.

    H3 gets a simplified outline around the true one, which costs a tenth; cells outside the true one are
    dropped when their overlap is measured.
    """
    check_resolution(resolution, area.area_km2)
    edge_m = h3.average_hexagon_edge_length(resolution, unit="m")
    slack_m = min(edge_m / 2, MAX_SLACK_M)
    # Buffers with eight-cornered circles are up to 8 % too small.
    reach_m = 1.1 * slack_m
    around_m = shapely.buffer(shapely.simplify(area.polygon_m, slack_m), reach_m, quad_segs=2)
    degrees = cut(shape_in_degrees(shapely.simplify(around_m, 0.0), area.crs))
    shape = h3.geo_to_h3shape(degrees)
    return sorted(set(h3.h3shape_to_cells_experimental(shape, resolution, "overlap")))


def h3_polygons_degrees(ids: Sequence[str]) -> NDArray[Any]:
    """Return (N,) shapely polygons of H3 cells in degrees; longitudes may continue beyond 180."""
    rings = [[(lng, lat) for lat, lng in h3.cell_to_boundary(one)] for one in ids]
    around = rings[0][0][0] if rings else 0.0
    polygons: NDArray[Any] = shapely.polygons([shapely.linearrings(ring) for ring in rings])
    continued: NDArray[Any] = shapely.transform(
        polygons, lambda xy: np.column_stack([unwrapped(xy[:, 0], around), xy[:, 1]])
    )
    return continued


def projected(polygons: NDArray[Any], crs: str) -> NDArray[Any]:
    """Project the corners of polygons from degrees to metres."""
    moved: NDArray[Any] = shapely.transform(
        polygons, lambda xy: np.column_stack(to_metres(xy[:, 0], xy[:, 1], crs))
    )
    return moved


def h3_centres(ids: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return longitude and latitude of the middles of H3 cells, (N,) each."""
    places = np.array([h3.cell_to_latlng(one) for one in ids]).reshape(-1, 2)
    return places[:, 1], places[:, 0]
