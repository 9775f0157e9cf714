"""Hourly slots: a region's history as counts, and any future hour, for the count model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.domain.calendar import holiday_flags
from app.domain.windows import HOUR_S, local_offset_s, windows_of
from app.services.training_data import TrainingData
from models.counts import CountModel, Slots


def slots_of(time_s: NDArray[np.int64], timezone: str) -> Slots:
    """Slots that start at these UTC instants (n,)."""
    return Slots(time_s, windows_of(time_s, timezone), holiday_flags(time_s, timezone))


def history_slots(data: TrainingData) -> tuple[Slots, NDArray[np.int64]]:
    """Every hour from the first incident to the cutoff, and how many incidents fell into it.

    Hours start where the local clock's do, also in zones that are half an hour off UTC.
    """
    timezone = data.region.timezone
    time_s = data.incidents.time_s
    shift_s = int(local_offset_s(time_s[-1:], timezone)[0]) % HOUR_S
    first = (int(time_s[0]) + shift_s) // HOUR_S
    last = (data.cutoff_s + shift_s) // HOUR_S
    hours = np.arange(first, max(last, first + 1), dtype=np.int64)
    place = np.clip((time_s + shift_s) // HOUR_S - first, 0, len(hours) - 1)
    counts = np.bincount(place, minlength=len(hours)).astype(np.int64)
    return slots_of(hours * HOUR_S - shift_s, timezone), counts


def fit_counts(data: TrainingData) -> CountModel:
    """The region's count model, with the shares of its categories."""
    slots, counts = history_slots(data)
    model = CountModel.fit(slots, counts)
    incidents = data.incidents
    return model.with_categories(
        incidents.window, incidents.category, len(data.categories), incidents.time_s
    )
