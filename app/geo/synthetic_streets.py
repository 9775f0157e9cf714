"""A made street network over a study area: a bent grid of streets, and diagonal avenues."""

from __future__ import annotations

from typing import Any

import numpy as np

from app.geo.study_area import StudyArea, to_degrees

BLOCK_M = 150.0
AVENUE_EVERY = 12
BEND_SHARE = 0.1
"""Of a block, by which crossings lie beside a straight grid (standard deviation)."""


def synthetic_streets(area: StudyArea, block_m: float = BLOCK_M, seed: int = 0) -> dict[str, Any]:
    """Return named lines that share a vertex at each crossing, as GeoJSON features.

    They cover the box around the area. Every `AVENUE_EVERY`th diagonal is an avenue.
    """
    west, south, east, north = area.polygon_m.bounds
    nx, ny = (int(np.ceil(size / block_m)) + 1 for size in (east - west, north - south))
    rng = np.random.default_rng(seed)
    x_m, y_m = np.meshgrid(west + block_m * np.arange(nx), south + block_m * np.arange(ny))
    bend = rng.normal(0.0, BEND_SHARE * block_m, (2, ny, nx))
    longitude, latitude = to_degrees(x_m + bend[0], y_m + bend[1], area.crs)
    place = np.stack([longitude, latitude], axis=-1)
    named = [(f"{_ordinal(row + 1)} Street", place[row]) for row in range(ny)]
    named += [(f"{_ordinal(column + 1)} Avenue", place[:, column]) for column in range(nx)]
    for start in range(-ny + 2, nx - 1, AVENUE_EVERY):
        rows = np.arange(max(0, -start), min(ny, nx - start))
        named.append((f"Diagonal {start + ny}", place[rows, rows + start]))
    features = [
        {
            "type": "Feature",
            "properties": {"name": name},
            "geometry": {"type": "LineString", "coordinates": np.round(line, 7).tolist()},
        }
        for name, line in named
        if len(line) > 1
    ]
    return {"type": "FeatureCollection", "features": features}


def _ordinal(n: int) -> str:
    """Write a number as an ordinal.

    >>> [_ordinal(n) for n in (1, 2, 3, 4, 11, 21, 112)]
    ['1st', '2nd', '3rd', '4th', '11th', '21st', '112th']
    """
    endings = {} if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}
    return f"{n}{endings.get(n % 10, 'th')}"
