"""Live scores of states: what the state that served at the start of a day was worth on that day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from app.core.zones import zone
from app.regions.store import Region
from app.registry import store as registry
from app.registry.new_incidents import NewIncidents, as_date
from app.states.store import State, latest_state
from models.base import N_WINDOWS, FloatArray


def gains_of_states(
    connection: Connection,
    region: Region,
    version: registry.VersionRecord,
    found: NewIncidents,
    days: Sequence[date],
) -> dict[date, tuple[float, int]]:
    """Return {day: (sum of log densities minus those of the version as trained, days of lead)}.

    The state of a day is the last one that existed, and knew nothing later, when the day began.

    Args:
        found: incidents inside the version's cells.
        days: local days to score; those without a state are left out.
    """
    states = {day: _state_at(connection, region, version, day) for day in days}
    if all(state is None for state in states.values()):
        return {}
    place = version.region_key, version.version, registry.ALL_CATEGORIES
    tables = registry.read_probabilities(connection, *place, range(N_WINDOWS)).astype(np.float64)
    gains = {}
    for day, state in states.items():
        mine = np.array([as_date(one) == day for one in found.day.tolist()], bool)
        if state is None or not mine.any():
            continue
        lead_days = (_start_of(region, day) - state.data_until).days
        ratio = state.density.ratio(lead_days + 0.5)
        gains[day] = _gain(tables, ratio, found, mine), lead_days
    return gains


def _gain(
    tables: FloatArray, ratio: FloatArray, found: NewIncidents, mine: NDArray[np.bool_]
) -> float:
    """Return by how much factors (N,) raise the log densities of some incidents, in all."""
    total = tables @ ratio / tables.sum(axis=1)
    window = found.window[mine].astype(np.int64)
    return float((np.log(ratio[found.rows[mine]]) - np.log(total[window])).sum())


def _state_at(
    connection: Connection, region: Region, version: registry.VersionRecord, day: date
) -> State | None:
    start = _start_of(region, day)
    place = version.region_key, version.version
    return latest_state(connection, *place, data_until=start, known_at=start)


def _start_of(region: Region, day: date) -> datetime:
    return datetime.combine(day, time(), zone(region.timezone))
