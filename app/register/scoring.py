"""Score filed forecasts when the truth is in, again when late incidents have come, and never over it."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine, Row

from app.audit import store as audit
from app.core.db.locks import STATE_LOCK, transaction_lock
from app.core.errors import Conflict
from app.monitoring.released_scores import SETTLE
from app.regions.store import Region
from app.register import store
from app.register.parts import (
    PART_HOURS,
    SALT_BYTES,
    SHARES,
    FiledCounts,
    FiledForecast,
    canonical,
    checked,
)
from app.register.store import Score
from app.registry import store as registry
from app.registry.history import last_incident_at
from app.registry.new_incidents import EPOCH, NewIncidents, new_incidents
from models.evaluation.metrics import n_top
from models.units import HOUR_S, HOURS_PER_DAY, FloatArray, IntArray

LOOKS_DAYS = (1, 7, 28, 90)
"""Days after a day's end at which it is scored: fixed before, so that nobody chooses a good moment."""
MAX_AT_ONCE = 50
"""Entries scored in one transaction; their digests fit one entry of the audit log."""
_log = logging.getLogger("hotslot.maintenance")


@dataclass(frozen=True)
class Happened:
    """The n incidents of a day that lie in a cell, by m of its hours.

    Args:
        rows: (n,) rows of the cells.
        time_s: (n,) UTC seconds; of an interval an instant drawn by its hourly shares.
        incident, part, weight: (m,) incident, part of the day, and share of the incident.
    """

    rows: IntArray
    time_s: IntArray
    incident: IntArray
    part: IntArray
    weight: FloatArray

    @classmethod
    def on(cls, found: NewIncidents, day: date) -> Happened:
        """Return a day's incidents; an interval counts on the day it begins, by its hours of that day."""
        mine = found.take(found.day == (day - EPOCH).days)
        hours = mine.hours
        within = hours.window // HOURS_PER_DAY == day.weekday()
        incident, weight = hours.incident[within], hours.weight[within]
        total = np.bincount(incident, weight, len(mine.rows))
        part = hours.window[within] % HOURS_PER_DAY // PART_HOURS
        return cls(mine.rows, mine.time_s, incident, part, weight / total[incident])

    def total(self, values: NDArray[Any]) -> float:
        """Sum values (m,) by their share of an incident."""
        return float((self.weight * values).sum())

    def log_mean(self, values: FloatArray) -> float:
        """Sum over the incidents the logarithms of the means of values (m,)."""
        mean = np.bincount(self.incident, self.weight * values, len(self.rows))
        return float(np.log(mean).sum())


def score_day(
    forecast: FiledForecast, counts: FiledCounts, happened: Happened, start_s: int
) -> dict[str, Any]:
    """Score a filed day: hits of both lists, log densities, and whether the counts lay in their bounds.

    An incident known as an interval is a hit by the share of its hours in which its cell was listed.
    """
    area_km2, n_cells = forecast.area_km2, len(forecast.cell_id)
    own = np.full((len(forecast.lists), n_cells), n_cells)
    np.put_along_axis(own, forecast.lists, np.arange(forecast.lists.shape[1])[None, :], axis=1)
    past = np.full(n_cells, n_cells)
    listed = counts.ranked(area_km2)
    past[listed] = np.arange(len(listed))
    cell = happened.rows[happened.incident]
    places = own[happened.part, cell], past[cell]
    hits = {}
    for percent in SHARES:
        first, second = (place < n_top(n_cells, percent) for place in places)
        hits[str(percent)] = {
            "champion": round(happened.total(first), 6),
            "prior_counts": round(happened.total(second), 6),
            "both": round(happened.total(first & second), 6),
        }
    density = forecast.probability[happened.part, cell] / area_km2[cell]
    rival = (counts.probability(area_km2) / area_km2)[cell]
    hour = (happened.time_s - start_s) // HOUR_S
    n_hours = len(forecast.hour_mean)
    by_hour = np.bincount(hour[(hour >= 0) & (hour < n_hours)], minlength=n_hours)
    return {
        "n": len(happened.rows),
        "hits": hits,
        "log_density": {
            "champion": round(happened.log_mean(density), 6),
            "prior_counts": round(happened.log_mean(rival), 6),
        },
        "hours": n_hours,
        "hours_covered": int(((forecast.hour_lo <= by_hour) & (by_hour <= forecast.hour_hi)).sum()),
    }


