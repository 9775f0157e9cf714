"""Live scores of states: what the state that served at the start of a day was worth on that day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time

import numpy as np
from sqlalchemy import Connection

from app.core.zones import zone
from app.regions.store import Region
from app.registry import store as registry
from app.registry.new_incidents import EPOCH, NewIncidents
from app.states.store import State, latest_state
from models.densities.state import log_gain
from models.units import FloatArray


def gains_of_states(
    connection: Connection,
    region: Region,
    version: registry.VersionRecord,
    tables: FloatArray,
    found: NewIncidents,
    days: Sequence[date],
) -> dict[date, tuple[float, int]]:
    """Return {day: (sum of log densities minus those of the version as trained, days of lead)}.

    The state of a day is the last one that existed, and knew nothing later, when the day began.

    Args:
        tables: (168, N) the version's probabilities.
        found: incidents inside the version's cells.
        days: local days to score; those without a state are left out.
    """
    gains = {}
    for day in days:
        mine = found.day == (day - EPOCH).days
        state = _state_at(connection, region, version, day) if mine.any() else None
        if state is None:
            continue
        lead_days = (_start_of(region, day) - state.data_until).days
        ratio = state.density.ratio(lead_days + 0.5)
        gain = log_gain(tables, ratio, found.rows[mine], found.window[mine].astype(np.int64))
        gains[day] = float(gain.sum()), lead_days
    return gains


def _state_at(
    connection: Connection, region: Region, version: registry.VersionRecord, day: date
) -> State | None:
    start = _start_of(region, day)
    place = version.region_key, version.version
    return latest_state(connection, *place, data_until=start, known_at=start)


def _start_of(region: Region, day: date) -> datetime:
    return datetime.combine(day, time(), zone(region.timezone))
