"""The named parts of a city, and which cells belong to which."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import shape

from app.core.errors import InvalidInput
from app.geo.grid import Grid
from app.geo.study_area import to_metres

MAX_PEOPLE = 1e10
_COMPASS = (
    "south-west", "south", "south-east", "west", "centre", "east",
    "north-west", "north", "north-east",
)  # fmt: skip


@dataclass(frozen=True)
class Neighbourhoods:
    """Named parts (P,) and the part of each cell.

    `part` (N,) 0..P-1; every cell has one; a cell whose centre lies in no part takes the nearest.
    `population` (P,), NaN where unknown. `groups` {name: (P,) members}, where given.
    """

    names: tuple[str, ...]
    part: NDArray[np.int64]
    population: NDArray[np.float64]
    groups: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)


def divide(grid: Grid, collection: Mapping[str, Any] | None) -> Neighbourhoods:
    """Assign a grid's cells to the polygons of a GeoJSON FeatureCollection (WGS 84).

    Features of the same name form one part; `properties` give `name` and, where known,
    `population` and `groups` {name: members}. Features without a geometry are left out. Without a
    collection the city is divided by compass directions, so that every evaluation considers place.
    """
    if collection is None:
        return divide_by_compass(grid)
    drawn = [f for f in collection["features"] if f.get("geometry")]
    names = tuple(dict.fromkeys(str(f["properties"]["name"]) for f in drawn))
    place = {name: i for i, name in enumerate(names)}
    population = np.full(len(names), np.nan)
    part_of = np.array([place[str(f["properties"]["name"])] for f in drawn], np.int64)
    for feature, part in zip(drawn, part_of, strict=True):
        people = feature["properties"].get("population")
        if isinstance(people, int | float):
            population[part] = np.nansum([population[part], people])
    polygons = [
        shapely.transform(
            shape(f["geometry"]),
            lambda xy: np.column_stack(to_metres(xy[:, 0], xy[:, 1], grid.crs)),
        )
        for f in drawn
    ]
    nearest = shapely.STRtree(polygons).nearest(shapely.points(*grid.centres_m()))
    groups = _groups(drawn, part_of, len(names))
    return Neighbourhoods(names, part_of[np.asarray(nearest, np.int64)], population, groups)


def _groups(
    features: Sequence[Mapping[str, Any]], part_of: NDArray[np.int64], n_parts: int
) -> dict[str, NDArray[np.float64]]:
    found: dict[str, NDArray[np.float64]] = {}
    for feature, part in zip(features, part_of, strict=True):
        for name, members in (feature["properties"].get("groups") or {}).items():
            found.setdefault(str(name), np.zeros(n_parts))[part] += float(members)
    return found


def divide_by_compass(grid: Grid) -> Neighbourhoods:
    """Divide a grid into nine parts: thirds of the cells from west to east and south to north."""
    column, row = (_third(v) for v in (grid.ix, grid.iy))
    place = row * 3 + column
    taken = np.unique(place)
    names = tuple(_COMPASS[i] for i in taken)
    return Neighbourhoods(names, np.searchsorted(taken, place), np.full(len(names), np.nan))


def _third(values: NDArray[np.int64]) -> NDArray[np.int64]:
    result: NDArray[np.int64] = np.searchsorted(np.quantile(values, [1 / 3, 2 / 3]), values)
    return result


def number_of_people(value: Any, name: str) -> float:
    """Parse a number of residents from a layer or a boundary.

    Raises:
        InvalidInput: not a number within 0..10^10.
    """
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if isinstance(value, bool) or not 0 <= number <= MAX_PEOPLE:
        raise InvalidInput(
            f"{name[:100]} must be a number of people, 0 to {MAX_PEOPLE:,.0f}, in every row",
            field="population",
        )
    return number
