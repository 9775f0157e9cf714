"""Bring a region's champion up to date with what has arrived since its training.

A state is made anew from its version and all incidents since the version's cutoff, so that late and
corrected records count and erased ones do not. It reads whole blocks of released incidents, so that two
states never differ by a few (see `app.releases`): everybody sees the same states.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine

from app.audit import store as audit
from app.core.db.locks import STATE_LOCK, transaction_lock, try_transaction_lock
from app.core.db.tables import alarms
from app.fitting.hourly_counts import counted_slots
from app.geo.grid import Grid
from app.incidents.release_cuts import reader_cut
from app.incidents.releases import advance
from app.regions.learning_policy import LearningPolicy
from app.regions.store import Region, get_region, get_region_by_key
from app.registry import store as registry
from app.registry.alarms import ALARMS, Check, clear_alarms, raise_alarm
from app.registry.erasure_marks import erased_since
from app.registry.new_incidents import NewIncidents, new_incidents
from app.registry.store import VersionRecord
from app.releases.store import MIN_GROUP, Release, instants
from app.states.store import NewState, State, add_state, last_release, latest_state
from models.counts.assimilation import USUAL_DAYS, assimilated
from models.counts.model import CountModel
from models.densities.state import DensityState
from models.units import DAY_S, FloatArray

MAX_DISTANCE = 0.1
"""Largest part of a forecast's mass that one state may move, compared with the one before."""


class InWork(Exception):
    """Another process brings the region up to date."""


def assimilate(
    engine: Engine, region_id: str, *, wait: bool = True
) -> tuple[VersionRecord, State | None]:
    """Bring a region's champion up to date, unless its last state knows everything released.

    One process at a time works on a region; others wait, and find its state.

    Returns:
        The champion and its last state; None if it serves as trained.

    Raises:
        InWork: another process works on it, and `wait` is False.
        NotFound: no such region.
        NotReady: the region has no champion.
        ArtifactCorrupt: the champion is not what was registered.
    """
    with engine.begin() as connection:
        region = get_region(connection, region_id)
        if wait:
            transaction_lock(connection, STATE_LOCK, region.key)
        elif not try_transaction_lock(connection, STATE_LOCK, region.key):
            raise InWork
        version = registry.get_version(connection, region.key)
        if not may_have_states(region, version):
            return version, None
        last = latest_state(connection, region.key, version.version)
        release = advance(connection, region)
        if release is None or (last is not None and last.release >= release.seq):
            return version, last
        made = _assimilated(connection, region, version, release, last)
        return version, made or last


def last_state(connection: Connection, region: Region, version: VersionRecord) -> State | None:
    """Return the state in which a version serves; None: as trained.

    Raises:
        ArtifactCorrupt: it is not what was stored.
    """
    if not may_have_states(region, version):
        return None
    return latest_state(connection, region.key, version.version)


def region_behind(connection: Connection, region_key: int) -> str | None:
    """Return the id of a region whose champion's last state does not know the last release, or None.

    Raises:
        InWork: another process brings it up to date.
    """
    if not try_transaction_lock(connection, STATE_LOCK, region_key):
        raise InWork
    region = get_region_by_key(connection, region_key)
    version = registry.sound_version(connection, region_key)
    if version is None or not may_have_states(region, version):
        return None
    release = advance(connection, region)
    known = last_release(connection, region_key, version.version)
    is_behind = release is not None and release.until > version.cutoff and release.seq > known
    return region.id if is_behind else None


def may_have_states(region: Region, version: VersionRecord) -> bool:
    """Return whether a version is brought up to date: not if the region or its training forbids it."""
    return _obstacle(region, version) is None


def why_as_trained(region: Region, version: VersionRecord) -> str:
    """Say why a version without a state serves as trained."""
    waiting = (
        f"fewer than {MIN_GROUP} incidents are released since its training (or since an erasure)"
    )
    return _obstacle(region, version) or waiting


def _obstacle(region: Region, version: VersionRecord) -> str | None:
    if LearningPolicy.of(region.settings).assimilate == "off":
        return "the region's policy sets assimilate to off"
    if version.settings.get("until") is not None:
        return "it was trained with `until`"
    return None


