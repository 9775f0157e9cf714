"""Incidents whose exact times are known to the test, and hidden in intervals from what is tested."""

from dataclasses import replace

import numpy as np

from app.geo.hour_of_week import minute_of_hour, touched_hours, windows_of
from models.incidents import Incidents
from models.times.intervals import Intervals
from models.units import DAY_S, HOUR_S, N_WINDOWS

EVENING = 1.0 + 0.8 * np.cos((np.arange(N_WINDOWS) % 24 - 20) / 24 * 2 * np.pi)
"""A profile of the week (168,) with its peak at 20 o'clock."""
WEEKS = 100


def exact_times(n=20_000, seed=0, profile=EVENING, category=0, minutes=True):
    """Incidents by a profile of the week, anywhere in a box of 3 km, in UTC."""
    rng = np.random.default_rng(seed)
    # 1970-01-05 was a Monday.
    hour = rng.choice(N_WINDOWS, n, p=profile / profile.sum()) + N_WINDOWS * rng.integers(
        WEEKS, size=n
    )
    time_s = np.sort(4 * DAY_S + hour * HOUR_S + (rng.integers(60, size=n) * 60 if minutes else 0))
    x_m, y_m = rng.uniform(1, 2999, (2, n)).astype(np.float32)
    return Incidents(
        x_m, y_m, time_s, windows_of(time_s, "UTC"), np.full(n, category, np.int32),
        minute=minute_of_hour(time_s, "UTC"),
    )  # fmt: skip


def within(incidents, from_s, to_s):
    """The incidents known to lie in [from, to) (n,), where these differ, in order of the starts."""
    n_hours, window, overlap = touched_hours(from_s, to_s, "UTC")
    known = replace(
        incidents,
        time_s=from_s,
        window=windows_of(from_s, "UTC"),
        minute=minute_of_hour(from_s, "UTC"),
        intervals=Intervals.evenly(from_s, to_s, n_hours, window, overlap),
    )
    return known.take(np.argsort(from_s, kind="stable"))


def hidden(incidents, chance, seed=1, hours=10):
    """Incidents of which some (n,) or a share are known to the next or last `hours` hours only."""
    rng = np.random.default_rng(seed)
    n = len(incidents)
    unknown = rng.random(n) < chance
    before_s = rng.integers(0, hours * HOUR_S, n)
    from_s = np.where(unknown, incidents.time_s - before_s, incidents.time_s)
    to_s = np.where(unknown, from_s + hours * HOUR_S, incidents.time_s)
    return within(incidents, from_s, to_s)


def hours_of_week(incidents):
    """How many incidents (168,) each hour of the week has."""
    hours = incidents.by_hour()
    return np.bincount(hours.window, hours.weight, N_WINDOWS)
