"""Hourly slots for the count model: counts of a region's history, and future hours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.fitting.data import TrainingData
from app.geo.calendar import holiday_flags
from app.geo.hour_of_week import HOUR_S, local_offset_s, windows_of
from models.counts.fit import Slots
from models.counts.model import CountModel


def slots_of(time_s: NDArray[np.int64], timezone: str) -> Slots:
    """Return the slots that start at these UTC instants (n,)."""
    return Slots(time_s, windows_of(time_s, timezone), holiday_flags(time_s, timezone))


def counted_slots(
    time_s: NDArray[np.int64], timezone: str, start_s: int, end_s: int
) -> tuple[Slots, NDArray[np.int64]]:
    """Return every hour that starts in [start, end), at least one, and its number of incidents.

    Hours start with those of the local clock, also in zones half an hour off UTC; `start_s` is rounded
    down. Incidents (n,) outside these hours are not counted.
    """
    shift_s = int(local_offset_s(np.array([end_s]), timezone)[0]) % HOUR_S
    first = (start_s + shift_s) // HOUR_S
    last = max((end_s + shift_s) // HOUR_S, first + 1)
    hours = np.arange(first, last, dtype=np.int64)
    place = (time_s + shift_s) // HOUR_S - first
    inside = (place >= 0) & (place < len(hours))
    counts = np.bincount(place[inside], minlength=len(hours)).astype(np.int64)
    return slots_of(hours * HOUR_S - shift_s, timezone), counts


def fit_counts(data: TrainingData) -> CountModel:
    """Fit the region's count model, with the shares of its categories."""
    incidents = data.incidents
    slots, counts = counted_slots(
        incidents.at_s, data.region.timezone, int(incidents.time_s[0]), data.cutoff_s
    )
    return CountModel.fit(slots, counts).with_categories(
        incidents.window, incidents.category, len(data.categories), incidents.time_s
    )
