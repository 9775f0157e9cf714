"""Default geocodes: places where a feed puts incidents whose true place it does not know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MIN_SHARE = 0.005
TIMES_NEXT = 5.0
CERTAIN_SHARE = 0.03
MIN_INCIDENTS = 100


@dataclass(frozen=True)
class DefaultGeocode:
    """One default geocode: metres in the region's CRS, rounded, and the incidents on it."""

    x_m: int
    y_m: int
    n_incidents: int


def find_default_geocodes(
    x_m: NDArray[Any], y_m: NDArray[Any]
) -> tuple[list[DefaultGeocode], NDArray[np.bool_]]:
    """Find places that hold implausibly many incidents, and which incidents (n,) lie on one.

    A place (to one metre) is a default geocode with 3 % of all incidents, or with 0.5 % of them and five
    times as many as the next place that is none; busy malls and stations of the cities examined hold up
    to 1.2 % and about twice the next (docs/decisions.md).

    >>> x = np.concatenate([np.arange(1000.0), np.full(200, -5.0)])
    >>> found, on_one = find_default_geocodes(x, np.zeros(1200))
    >>> [(place.n_incidents, int(on_one.sum())) for place in found]
    [(200, 200)]
    """
    place = np.stack([np.rint(x_m), np.rint(y_m)]).astype(np.int64)
    unique, of_incident, counts = np.unique(place, axis=1, return_inverse=True, return_counts=True)
    fullest = np.argsort(-counts, kind="stable")
    marked = np.zeros(len(counts), bool)
    marked[fullest] = are_default_geocodes(counts[fullest], len(place[0]))
    found = [
        DefaultGeocode(int(unique[0, i]), int(unique[1, i]), int(counts[i]))
        for i in fullest
        if marked[i]
    ]
    return found, marked[of_incident.ravel()]


def are_default_geocodes(counts: NDArray[np.int64], n_incidents: int) -> NDArray[np.bool_]:
    """Return (n,) which places are default geocodes.

    Args:
        counts: (n,) incidents of the fullest places, most first; those with under 0.5 % of all may
            be omitted but for the first of them.
        n_incidents: of all places.
    """
    marked = np.zeros(len(counts), bool)
    n_candidates = int((counts >= max(MIN_INCIDENTS, MIN_SHARE * n_incidents)).sum())
    # From the least full candidate up: each is judged against what is left below it.
    for rank in range(n_candidates - 1, -1, -1):
        ordinary = counts[rank + 1 :][~marked[rank + 1 :]]
        following = ordinary[0] if len(ordinary) else 0
        marked[rank] = (
            counts[rank] >= TIMES_NEXT * following or counts[rank] >= CERTAIN_SHARE * n_incidents
        )
    return marked
