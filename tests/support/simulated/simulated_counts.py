"""Hourly counts whose distribution is known."""

from __future__ import annotations

import numpy as np

from models.counts.fit import Slots
from models.units import DAY_S, N_WINDOWS

HOUR_S = 3600
MONDAY_S = 1_546_819_200  # 2019-01-07T00:00Z, a Monday


def slots_of(n_hours: int, first: int = 0) -> Slots:
    """UTC hours from a Monday on; each 1 January is a holiday."""
    hour = first + np.arange(n_hours, dtype=np.int64)
    time_s = MONDAY_S + HOUR_S * hour
    day_of_year = (time_s - 1_546_300_800) // DAY_S % 365
    return Slots(time_s, hour % N_WINDOWS, day_of_year == 0)


def weekly_shape() -> np.ndarray:
    hour = np.arange(N_WINDOWS)
    return 1 + 0.6 * np.sin(2 * np.pi * hour / 24) + 0.3 * (hour // 24 >= 5)


def simulate(rng, slots: Slots, level: float, slot: float, day: float) -> np.ndarray:
    """Counts with gamma noise of each slot and of each day."""
    mean = level * weekly_shape()[slots.window]
    by_slot = rng.gamma(1 / slot, slot, len(slots))
    by_day = np.repeat(rng.gamma(1 / day, day, len(slots) // 24), 24)
    return rng.poisson(mean * by_slot * by_day)
