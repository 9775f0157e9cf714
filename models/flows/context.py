"""What a conditional flow knows of an incident besides its place."""

from __future__ import annotations

import numpy as np

from models.base import HOURS_PER_DAY, N_WINDOWS, FloatArray

_SATURDAY = 5


def window_features(n_daily: int = 2, n_weekly: int = 1) -> FloatArray:
    """(168, C) smooth features of the hour of the week.

    Harmonics of the hour of the day, the same for weekends apart, harmonics of the week, and a
    weekend flag.
    """
    hour = np.arange(N_WINDOWS)
    weekend = (hour // HOURS_PER_DAY >= _SATURDAY).astype(np.float64)[:, None]
    daily = _harmonics(2 * np.pi * hour / HOURS_PER_DAY, n_daily)
    weekly = _harmonics(2 * np.pi * hour / N_WINDOWS, n_weekly)
    return np.concatenate([daily, daily * weekend, weekly, weekend], axis=1)


def _harmonics(angle: FloatArray, n: int) -> FloatArray:
    multiple = np.arange(1, n + 1) * angle[:, None]
    return np.concatenate([np.cos(multiple), np.sin(multiple)], axis=1)
