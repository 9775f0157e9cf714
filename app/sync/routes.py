"""`/v1/regions/{region}/sync-runs`: read the sources that an administrator has added.

No request contains a source's URL: sources are added on the command line only.
"""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import APIRouter

from app.core.roles import Role
from app.http.app_state import State
from app.http.parameters import RegionId, RunId
from app.http.permissions import allow
from app.http.problems import DOCUMENTED
from app.regions.service import run_of_region
from app.regions.store import get_region
from app.runs.store import Run, list_runs
from app.sync.schedule import request_sync
from app.sync.schemas import NewSyncRun, SyncRun, SyncRunList

router = APIRouter(
    prefix="/v1/regions/{region}/sync-runs", tags=["incidents"], responses=DOCUMENTED
)


def _listed(runs: Iterable[Run]) -> SyncRunList:
    return SyncRunList(sync_runs=[SyncRun.model_validate(vars(run)) for run in runs])


@router.post("", status_code=202)
@allow(Role.INGESTER)
def start(state: State, region: RegionId, new: NewSyncRun) -> SyncRunList:
    """Queue a run of each source; a run that is under way is returned as it is."""
    return _listed(request_sync(state.engine, region, new.source))


@router.get("")
@allow(Role.INGESTER, Role.ANALYST)
def list_all(state: State, region: RegionId) -> SyncRunList:
    """List the newest sync runs."""
    with state.engine.connect() as connection:
        return _listed(list_runs(connection, "sync", get_region(connection, region).key))


@router.get("/{run_id}")
@allow(Role.INGESTER, Role.ANALYST)
def show(state: State, region: RegionId, run_id: RunId) -> SyncRun:
    """Show a sync run with its progress and counts."""
    return SyncRun.model_validate(vars(run_of_region(state.engine, "sync", region, run_id)))
