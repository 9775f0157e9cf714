"""`/v1/regions/{region}/state`: how far the served version is up to date, and bringing it there."""

from __future__ import annotations

from fastapi import APIRouter

from app.core.roles import Role
from app.http.app_state import State as Api
from app.http.parameters import RegionId
from app.http.permissions import allow
from app.http.problems import DOCUMENTED
from app.regions.store import get_region
from app.registry import store as registry
from app.registry.store import VersionRecord
from app.states.schemas import StateReply
from app.states.service import assimilate, last_state
from app.states.store import FROZEN, State

router = APIRouter(prefix="/v1/regions/{region}/state", tags=["forecasts"], responses=DOCUMENTED)


def state_reply(version: VersionRecord, state: State | None) -> StateReply:
    """Show a version's state, or that it serves as trained."""
    return StateReply(
        version=version.version,
        state=FROZEN if state is None else state.id,
        data_until=version.cutoff if state is None else state.data_until,
        assimilated_incidents=0 if state is None else state.n_incidents,
        assimilated_at=None if state is None else state.created_at,
    )


@router.get("", response_model=StateReply)
@allow(Role.READER)
def show(state: Api, region: RegionId) -> StateReply:
    """Show the state of the served version."""
    with state.engine.connect() as connection:
        found = get_region(connection, region)
        version = registry.get_version(connection, found.key)
        return state_reply(version, last_state(connection, found, version))


@router.post("", response_model=StateReply)
@allow(Role.TRAINER)
def refresh(state: Api, region: RegionId) -> StateReply:
    """Bring the champion up to date with what has been released; returns when it is done."""
    made = assimilate(state.engine, region)
    state.state_made(region)
    return state_reply(*made)
