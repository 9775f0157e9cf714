"""Detect places too far from the rest of a region that has no boundary."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.geo.antimeridian import middle_longitude, unwrapped
from app.geo.study_area import MAX_EXTENT_DEG
from app.geo.zone_places import Place


class FarCheck:
    """Count rows too far from a region without a given boundary to belong to it.

    They are stored, since only a boundary can reject them; a derived study area excludes them.
    """

    def __init__(self, middle: tuple[float, float] | None) -> None:
        self.middle = middle
        self.n_far = 0
        self.n_swapped = 0
        self.first: Place | None = None
        """The first far place."""

    def note(self, longitude: NDArray[np.float64], latitude: NDArray[np.float64]) -> None:
        """Count these rows; the first ones define where the region lies if nothing else does."""
        if len(longitude) == 0:
            return
        if self.middle is None:
            self.middle = middle_longitude(longitude), float(np.median(latitude))
        far = ~_near(longitude, latitude, self.middle)
        self.n_far += int(far.sum())
        if self.first is None and far.any():
            row = int(np.argmax(far))
            self.first = Place(float(longitude[row]), float(latitude[row]))
        self.n_swapped += int(_near(latitude[far], longitude[far], self.middle).sum())


def _near(
    x: NDArray[np.float64], y: NDArray[np.float64], to: tuple[float, float]
) -> NDArray[np.bool_]:
    across = np.abs(unwrapped(x, to[0]) - to[0])
    near: NDArray[np.bool_] = np.maximum(across, np.abs(y - to[1])) <= MAX_EXTENT_DEG
    return near
