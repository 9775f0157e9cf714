"""The named parts of a city, and which cells belong to which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import shape

from app.domain.grid import Grid
from app.domain.study_area import to_metres


@dataclass(frozen=True)
class Neighbourhoods:
    """Named parts (P,) and the part of each cell.

    `part` (N,) 0..P-1; every cell has one, a cell whose middle no part holds the nearest.
    `population` (P,), NaN where it is not given.
    """

    names: tuple[str, ...]
    part: NDArray[np.int64]
    population: NDArray[np.float64]


def divide(grid: Grid, collection: Mapping[str, Any]) -> Neighbourhoods:
    """Cells of a grid by the polygons of a GeoJSON FeatureCollection (WGS 84).

    Features of the same name are one part; `properties` give `name` and, where known,
    `population`. Features without a geometry are left out.
    """
    kept = [f for f in collection["features"] if f.get("geometry")]
    names = tuple(dict.fromkeys(str(f["properties"]["name"]) for f in kept))
    place = {name: i for i, name in enumerate(names)}
    population = np.full(len(names), np.nan)
    part_of = np.array([place[str(f["properties"]["name"])] for f in kept], np.int64)
    for feature, part in zip(kept, part_of, strict=True):
        people = feature["properties"].get("population")
        if isinstance(people, int | float):
            population[part] = np.nansum([population[part], people])
    polygons = [
        shapely.transform(
            shape(f["geometry"]),
            lambda xy: np.column_stack(to_metres(xy[:, 0], xy[:, 1], grid.crs)),
        )
        for f in kept
    ]
    nearest = shapely.STRtree(polygons).nearest(shapely.points(*grid.centres_m()))
    return Neighbourhoods(names, part_of[np.asarray(nearest, np.int64)], population)
