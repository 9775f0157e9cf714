"""Name places by streets: the nearest crossing of two named streets, or the nearest named street."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from app.geo.study_area import to_metres
from app.streets.layer import UNNAMED, StreetLayer
from models.units import FloatArray

CROSSING_M = 250.0
"""A place farther from every crossing is named by its street."""
STREET_M = 500.0
JOIN = " / "
_STEP_M = 25.0


class PlaceNames:
    """Names of places; safe to share between threads."""

    def __init__(self, layer: StreetLayer, crs: str) -> None:
        self.layer = layer
        self.crs = crs
        xy_m = layer.network(crs).xy_m
        self._crossing, self._pair = _crossings(layer, xy_m)
        places, self._street = _along(layer, xy_m)
        self._crossings = cKDTree(self._crossing) if len(self._crossing) else None
        self._streets = cKDTree(places) if len(places) else None

    def of(self, longitude: FloatArray, latitude: FloatArray) -> list[str | None]:
        """Return the name of each place (n,); None far from all named streets."""
        xy_m = np.column_stack(to_metres(longitude, latitude, self.crs))
        found: list[str | None] = [None] * len(xy_m)
        if self._streets is not None:
            away_m, near = self._streets.query(xy_m)
            street = self._street[np.asarray(near)]
            for row in np.flatnonzero(away_m <= STREET_M).tolist():
                found[row] = self.layer.names[int(street[row])]
        if self._crossings is not None:
            away_m, near = self._crossings.query(xy_m)
            pair = self._pair[np.asarray(near)]
            for row in np.flatnonzero(away_m <= CROSSING_M).tolist():
                first, second = pair[row].tolist()
                found[row] = JOIN.join((self.layer.names[first], self.layer.names[second]))
        return found


def place_name(names: PlaceNames, longitude: float, latitude: float) -> str | None:
    """Return the name of one place."""
    return names.of(np.array([longitude]), np.array([latitude]))[0]


def _crossings(layer: StreetLayer, xy_m: FloatArray) -> tuple[FloatArray, NDArray[np.int64]]:
    """Return the junctions (J, 2) of differently named streets, and two names (J, 2) of each.

    Of several names those of the most segments are taken.
    """
    ends = np.stack([layer.start[:-1], layer.start[1:] - 1], axis=1).ravel()
    node = layer.node.ravel().astype(np.int64)
    name = np.repeat(layer.name, 2).astype(np.int64)
    named = name != UNNAMED
    node, name, ends = node[named], name[named], ends[named]
    _, first, n = np.unique(
        node * (len(layer.names) + 1) + name, return_index=True, return_counts=True
    )
    node, name, ends = node[first], name[first], ends[first]
    order = np.lexsort((name, -n, node))
    node, name, ends = node[order], name[order], ends[order]
    is_first = np.append(True, node[1:] != node[:-1]) if len(node) else np.zeros(0, bool)
    pairs = np.flatnonzero(is_first[:-1] & ~is_first[1:]) if len(node) else np.zeros(0, np.int64)
    return xy_m[ends[pairs]], np.stack([name[pairs], name[pairs + 1]], axis=1)


def _along(layer: StreetLayer, xy_m: FloatArray) -> tuple[FloatArray, NDArray[np.int64]]:
    """Return places (n, 2) along the named streets, at most `_STEP_M` apart, and their names."""
    segment = np.repeat(np.arange(len(layer)), np.diff(layer.start))
    name = layer.name[segment].astype(np.int64)
    inner = np.flatnonzero((segment[1:] == segment[:-1]) & (name[1:] != UNNAMED))
    step = xy_m[inner + 1] - xy_m[inner]
    n = np.ceil(np.linalg.norm(step, axis=1) / _STEP_M).astype(np.int64) + 1
    row = np.repeat(np.arange(len(inner)), n)
    share = (np.arange(len(row)) - np.repeat(np.cumsum(n) - n, n)) / np.maximum(n[row] - 1, 1)
    places: FloatArray = xy_m[inner[row]] + step[row] * share[:, None]
    return places, name[inner[row] + 1]