def _assimilated(
    connection: Connection,
    region: Region,
    version: VersionRecord,
    release: Release,
    last: State | None,
) -> State | None:
    """Store the state after a release; None if it would add too few incidents."""
    since = _first_whole_block(instants(connection, region.key), version.cutoff)
    if since is None or since >= release.until:
        return None
    if last is None and erased_since(connection, region.key, release.created_at):
        # Compared with a state from before an erasure, this one would reveal what was erased.
        return None
    grid, _ = registry.grid_of(connection, version)
    cut = reader_cut(connection, region, release, since)
    found = new_incidents(connection, region, version, grid, since, cut=cut).inside()
    # An interval may have begun in the release's time and its hour be drawn after it.
    found = found.take(found.time_s < release.until.timestamp())
    n_known = 0 if last is None else last.n_incidents
    if abs(len(found.time_s) - n_known) < MIN_GROUP:
        return None
    density, distance = _density(connection, version, grid, found, release.until, last)
    new = NewState(
        region.key,
        version.version,
        release.seq,
        release.until,
        len(found.time_s),
        _counts(region, version, found, since, release.until).state(),
        density,
    )
    _watch(connection, new, distance)
    state = add_state(connection, new)
    audit.record_for(
        connection, "state.made", region.key, version=version.version, state=state.number
    )
    return state


def _first_whole_block(known: Sequence[datetime], cutoff: datetime) -> datetime | None:
    """Return the first of the releases' instants at or after a cutoff."""
    return next((instant for instant in known if instant >= cutoff), None)


def _counts(
    region: Region,
    version: VersionRecord,
    found: NewIncidents,
    since: datetime,
    until: datetime,
) -> CountModel:
    """Bring the count model forward; hours before the first whole block were not read."""
    model = CountModel.from_state(version.counts)
    start_s, end_s = int(since.timestamp()), int(until.timestamp())
    usual, _ = counted_slots(
        found.time_s, region.timezone, model.cutoff_s - USUAL_DAYS * DAY_S, model.cutoff_s
    )
    slots, count = counted_slots(found.time_s, region.timezone, start_s, end_s)
    return assimilated(model, usual, slots, count)


def _density(
    connection: Connection,
    version: VersionRecord,
    grid: Grid,
    found: NewIncidents,
    until: datetime,
    last: State | None,
) -> tuple[DensityState, float]:
    """Return the state of the density, and which part of the mass it wanted to move."""
    # Here, because torch takes seconds and memory that processes which only serve states need not spend.
    from models.densities.refresh import USUAL_STRENGTH, Refresh

    rates = np.array(CountModel.from_state(version.counts).profile)
    base = registry.read_mean(connection, version.region_key, version.version, rates)
    start_s, end_s = int(version.cutoff.timestamp()), int(until.timestamp())
    learnt = version.report.get("state_strength")
    strength = USUAL_STRENGTH if learnt is None else float(learnt)
    refresh = Refresh(base, grid, pooled_cells(version, base, grid), strength=strength)
    state = refresh.state(found.rows, found.time_s, start_s, end_s)
    before = refresh.nothing() if last is None else last.density
    lapse_days = 0.0 if last is None else (until - last.data_until).total_seconds() / DAY_S
    return refresh.limited(before.later(lapse_days), state, MAX_DISTANCE)


def pooled_cells(version: VersionRecord, base: FloatArray, grid: Grid) -> NDArray[np.bool_] | None:
    """Return which cells (N,) share one density because they have few incidents; None: none do."""
    small = version.report.get("small_counts")
    if not small:
        return None
    level = np.round(np.log(base / grid.area_km2), 4)
    values, counts = np.unique(level, return_counts=True)
    return np.asarray(level == values[counts.argmax()])


def _watch(connection: Connection, new: NewState, distance: float) -> None:
    """Raise an alarm if the state wanted to move too much at once; clear it otherwise."""
    now = datetime.now(UTC)
    if distance <= MAX_DISTANCE:
        clear_alarms(connection, new.region_key, now, alarms.c.kind == "swing")
        return
    message = ALARMS.make(
        "swing_alarm", until=f"{new.data_until:%Y-%m-%d}", wanted=distance, moved=MAX_DISTANCE
    )
    details = {"message": message.message, "code": message.code, **message.params}
    check = Check("swing", 0, 0.0, True, details)
    raise_alarm(connection, new.region_key, new.version, check, now)
