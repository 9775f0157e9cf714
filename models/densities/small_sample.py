"""Shrinkage for small samples.

Models validate their settings on past periods. With too few incidents for that, these rules shrink a
fit by the number of incidents alone. They hardly affect cities with a few hundred incidents.
"""

from __future__ import annotations

from models.units import FloatArray

SPREAD_INCIDENTS = 6.0
"""Pseudo-incidents spread over the study area: a tenth of sixty, negligible among thousands."""
FULL_STRENGTH = 250
"""Number of incidents from which on corrections apply in full."""


def shrink_to_uniform(
    probability: FloatArray, n_incidents: int, area_km2: FloatArray
) -> FloatArray:
    """Return probabilities (..., N) with `SPREAD_INCIDENTS` more spread over the study area.

    >>> import numpy as np
    >>> shrink_to_uniform(np.array([1.0, 0.0]), 6, np.array([1.0, 1.0]))
    array([0.75, 0.25])
    """
    share = SPREAD_INCIDENTS / (n_incidents + SPREAD_INCIDENTS)
    result: FloatArray = (1 - share) * probability + share * area_km2 / area_km2.sum()
    return result


def correction_strength(n_incidents: int) -> float:
    """Return the share of a correction's log ratios to apply, 0..1.

    >>> correction_strength(100), correction_strength(10**6)
    (0.4, 1.0)
    """
    return min(1.0, n_incidents / FULL_STRENGTH)
