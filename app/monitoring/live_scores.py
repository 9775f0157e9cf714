"""Live scores: the champion and its challengers, scored on later incidents.

Only incidents count that happened after a version's data end *and* reached the database after its
registration, so that neither its training nor its promotion could depend on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine

from app.geo.grid import Grid
from app.monitoring import live_score_store as store
from app.monitoring.live_score_store import LiveDay
from app.monitoring.released_score_store import read_periods
from app.monitoring.released_scores import summary_of
from app.monitoring.state_scores import gains_of_states
from app.regions.store import Region, get_region
from app.registry import store as registry
from app.registry.champions import champion_history
from app.registry.new_incidents import NewIncidents, as_date, new_incidents
from app.registry.stored_model import StoredModel
from app.registry.visibility import served
from models.evaluation.drift import DaySums, as_day_sums, expected_log_density, interval_of
from models.units import N_WINDOWS, FloatArray

SHADOW_DAYS = 90
LEAD_DAYS = (2, 8, 29, 366)
"""Ends of the spans of lead by which scores of states are reported."""
N_CHALLENGERS = 3


def shadowed(connection: Connection, region_key: int) -> list[registry.VersionRecord]:
    """Return the champion, the one before it, and the newest challengers of all categories."""
    held = [p.version for p in champion_history(connection, region_key)[-2:]]
    newest = [
        v
        for v in registry.list_versions(connection, region_key)
        if v.is_sound and not v.settings.get("categories")
    ]
    challengers = [v.version for v in newest if v.version not in held][:N_CHALLENGERS]
    return [v for v in newest if v.version in (*held, *challengers)]


def update_scores(
    connection: Connection, region: Region, version: registry.VersionRecord, now: datetime
) -> int:
    """Score the days whose incidents changed since the last time; return how many."""
    grid, _ = registry.grid_of(connection, version)
    since = now - timedelta(days=SHADOW_DAYS)
    found = new_incidents(connection, region, version, grid, since, version.created_at)
    first = since.date() + timedelta(days=1)
    days, counts = np.unique(found.day, return_counts=True)
    seen = {
        as_date(day): n
        for day, n in zip(days.tolist(), counts.tolist(), strict=True)
        if as_date(day) >= first
    }
    known = {
        day.day: day.n_seen
        for day in store.read_days(connection, region.key, version.version)
        if day.day >= first
    }
    changed = [day for day, n in seen.items() if known.get(day) != n]
    gone = [day for day in known if day not in seen]
    if changed:
        inside = found.inside()
        place = region.key, version.version, registry.ALL_CATEGORIES
        stored = registry.read_probabilities(connection, *place, range(N_WINDOWS))
        tables = stored.astype(np.float64)
        made = _score(tables, grid, inside)
        gains = gains_of_states(connection, region, version, tables, inside, changed)
        store.put_days(
            connection,
            region.key,
            version.version,
            [
                LiveDay(day, seen[day], *made.get(day, (0, 0.0, 0.0)), *gains.get(day, ()))
                for day in changed
            ],
        )
    store.drop_days(connection, region.key, version.version, gone)
    return len(changed) + len(gone)


def _score(
    tables: FloatArray, grid: Grid, inside: NewIncidents
) -> dict[Any, tuple[int, float, float]]:
    """Return by date the number of incidents, and the sums of log densities and expectations.

    Incidents known as intervals are scored by the probability of their place over the whole interval.
    """
    model = StoredModel(tables, grid.area_km2)
    log_density = inside.hours.log_mean_exp(
        model.log_density(inside.rows[inside.hours.incident], inside.hours.window)
    )
    expected = inside.hours.mean(expected_log_density(model)[inside.hours.window])
    days, place = np.unique(inside.day, return_inverse=True)
    sums = zip(
        days.tolist(),
        np.bincount(place, minlength=len(days)).tolist(),
        np.bincount(place, log_density, len(days)).tolist(),
        np.bincount(place, expected, len(days)).tolist(),
        strict=True,
    )
    return {as_date(day): (n, found_sum, expected_sum) for day, n, found_sum, expected_sum in sums}


def paired(one: Sequence[LiveDay], other: Sequence[LiveDay]) -> tuple[list[Any], DaySums]:
    """Return the days on which both were scored on the same incidents, and the differences of sums.

    Days with different numbers of incidents, because one version was registered later, are left out.
    """
    against = {day.day: day for day in other}
    both = [
        (day, against[day.day])
        for day in one
        if day.n > 0 and day.day in against and against[day.day].n == day.n
    ]
    sums = as_day_sums(
        [a.n for a, _ in both], [a.log_density_sum - b.log_density_sum for a, b in both]
    )
    return [a.day for a, _ in both], sums


def live_report(
    engine: Engine, region_id: str, version: str, *, exact: bool = True
) -> dict[str, Any]:
    """Return the live scores of a version, compared with the champion, in total and by week.

    Args:
        engine: the database.
        region_id: the region.
        version: the version.
        exact: the caller may list incidents; others see released scores.

    Raises:
        NotFound: the region or version does not exist.
    """
    with engine.connect() as connection:
        key = get_region(connection, region_id).key
        record = registry.get_version(connection, key, version)
        champion = served(connection, key)
        head = {
            "version": record.version,
            "champion": champion,
            "trained_until": record.cutoff.isoformat(),
        }
        rival = champion if champion != record.version else None
        if not exact:
            return {**head, **_released(connection, key, record.version, rival)}
        days = store.read_days(connection, key, record.version)
        against = store.read_days(connection, key, rival) if rival else []
    return {**head, **_exact(days, against)}


def _released(connection: Connection, key: int, version: str, rival: str | None) -> dict[str, Any]:
    periods = read_periods(connection, key, version)
    against = read_periods(connection, key, rival) if rival else []
    return {
        **summary_of(periods, against),
        "weeks": [
            {
                "from": one.from_day.isoformat(),
                "to": one.to_day.isoformat(),
                **summary_of([one], against),
            }
            for one in periods
        ],
    }


def _exact(days: Sequence[LiveDay], rival: Sequence[LiveDay]) -> dict[str, Any]:
    weeks: dict[Any, list[LiveDay]] = {}
    for day in days:
        weeks.setdefault(day.day - timedelta(days=day.day.weekday()), []).append(day)
    return {
        **_summary(days, rival),
        "states_by_lead": _by_lead(days),
        "weeks": [
            {"from": monday.isoformat(), **_summary(mine, rival)}
            for monday, mine in sorted(weeks.items())
        ],
    }


def _summary(days: Sequence[LiveDay], rival: Sequence[LiveDay]) -> dict[str, Any]:
    n = sum(day.n for day in days)
    total, expected = sum(d.log_density_sum for d in days), sum(d.expected_sum for d in days)
    common, difference = paired(days, rival)
    return {
        "n": n,
        "days": len(days),
        "log_score": total / n if n else None,
        "expected_log_score": expected / n if n else None,
        "difference_to_champion": _difference(difference) if common else None,
        "states_minus_frozen": _of_states(days),
    }


def _of_states(days: Sequence[LiveDay]) -> dict[str, Any] | None:
    """Return what the states that served were worth, over the version as trained; None without any."""
    known = [(d.n, d.state_gain_sum) for d in days if d.n > 0 and d.state_gain_sum is not None]
    if not known:
        return None
    return _difference(as_day_sums([n for n, _ in known], [gain for _, gain in known]))


def _by_lead(days: Sequence[LiveDay]) -> list[dict[str, Any]]:
    """Return the same by how far the days lay ahead of the states' data."""
    found = []
    for first, last in pairwise((0, *LEAD_DAYS)):
        mine = [
            d for d in days if d.state_lead_days is not None and first <= d.state_lead_days < last
        ]
        if (worth := _of_states(mine)) is not None:
            found.append({"lead_days": [first, last - 1], **worth})
    return found


def _difference(difference: DaySums) -> dict[str, Any]:
    lo, hi = interval_of(difference)
    bounded = len(difference.n) > 1
    return {
        "mean": difference.mean,
        "lo": lo if bounded else None,
        "hi": hi if bounded else None,
        "n": int(difference.n.sum()),
        "days": len(difference.n),
    }
