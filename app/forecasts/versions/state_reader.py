"""Which state of a version answers a request: one that knows nothing after the slot asked for."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, Engine

from app.core.caching.cache import BoundedCache, TTLCache
from app.core.errors import InvalidInput, NotFound
from app.core.zones import localised
from app.forecasts.plan import Selector
from app.forecasts.versions.loaded import LoadedState, LoadedVersion
from app.forecasts.warnings import WARNINGS
from app.regions.store import get_region_by_key
from app.registry.artifacts import ArtifactCorrupt
from app.states.service import may_have_states
from app.states.store import FROZEN, State, find_state, last_number, latest_state
from models.counts.model import CountModel

STATE_TTL_S = 0.25
"""How long the number of a version's last state is not read again."""
NO_STATE = 0
_COUNTS_BYTES = 100_000
_log = logging.getLogger("hotslot.forecast")


class StateReader:
    """Finds and caches states; one instance per process, shared by its threads."""

    def __init__(self, engine: Engine, cache: BoundedCache, brief: TTLCache) -> None:
        self.engine = engine
        self.cache = cache
        self.brief = brief

    def forget(self, region_id: str) -> None:
        """Read the last states of a region again at the next request."""
        for name in self.brief.names("state"):
            if name.startswith(f"{region_id}/"):
                self.brief.forget("state", name)

    def cached(
        self, version: LoadedVersion, selector: Selector, start: datetime
    ) -> LoadedVersion | None:
        """Return the version in the state that answers, or None if that needs the database."""
        if _is_frozen(version, selector):
            return version
        if selector.as_of is not None:
            return None
        number = selector.state
        if number is None:
            last = self.brief.recall("state", version.full_name, int)
            if last is None or last == NO_STATE:
                return None if last is None else version
            number = str(last)
        found = self.cache.get(_key(version, number), LoadedState)
        if found is None or (selector.state is None and found.record.data_until > start):
            return None
        return version.in_state(found)

    def read(self, version: LoadedVersion, selector: Selector, start: datetime) -> LoadedVersion:
        """Return the version in the state that answers.

        Without `state`: of the states that know nothing after the first slot, the last one; a version
        asked for by its full name answers as trained.

        Raises:
            NotFound: the version has no such state.
            InvalidInput: both a state and a moment are asked for.
        """
        if selector.state is not None and selector.as_of is not None:
            raise InvalidInput("give state or as_of, not both", field="state")
        known = self.cached(version, selector, start)
        if known is not None:
            return known
        try:
            with self.engine.connect() as connection:
                state = self._find(connection, version, selector, start)
        except ArtifactCorrupt as damage:
            _log.error("%s", damage.message, extra={"region": version.region.id})
            reason = WARNINGS.make("state_damaged", version=version.record.version)
            return replace(version, stands_in=version.stands_in or reason)
        return version.in_state(state)

    def _find(
        self, connection: Connection, version: LoadedVersion, selector: Selector, start: datetime
    ) -> LoadedState | None:
        place = version.record.region_key, version.record.version
        if selector.state is not None:
            found = find_state(connection, *place, int(selector.state))
            if found is None:
                raise NotFound(
                    f"version {version.record.version} has no state {selector.state}; give {FROZEN} or "
                    "one that a reply named",
                    field="state",
                )
            return self._loaded(version, found)
        if selector.as_of is not None:
            moment = localised(selector.as_of, version.region.timezone)
            known = latest_state(connection, *place, data_until=min(moment, start), known_at=moment)
            return self._loaded(version, known)
        region = get_region_by_key(connection, version.record.region_key)
        number = (
            last_number(connection, *place) if may_have_states(region, version.record) else None
        )
        self.brief.keep("state", version.full_name, number or NO_STATE, STATE_TTL_S)
        if number is None:
            return None
        last = self.cache.get(_key(version, str(number)), LoadedState)
        last = last or self._loaded(version, find_state(connection, *place, number))
        if last is None or last.record.data_until <= start:
            return last
        return self._loaded(version, latest_state(connection, *place, data_until=start))

    def _loaded(self, version: LoadedVersion, state: State | None) -> LoadedState | None:
        """Return the state with its count model, and cache it."""
        if state is None:
            return None
        loaded = LoadedState(state, CountModel.from_state(state.counts))
        size = state.density.log_ratio_by_memory.nbytes + _COUNTS_BYTES
        self.cache.put(_key(version, state.id), loaded, size)
        return loaded


def _is_frozen(version: LoadedVersion, selector: Selector) -> bool:
    """Return whether the version answers as trained."""
    if selector.state is None:
        return selector.model == version.record.version
    return selector.state == FROZEN


def _key(version: LoadedVersion, number: str) -> tuple[object, ...]:
    return ("state", version.record.region_key, version.record.version, int(number))
