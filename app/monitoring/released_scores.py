"""Release of live scores to readers: weekly, over enough incidents, in the same weeks for all versions.

The scores of a period are written after its last week and never change; late incidents count only for
callers who may list incidents. No two views of a reader therefore differ by a single incident, and no
total reveals a hidden part.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from app.core.zones import zone
from app.monitoring import released_score_store as store
from app.monitoring.live_score_store import LiveDay, read_days
from app.monitoring.released_score_store import Period
from app.regions.store import Region
from app.releases.disclosure import rounded, shown_mean
from app.releases.store import MIN_GROUP
from models.evaluation.drift import as_day_sums, interval_of

WEEK = timedelta(days=7)
SETTLE = timedelta(days=1)
"""Delay after the end of a period, after which most late incidents have arrived."""


def release_scores(connection: Connection, region: Region, version: str, now: datetime) -> int:
    """Write the periods of a version that are over; return how many."""
    known = store.read_periods(connection, region.key, version)
    days = read_days(connection, region.key, version)
    today = (now - SETTLE).astimezone(zone(region.timezone)).date()
    made = _periods(days, known[-1].to_day if known else date.min, today)
    store.add_periods(connection, region.key, version, made)
    return len(made)


def _periods(days: Sequence[LiveDay], since: date, today: date) -> list[Period]:
    """Group past whole weeks since `since` into periods of at least `MIN_GROUP` incidents."""
    weeks: dict[date, list[LiveDay]] = {}
    for day in days:
        monday = day.day - timedelta(days=day.day.weekday())
        if monday >= since and monday + WEEK <= today:
            weeks.setdefault(monday, []).append(day)
    made: list[Period] = []
    waiting: list[LiveDay] = []
    begin: date | None = None
    for monday, mine in sorted(weeks.items()):
        begin = begin or monday
        waiting += mine
        if sum(day.n for day in waiting) >= MIN_GROUP:
            made.append(_sum(begin, monday + WEEK, waiting))
            waiting, begin = [], None
    return made


def _sum(begin: date, end: date, days: Sequence[LiveDay]) -> Period:
    return Period(
        begin,
        end,
        sum(day.n for day in days),
        sum(day.log_density_sum for day in days),
        sum(day.expected_sum for day in days),
    )


def summary_of(periods: Sequence[Period], rival: Sequence[Period]) -> dict[str, Any]:
    """Summarise periods, compared with those of the champion."""
    n = sum(period.n for period in periods)
    return {
        "n": n,
        "days": sum((period.to_day - period.from_day).days for period in periods),
        "log_score": shown_mean(sum(p.log_density_sum for p in periods), n),
        "expected_log_score": shown_mean(sum(p.expected_sum for p in periods), n),
        "difference_to_champion": difference_of(periods, rival),
    }


def difference_of(one: Sequence[Period], other: Sequence[Period]) -> dict[str, Any] | None:
    """Return the difference of two versions' scores in common periods."""
    both = store.common(one, other)
    if not both:
        return None
    sums = as_day_sums(
        [a.n for a, _ in both], [a.log_density_sum - b.log_density_sum for a, b in both]
    )
    lo, hi = interval_of(sums) if len(both) > 1 else (None, None)
    return {
        "mean": rounded(sums.mean),
        "lo": None if lo is None else rounded(lo),
        "hi": None if hi is None else rounded(hi),
        "n": int(sums.n.sum()),
        "days": sum((a.to_day - a.from_day).days for a, _ in both),
    }