def score_due(engine: Engine, region: Region, now: datetime) -> int:
    """Score the entries that are due, up to `MAX_AT_ONCE`; return how many.

    The truth is in when incidents of a day later than the day after are known (the feed has come that
    far). An entry is then scored at the last of `LOOKS_DAYS` that is over, and again at those to come.
    """
    with engine.begin() as connection:
        due = list(_due(connection, region, now))[:MAX_AT_ONCE]
        if not due:
            return 0
        # No erasure between what is read and what is stored.
        transaction_lock(connection, STATE_LOCK, region.key)
        made: dict[str, str] = {}
        by_version: dict[str, list[tuple[Row[Any], int]]] = {}
        for row, look_days in due:
            by_version.setdefault(row.version, []).append((row, look_days))
        for version, rows in by_version.items():
            made |= dict(_scored(connection, region, version, rows, now))
        if made:
            audit.record(connection, "register.scored", chain=region.id, scores=made)
        return len(made)


def _due(connection: Connection, region: Region, now: datetime) -> Iterator[tuple[Row[Any], int]]:
    """Yield entries with the look that is due, of versions that can be scored."""
    last = last_incident_at(connection, region.key)
    if last is None:
        return
    sound: dict[str, bool] = {}
    for row in store.scorable(connection, region.key, min(last, now) - SETTLE):
        over = [days for days in LOOKS_DAYS if row.ends_at + timedelta(days=days) <= now]
        if not over or over[-1] <= row.last_look:
            continue
        if row.version not in sound:
            found = registry.sound_version(connection, region.key, row.version)
            sound[row.version] = found is not None
        if sound[row.version]:
            yield row, over[-1]


def _scored(
    connection: Connection,
    region: Region,
    name: str,
    rows: list[tuple[Row[Any], int]],
    now: datetime,
) -> Iterator[tuple[str, str]]:
    """Store the scores of entries of one version; yield `day/look` and digest of each."""
    version = registry.sound_version(connection, region.key, name)
    if version is None:
        return
    grid, _ = registry.grid_of(connection, version)
    since = min(row.starts_at for row, _ in rows)
    found = new_incidents(connection, region, version, grid, since).inside()
    for row, look_days in rows:
        entry = store.find(connection, region.key, row.id)
        if entry is None or entry.no_forecast or entry.no_rival:
            continue
        try:
            forecast, counts = _unpacked(entry)
        except Conflict as altered:
            # `verify` says so too; the other days are scored all the same.
            _log.error("not scored", extra={"region": region.id, "reason": altered.message})
            continue
        start_s = int(row.starts_at.timestamp())
        result = score_day(forecast, counts, Happened.on(found, row.day), start_s)
        result |= {
            "expected": entry.expected,
            "covered": entry.expected_lo <= result["n"] <= entry.expected_hi,
        }
        score = _signed(row.day, look_days, now, result)
        store.add_score(connection, row.id, score)
        yield f"{row.day.isoformat()}/{look_days}", score.digest.hex()


def _unpacked(entry: Row[Any]) -> tuple[FiledForecast, FiledCounts]:
    """Return what was filed.

    Raises:
        Conflict: it was altered.
    """
    parts = [
        checked(
            bytes(entry._mapping[name]),
            bytes(entry._mapping[f"{name}_sha256"]),
            f"{name} of {entry.day}",
        )
        for name in store.PARTS
    ]
    return FiledForecast.unpack(parts[0]), FiledCounts.unpack(parts[1])


def _signed(day: date, look_days: int, now: datetime, result: dict[str, Any]) -> Score:
    salt = secrets.token_bytes(SALT_BYTES)
    unsigned = Score(look_days, now, canonical(result), salt, b"")
    return Score(**{**vars(unsigned), "digest": unsigned.computed_digest(day)})


def read_score(score: Score) -> dict[str, Any]:
    """Return what a stored score says."""
    found: dict[str, Any] = json.loads(score.score)
    return found
