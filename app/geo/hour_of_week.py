"""Hour-of-week windows of a region's local time.

Window 0 is Monday 00:00-00:59, 167 is Sunday 23:00-23:59, by local wall time. The hour that a
clock change repeats counts twice for its window; the hour that it skips does not occur. Rates are per
hour of exposure, which accounts for both.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from app.core.errors import InvalidInput
from app.core.zones import zone

N_WINDOWS = 168
HOUR_S = 3600
_THURSDAY_OFFSET_H = 72  # 1970-01-01 was a Thursday; window 0 is a Monday


def local_offset_s(time_s: NDArray[np.int64], timezone: str) -> NDArray[np.int64]:
    """Return the (n,) offset of local wall time from UTC in seconds, at UTC instants `time_s` (n,)."""
    utc = pd.DatetimeIndex(np.asarray(time_s, np.int64).astype("datetime64[s]"), tz="UTC")
    naive = utc.tz_convert(zone(timezone)).tz_localize(None).to_numpy().astype("datetime64[s]")
    return naive.astype(np.int64) - time_s


def windows_of(time_s: NDArray[np.int64], timezone: str) -> NDArray[np.int16]:
    """Return the (n,) window 0..167 of UTC instants `time_s` (n,), seconds since 1970."""
    time_s = np.asarray(time_s, np.int64)
    hours = (time_s + local_offset_s(time_s, timezone)) // HOUR_S
    return ((hours + _THURSDAY_OFFSET_H) % N_WINDOWS).astype(np.int16)


def minute_of_hour(time_s: NDArray[np.int64], timezone: str) -> NDArray[np.int16]:
    """Return the (n,) minute 0..59 of the local clock at UTC instants `time_s` (n,)."""
    return ((time_s + local_offset_s(time_s, timezone)) // 60 % 60).astype(np.int16)


def touched_hours(
    start_s: NDArray[np.int64], end_s: NDArray[np.int64], timezone: str
) -> tuple[NDArray[np.int64], NDArray[np.int16], NDArray[np.float32]]:
    """Return the local clock hours that intervals touch, where they touch more than one.

    Args:
        start_s, end_s: (n,) UTC seconds; the end is not part of the interval.

    Returns:
        Numbers of hours (n,), 0 for intervals within one hour; of all touched hours (k,), interval
        after interval in order of time, the window and the share 0..1 that is covered. An hour that a
        clock change repeats is two hours of one window.
    """
    n_hours = np.zeros(len(start_s), np.int64)
    longer = np.flatnonzero(end_s > start_s)
    shift_s = local_offset_s(start_s[longer], timezone) % HOUR_S
    first = (start_s[longer] + shift_s) // HOUR_S
    count = -((-end_s[longer] - shift_s) // HOUR_S) - first
    several = count > 1
    longer, shift_s, first, count = (a[several] for a in (longer, shift_s, first, count))
    n_hours[longer] = count
    before = np.repeat(np.cumsum(count) - count, count)
    hour_s = (np.repeat(first, count) + np.arange(count.sum()) - before) * HOUR_S
    hour_s -= np.repeat(shift_s, count)
    covered_s = np.minimum(hour_s + HOUR_S, np.repeat(end_s[longer], count))
    covered_s -= np.maximum(hour_s, np.repeat(start_s[longer], count))
    distinct_s, place = np.unique(hour_s, return_inverse=True)
    window = windows_of(distinct_s, timezone)[place]
    return n_hours, window, (covered_s / HOUR_S).astype(np.float32)


def window_of(at: datetime, timezone: str) -> int:
    """Return the window of one aware datetime."""
    local = at.astimezone(zone(timezone))
    return local.weekday() * 24 + local.hour


def slot_start(at: datetime, timezone: str) -> datetime:
    """Return the UTC start of the local clock hour that holds `at` (half-hour zones start at :30 UTC)."""
    offset = at.astimezone(zone(timezone)).utcoffset() or timedelta(0)
    seconds = int((at.timestamp() + offset.total_seconds()) // HOUR_S * HOUR_S)
    return datetime.fromtimestamp(seconds - offset.total_seconds(), UTC)


def next_slot_of(window: int, after: datetime, timezone: str) -> datetime:
    """Return the UTC start of the first slot of a window that starts at or after an instant.

    Two weeks are searched, since a clock change can skip a window for one week.

    Raises:
        InvalidInput: the window is not within 0..167.
    """
    if not 0 <= window < N_WINDOWS:
        raise InvalidInput(f"window must lie within 0..167, got {window}", field="window")
    start = slot_start(after, timezone)
    if start < after:
        start += timedelta(hours=1)
    for hours in range(2 * N_WINDOWS + 2):
        candidate = start + timedelta(hours=hours)
        if window_of(candidate, timezone) == window:
            return candidate
    raise InvalidInput(f"window {window} does not occur in {timezone}", field="window")
