"""`/v1/regions/{region}/sync-runs`: reading the sources that an administrator has set.

No request names an address: a source is added on the command line alone.
"""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.core.roles import Role
from app.http.app_state import State
from app.http.permissions import allow
from app.regions.service import run_of_region
from app.regions.store import get_region
from app.runs.store import Run, list_runs
from app.sync.schedule import request_sync

router = APIRouter(prefix="/v1/regions/{region}/sync-runs", tags=["incidents"])


class NewSyncRun(BaseModel):
    """Which source to read; without one, all of the region's."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{}]})

    source: Annotated[str | None, Field(max_length=63)] = None


def sync_run_json(run: Run) -> dict[str, Any]:
    """A sync run as the API shows it."""
    return {
        "id": str(run.id),
        "source": run.request["source"],
        "status": run.status,
        "progress": run.progress,
        "message": run.message,
        "counts": run.metrics,
        "created_at": run.created_at.isoformat(),
        "started_at": run.started_at.isoformat() if run.started_at else None,
        "finished_at": run.finished_at.isoformat() if run.finished_at else None,
    }


@router.post("", status_code=202)
@allow(Role.INGESTER)
def start(state: State, region: str, new: NewSyncRun) -> dict[str, Any]:
    """Queue a run of each source; a run that is under way already is given back as it is."""
    runs = request_sync(state.engine, region, new.source)
    return {"sync_runs": [sync_run_json(run) for run in runs]}


@router.get("")
@allow(Role.INGESTER, Role.ANALYST)
def list_all(state: State, region: str) -> dict[str, Any]:
    """The newest sync runs."""
    with state.engine.connect() as connection:
        runs = list_runs(connection, "sync", get_region(connection, region).key)
    return {"sync_runs": [sync_run_json(run) for run in runs]}


@router.get("/{run_id}")
@allow(Role.INGESTER, Role.ANALYST)
def show(state: State, region: str, run_id: UUID) -> dict[str, Any]:
    """One sync run with its progress and counts."""
    return sync_run_json(run_of_region(state.engine, "sync", region, run_id))
