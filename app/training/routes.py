"""`/v1/regions/{region}/training-runs` and `/models`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Annotated, Any
from uuid import UUID

import orjson
from anyio import to_thread
from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from app.core.db.deadlines import answered_within
from app.core.errors import HotslotError
from app.core.roles import Caller, Role
from app.core.zones import zone
from app.forecasts.state import Forecasts
from app.forecasts.warmup import make_ready
from app.http.app_state import ApiState, CallerOf, State
from app.http.permissions import allow
from app.http.text_fields import ShortText
from app.http.times import Moment
from app.incidents.releases import known_categories
from app.regions.service import run_of_region
from app.regions.store import get_region
from app.registry import store as registry
from app.registry.artifacts import ArtifactCorrupt
from app.registry.champions import promote_by_hand
from app.registry.erasure_marks import shown_marks
from app.registry.visibility import served, withheld_of
from app.releases.disclosure import shown_report, shown_run, shown_validation, shown_version
from app.releases.store import MIN_GROUP
from app.runs.store import Run, list_runs
from app.training.service import TrainingRequest, cancel_training, request_training

router = APIRouter(prefix="/v1/regions/{region}", tags=["training"])
EVENT_EVERY_S = 0.5
RELEASE_NOTE = (
    f"`until` is a release's instant: readers see incidents in steps of at least {MIN_GROUP}"
)
EVENT_LATEST_S = 2.0
"""How seldom a run is looked at in which nothing happens."""
_log = logging.getLogger("hotslot.api")


class NewTrainingRun(BaseModel):
    """What to train; `until` trains only on incidents before it."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"model": "stack", "seed": 1}]}
    )

    model: Annotated[str, Field(max_length=64)] = "stack"
    categories: Annotated[list[ShortText] | None, Field(min_length=1, max_length=200)] = None
    until: Moment | None = None
    seed: Annotated[int | None, Field(ge=0, le=2**53 - 1)] = None
    validate_first: Annotated[bool, Field(alias="validate")] = True


def _told_metrics(metrics: Mapping[str, Any], *, exact: bool) -> dict[str, Any]:
    scores = metrics.get("scores")
    return {**metrics, **({"scores": shown_validation(scores, exact=exact)} if scores else {})}


def view_of(state: ApiState, caller: Caller, region: str, *runs: Run) -> list[dict[str, Any]]:
    """Training runs of a region as the caller may see them."""
    if caller.lists_incidents:
        return [run_json(run, exact=True) for run in runs]
    with state.engine.begin() as connection:
        found = get_region(connection, region)
        shown = known_categories(connection, found)
        withheld = withheld_of(connection, found.key)
    return [
        shown_run(run_json(run, exact=False), shown, withheld=run.model_version in withheld)
        for run in runs
    ]


def run_json(run: Run, *, exact: bool) -> dict[str, Any]:
    """A run as the API shows it; `exact`: to one who may list incidents."""
    return {
        "id": str(run.id),
        "status": run.status,
        "progress": run.progress,
        "message": run.message,
        "model_version": run.model_version,
        "metrics": _told_metrics(run.metrics, exact=exact),
        "request": run.request,
        "created_at": run.created_at.isoformat(),
        "started_at": run.started_at.isoformat() if run.started_at else None,
        "finished_at": run.finished_at.isoformat() if run.finished_at else None,
    }


@router.post("/training-runs", status_code=202)
@allow(Role.TRAINER)
def start(
    state: State, caller: CallerOf, region: str, new: NewTrainingRun, response: Response
) -> dict[str, Any]:
    """Queue a training run; follow it at the URL in `Location`."""
    until = new.until
    if until is not None and until.tzinfo is None:
        with state.engine.connect() as connection:
            until = until.replace(tzinfo=zone(get_region(connection, region).timezone))
    request = TrainingRequest(new.model, new.categories, until, new.seed, new.validate_first)
    exact = caller.lists_incidents
    run = request_training(state.engine, state.settings, region, request, exact=exact)
    response.headers["Location"] = f"/v1/regions/{region}/training-runs/{run.id}"
    (shown,) = view_of(state, caller, region, run)
    return shown if exact else {**shown, "note": RELEASE_NOTE}


@router.get("/training-runs")
@allow(Role.READER)
def list_all(state: State, caller: CallerOf, region: str) -> dict[str, Any]:
    """The newest training runs."""
    with state.engine.connect() as connection:
        runs = list_runs(connection, "train", get_region(connection, region).key)
    return {"training_runs": view_of(state, caller, region, *runs)}


@router.get("/training-runs/{run_id}")
@allow(Role.READER)
def show(state: State, caller: CallerOf, region: str, run_id: UUID) -> dict[str, Any]:
    """One training run."""
    return view_of(state, caller, region, run_of_region(state.engine, "train", region, run_id))[0]


