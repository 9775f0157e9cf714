"""The data report on the quality of a region's incidents, or of one upload's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrc
from sqlalchemy import Connection, Engine

from app.audit import store as audit
from app.core.errors import NotFound
from app.data_quality import store as profile
from app.data_quality.checks.default_geocodes import Mix
from app.data_quality.checks.volume import first_proper_month, level_breaks
from app.data_quality.findings import FINDINGS, findings
from app.data_quality.kinds import counts_of, kinds_report
from app.data_quality.places import places_report
from app.data_quality.store import ClockCounts, DayCounts, Scope
from app.data_quality.times import hour_of_week, known_times, time_precision
from app.data_quality.upload_store import UploadTotals, twins, upload_totals
from app.data_quality.verdicts import verdicts
from app.geo.time_heaping import (
    CHANCE,
    MINUTES_OF_DAY,
    OneTime,
    clock_times,
    excess_share,
    hours_alike,
    one_time_of_day,
    resolution,
)
from app.regions.learning_policy import LearningPolicy
from app.regions.store import Region, get_region

MAX_LISTED = 100
BULK_SPAN_DAYS = 60
TWINS_SHARE, TWINS_CHANCE = 0.2, 0.05
"""Two feeds share some incidents, and some happen at one time and place; a fifth is neither."""


def data_report(engine: Engine, region_id: str, upload_id: int | None = None) -> dict[str, Any]:
    """Return the report as JSON: upload counts, faults of times and places, volume and its breaks.

    All counts come from one snapshot of the database. `findings` describes what stands out.

    Args:
        upload_id: only this upload and the incidents that it brought or last corrected.

    Raises:
        NotFound: no such region, or no such upload of it.
    """
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        region = get_region(connection, region_id)
        scope = Scope(region.key, region.timezone, upload_id)
        uploads = upload_totals(connection, region.key, upload_id, MAX_LISTED)
        if upload_id is not None and uploads.n_uploads == 0:
            raise NotFound(f"no upload {upload_id} in {region_id}", field="upload")
        days = profile.day_counts(connection, scope)
        weeks = profile.kind_weeks(connection, scope)
        clock = profile.clock_counts(connection, scope)
        by_minute = clock.by_window.reshape(7, MINUTES_OF_DAY).sum(axis=0)
        categories = counts_of(weeks)
        whole = Mix(by_minute, np.array(list(categories.values()), np.int64))
        series = _series(days)
        policy = LearningPolicy.of(region.settings)
        report = {
            "region": region.id,
            "timezone": region.timezone,
            "upload": upload_id,
            "generated_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "uploads": _uploads(uploads),
            **_stored(connection, scope, categories),
            **_clock(clock, by_minute),
            "time_precision": time_precision(known_times(connection, region, scope)),
            **series,
            "kinds": kinds_report(weeks, _first_week(series), policy),
            "places": places_report(connection, region, scope, whole, list(categories)),
            "twins": _twins(connection, region, upload_id, int(by_minute.sum())),
            "late_reports": _late_reports(connection, scope, days),
        }
    # It names places, so it is returned only after the audit entry is written.
    with engine.begin() as connection:
        audit.record(connection, "data_report.read", chain=region.id, upload=upload_id)
    return {
        "verdicts": verdicts(report),
        **report,
        "findings": [found.to_json() for found in findings(report)],
    }


def week_of_data(
    engine: Engine, region_id: str, categories: Sequence[str] | None
) -> dict[str, Any]:
    """Return when a region's incidents happened, by hour of the week, as far as the data say.

    Args:
        categories: kinds, aliases or groups; None: all.

    Raises:
        NotFound: no such region, or category of it.
    """
    with engine.begin() as connection:
        region = get_region(connection, region_id)
        scope = Scope(region.key, region.timezone)
        found = hour_of_week(known_times(connection, region, scope, categories))
        # Without the names of kinds: entries cannot be erased.
        audit.record(
            connection, "hour_of_week.read", chain=region.id, filters=int(categories is not None)
        )
    return {"region": region.id, "timezone": region.timezone, **found}


def _uploads(totals: UploadTotals) -> dict[str, Any]:
    return {
        "n": totals.n_uploads,
        **totals.counts,
        "rejected_by_code": totals.by_code,
        "swapped_coordinates": totals.swapped_rows,
        "outside_study_area": totals.by_code.get("outside_study_area", 0),
        "far_away": totals.far_rows,
        "repeated_rows": totals.repeated_rows,
        "implausible_years": totals.implausible_years,
        "errors": totals.errors,
        "newest": [
            {
                "id": line.id,
                "source": line.source,
                "created_at": line.created_at.isoformat(timespec="seconds"),
                **line.counts,
            }
            for line in totals.newest
        ],
    }


def _stored(connection: Connection, scope: Scope, categories: dict[str, int]) -> dict[str, Any]:
    n, first, last = profile.totals(connection, scope)
    return {
        "incidents": {
            "n": n,
            "first_at": first.isoformat() if first else None,
            "last_at": last.isoformat() if last else None,
            "categories": categories,
        }
    }


def _clock(clock: ClockCounts, by_minute: NDArray[np.int64]) -> dict[str, Any]:
    """Return times of day that stand out, and incidents by hour of the local week.

    What stands out is sought among instants: an interval that starts at 08:00 says no more than that.
    """
    instants = clock.instants
    found = clock_times(instants)
    n = int(by_minute.sum())
    mostly = 2 * int(instants.sum()) >= n
    one = one_time_of_day(instants, clock.by_utc_minute) if mostly else None
    return {
        "repeated_incidents": clock.repeated,
        "times": {
            "resolution": resolution(instants),
            "by_hour": by_minute.reshape(24, 60).sum(axis=1).tolist(),
            "one_time": None if one is None else _one_time(one, n),
            "excess_share": excess_share(found, n),
            "hours_alike": hours_alike(by_minute, found),
            "told": [
                {
                    "at": time.label,
                    "n": time.n_incidents,
                    "share": time.n_incidents / max(n, 1),
                    "times_expected": time.times_expected,
                    "spike": time.spike,
                }
                for time in found
            ],
        },
        "hour_of_week": clock.by_window.sum(axis=1).tolist(),
    }


def _one_time(one: OneTime, n: int) -> dict[str, Any]:
    share = one.n_incidents / n
    return {"at": one.at, "n": one.n_incidents, "share": share, "date_only": one.date_only}


def _twins(connection: Connection, region: Region, upload_id: int | None, n: int) -> dict[str, Any]:
    """Return how many sampled incidents have a twin of another upload, and whether these are many."""
    sampled, found = twins(connection, region.key, upload_id, n)
    many = found >= TWINS_SHARE * sampled and bdtrc(found - 1, sampled, TWINS_CHANCE) < CHANCE
    return {"sampled": sampled, "n": found, "many": bool(sampled and many)}


def _series(days: DayCounts) -> dict[str, Any]:
    """Return monthly volume from the first full month, its breaks, and what is dated earlier."""
    if len(days.day) == 0:
        return {"months": [], "breaks": [], "dated_early": {"n": 0, "before": None, "years": {}}}
    month = days.day.astype("datetime64[D]").astype("datetime64[M]")
    first = month.min()
    counts = np.bincount((month - first).astype(int), weights=days.n_incidents).astype(np.int64)
    start = first_proper_month(counts)
    begin = first + np.timedelta64(start, "M")
    labels = [str(begin + np.timedelta64(i, "M")) for i in range(len(counts) - start)]
    early = month < begin
    year = days.day[early].astype("datetime64[D]").astype("datetime64[Y]").astype(str)
    years = {
        str(y): int(days.n_incidents[early][year == y].sum()) for y in sorted(set(year.tolist()))
    }
    covered = _covered_days(days.day[~early], begin, len(labels))
    breaks = level_breaks(counts[start:], covered)
    return {
        "months": [
            {"month": label, "n": int(n), "days": float(d)}
            for label, n, d in zip(labels, counts[start:], covered, strict=True)
        ],
        "breaks": [
            {
                "month": labels[found.place],
                "before_per_day": found.before_per_day,
                "after_per_day": found.after_per_day,
            }
            for found in breaks
        ],
        "dated_early": {"n": sum(years.values()), "before": labels[0], "years": years},
    }


def _first_week(series: dict[str, Any]) -> int:
    """Return the first whole week (since 1970-01-01) of the main series."""
    if not series["months"]:
        return 0
    begin = np.datetime64(series["months"][0]["month"], "D").astype(int)
    return -(-int(begin) // 7)


def _covered_days(
    day: NDArray[np.int64], begin: np.datetime64, n_months: int
) -> NDArray[np.float64]:
    """Return the days of each month between the first and the last day with an incident."""
    starts = (begin + np.arange(n_months + 1)).astype("datetime64[D]").astype(np.int64)
    last = int(day.max()) + 1
    first = int(day.min())
    return (np.clip(starts[1:], first, last) - np.clip(starts[:-1], first, last)).astype(float)


def _late_reports(connection: Connection, scope: Scope, days: DayCounts) -> dict[str, Any]:
    """Return the hours from incident to arrival, for uploads that are not bulk loads.

    The middle 98 % of a bulk load's incidents span over 60 days: its arrival says nothing about when they
    became known.
    """
    feeds = feed_uploads(days)
    hours = profile.lag_hours(connection, scope, feeds)
    n = int(days.n_incidents[np.isin(days.upload_id, feeds)].sum())
    total = int(days.n_incidents.sum())
    note = None
    if hours is None:
        note = FINDINGS.make("bulk_loads_only", days=BULK_SPAN_DAYS).to_json()
    elif n < total:
        note = FINDINGS.make("bulk_loads_excluded", n=n, n_bulk=total - n).to_json()
    names = ("median_hours", "p90_hours", "p99_hours")
    return {"n": n, **dict(zip(names, hours or (None,) * 3, strict=True)), "note": note}


def feed_uploads(days: DayCounts) -> list[int]:
    """List uploads whose incidents span at most 60 days from the 1 % to the 99 % quantile."""
    feeds = []
    bounds = [*np.flatnonzero(np.diff(days.upload_id, prepend=-1)), len(days.day)]
    for begin, end in pairwise(bounds):
        share = np.cumsum(days.n_incidents[begin:end])
        low, high = np.searchsorted(share, [0.01 * share[-1], 0.99 * share[-1]])
        if days.day[begin + high] - days.day[begin + low] <= BULK_SPAN_DAYS:
            feeds.append(int(days.upload_id[begin]))
    return feeds
