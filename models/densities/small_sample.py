"""How much hardly any data may say.

What settings are validated on past periods has a judge; where there are too few incidents for that,
these rules by their number alone hold a fit back. Cities of a few hundred incidents do not feel them.
"""

from __future__ import annotations

from models.base import FloatArray

SPREAD_INCIDENTS = 6.0
"""Incidents that are thought to lie anywhere: one in ten of sixty, none to speak of among thousands."""
FULL_STRENGTH = 250
"""From so many incidents on, a correction says all that it has found."""


def spread(probability: FloatArray, n_incidents: int, area_km2: FloatArray) -> FloatArray:
    """(..., N) probabilities after `SPREAD_INCIDENTS` more, spread evenly over the study area.

    >>> import numpy as np
    >>> spread(np.array([1.0, 0.0]), 6, np.array([1.0, 1.0]))
    array([0.75, 0.25])
    """
    share = SPREAD_INCIDENTS / (n_incidents + SPREAD_INCIDENTS)
    result: FloatArray = (1 - share) * probability + share * area_km2 / area_km2.sum()
    return result


def strength(n_incidents: int) -> float:
    """Share of a correction's log ratios that so many incidents can bear, 0..1.

    >>> strength(100), strength(10**6)
    (0.4, 1.0)
    """
    return min(1.0, n_incidents / FULL_STRENGTH)