@router.delete("/training-runs/{run_id}")
@allow(Role.TRAINER)
def cancel(state: State, caller: CallerOf, region: str, run_id: UUID) -> dict[str, Any]:
    """Cancel a run; a running one stops at its next step."""
    return view_of(state, caller, region, cancel_training(state.engine, region, run_id))[0]


@router.get("/training-runs/{run_id}/events")
@allow(Role.READER, lasting=True)
async def events(state: State, caller: CallerOf, region: str, run_id: UUID) -> StreamingResponse:
    """The run's progress as server-sent events, until it is finished."""

    def look() -> tuple[bool, bytes]:
        with answered_within(state.settings.database_timeout_s):
            run = run_of_region(state.engine, "train", region, run_id)
            return run.finished, orjson.dumps(view_of(state, caller, region, run)[0])

    read = partial(to_thread.run_sync, look, limiter=state.followers)

    async def stream(finished: bool, data: bytes) -> AsyncIterator[bytes]:
        last, pause_s = b"", EVENT_EVERY_S
        while True:
            pause_s = min(EVENT_LATEST_S, 1.2 * pause_s)
            if data != last:
                yield b"event: progress\ndata: " + data + b"\n\n"
                last, pause_s = data, EVENT_EVERY_S
            if finished:
                return
            await asyncio.sleep(pause_s)
            try:
                finished, data = await read()
            except HotslotError as error:
                _log.info("a stream is ended", extra={"reason": error.message})
                return

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(stream(*await read()), media_type="text/event-stream", headers=headers)


def version_json(
    record: registry.VersionRecord,
    champion: str | None,
    marked: Mapping[str, int],
    *,
    exact: bool,
) -> dict[str, Any]:
    """A model version as the API shows it; `marked` tells how much of its data is erased since."""
    return {
        "version": record.version,
        "model": record.model,
        "champion": record.version == champion,
        "erased_incidents": marked.get(record.version, 0),
        "trained_until": record.cutoff.isoformat(),
        "created_at": record.created_at.isoformat(),
        "data_hash": record.data_hash,
        "n_incidents": record.n_incidents,
        "seed": record.seed,
        "categories": record.categories,
        "settings": record.settings,
        "provenance": record.provenance,
        "scores": shown_validation(record.scores, exact=exact),
        "report": shown_report(record.report, exact=exact),
        "artifact_sha256": record.artifact_sha256,
        "sealed_at": record.sealed_at.isoformat(),
    }


def _versions_json(
    state: ApiState,
    caller: Caller,
    region: str,
    records: Sequence[registry.VersionRecord],
    champion: str | None,
    marked: Mapping[str, int],
) -> list[dict[str, Any]]:
    """Versions as the caller may see them."""
    exact = caller.lists_incidents
    found = [version_json(one, champion, marked, exact=exact) for one in records]
    if exact:
        return found
    with state.engine.begin() as connection:
        shown = known_categories(connection, get_region(connection, region))
    return [shown_version(one, shown) for one in found]


@router.get("/models")
@allow(Role.READER)
def models(state: State, caller: CallerOf, region: str) -> dict[str, Any]:
    """The region's model versions, newest first."""
    with state.engine.connect() as connection:
        key = get_region(connection, region).key
        champion = served(connection, key)
        versions = registry.list_versions(connection, key)
        marked = shown_marks(connection, key, exact=caller.lists_incidents)
    told = _versions_json(
        state, caller, region, [v for v in versions if v.is_sound], champion, marked
    )
    altered = [v.version for v in versions if not v.is_sound]
    left_out = [f"{name} is left out: its record is not what was registered" for name in altered]
    return {"champion": champion, "models": told, "warnings": left_out}


@router.get("/models/{version}")
@allow(Role.READER)
def model(state: State, caller: CallerOf, region: str, version: str) -> dict[str, Any]:
    """One model version."""
    with state.engine.connect() as connection:
        key = get_region(connection, region).key
        champion = served(connection, key)
        found = registry.get_version(connection, key, version)
        marked = shown_marks(connection, key, exact=caller.lists_incidents)
    return _versions_json(state, caller, region, [found], champion, marked)[0]


@router.post("/models/{version}/promote")
@allow(Role.TRAINER)
def promote(state: State, forecasts: Forecasts, region: str, version: str) -> dict[str, Any]:
    """Make a version the champion."""
    with suppress(ArtifactCorrupt):  # told by the promotion itself, which looks at more
        make_ready(forecasts, region, version)
    with state.engine.begin() as connection:
        key = get_region(connection, region).key
        champion = promote_by_hand(connection, key, version)
    forecasts.forget_champion(region)
    return {"champion": champion.version, "revision": champion.revision}
