"""How the error of the counts' level grows with the time between the end of the data and the forecast."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from models.base import HORIZON_DAYS
from models.counts.fit import Slots
from models.units import HOURS_PER_DAY, N_WINDOWS, FloatArray, IntArray

N_WEEKS = 13
N_ORIGINS = 13
MAX_LEAD_WEEKS = 52.0
"""From here on the error grows no further: a quarter of leads says nothing of years."""
FOLD_LEAD_WEEKS = HORIZON_DAYS / 7 / 2
"""Mean lead of the 28-day periods that the dispersion of the level is fitted to."""


def level_growth(
    slots: Slots,
    count: IntArray,
    by_level: float,
    min_hours: int,
    forecast: Callable[[int, Slots], FloatArray],
) -> float:
    """Return by how much the dispersion of the level grows per week of lead, at least 0.

    Weekly totals of the quarter after past origins, four weeks apart, are compared with their forecasts.
    Their excess variance is fitted by a line in the lead, by least squares weighted with the forecasts'
    squares. The line passes through `by_level` at the mean lead of the folds, and never below zero.

    Args:
        slots, count: (n,) the history.
        by_level: dispersion of the level within the folds.
        min_hours: shortest history before an origin.
        forecast: means of slots after an origin (index into the history), fitted before it.
    """
    excess, weight = np.zeros(N_WEEKS), np.zeros(N_WEEKS)
    step = HORIZON_DAYS * HOURS_PER_DAY
    for start in range(len(slots) - step, min_hours - 1, -step)[:N_ORIGINS]:
        n_weeks = min(N_WEEKS, (len(slots) - start) // N_WINDOWS)
        hours = slice(start, start + n_weeks * N_WINDOWS)
        mean = forecast(start, slots.take(hours)).reshape(n_weeks, N_WINDOWS).sum(axis=1)
        total = count[hours].reshape(n_weeks, N_WINDOWS).sum(axis=1)
        excess[:n_weeks] += (total - mean) ** 2 - mean
        weight[:n_weeks] += mean**2
    seen = weight > 0
    if seen.sum() < 2 or by_level <= 0:
        return 0.0
    ahead = (np.arange(N_WEEKS) + 0.5 - FOLD_LEAD_WEEKS)[seen]
    beyond = excess[seen] / weight[seen] - by_level
    slope = float((weight[seen] * ahead) @ beyond / ((weight[seen] * ahead) @ ahead))
    return float(np.clip(slope, 0.0, by_level / FOLD_LEAD_WEEKS))
