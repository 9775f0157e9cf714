"""`/v1/regions/{region}/training-runs` and `/models`: train, follow, list and promote."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy import Connection

from app.core.db.deadlines import answered_within
from app.core.errors import HotslotError
from app.core.messages import Message, MessageTable
from app.core.roles import Caller, Role
from app.core.zones import localised
from app.forecasts.selectors import Forecasts
from app.forecasts.warmup import warm_up
from app.http.app_state import ApiState, CallerOf, State
from app.http.links import prefix_of
from app.http.parameters import RegionId, RunId, VersionId
from app.http.permissions import allow
from app.http.problems import DOCUMENTED
from app.http.schemas import MessageReply, links
from app.incidents.releases import known_categories
from app.regions.outdated import outdated_of
from app.regions.service import cancel_run, run_of_region
from app.regions.store import Region, get_region
from app.registry import store as registry
from app.registry.artifacts import ArtifactCorrupt
from app.registry.champions import promote_by_hand
from app.registry.erasure_marks import shown_marks
from app.registry.store import VersionRecord
from app.registry.visibility import served, withheld_of
from app.releases.disclosure import shown_report, shown_run, shown_validation, shown_version
from app.releases.store import MIN_GROUP
from app.runs.store import Run, list_runs
from app.training.schemas import (
    ModelList,
    ModelReply,
    NewTrainingRun,
    Promotion,
    TrainingRun,
    TrainingRunList,
)
from app.training.service import TrainingRequest, request_training

router = APIRouter(prefix="/v1/regions/{region}", tags=["training"], responses=DOCUMENTED)
EVENT_EVERY_S = 0.5
TRAINING_NOTES = MessageTable(
    {
        "until_moved_to_release": "`until` is a release's instant: readers see incidents in steps of "
        "at least {minimum_count}",
        "version_damaged": "{version} is left out: its record is not what was registered",
    }
)
EVENT_LATEST_S = 2.0
"""The longest pause between two looks at a run in which nothing happens."""
_log = logging.getLogger("hotslot.api")


_STARTED = links(
    {"region": "$request.path.region", "run_id": "$response.body#/id"},
    "show_v1_regions__region__training_runs__run_id__get",
    "cancel_v1_regions__region__training_runs__run_id__delete",
)


def shown_runs(
    state: ApiState, caller: Caller, region: str, *runs: Run, note: Message | None = None
) -> list[TrainingRun]:
    """Show training runs of a region as the caller may see them."""
    exact = caller.lists_incidents
    shown = [{**vars(run), "metrics": _metrics(run, exact=exact), "note": note} for run in runs]
    if not exact:
        with state.engine.begin() as connection:
            found = get_region(connection, region)
            names = known_categories(connection, found)
            withheld = withheld_of(connection, found.key)
        shown = [shown_run(one, names, withheld=one["model_version"] in withheld) for one in shown]
    return [TrainingRun.model_validate(one) for one in shown]


def _metrics(run: Run, *, exact: bool) -> dict[str, Any]:
    scores = run.metrics.get("scores")
    return {**run.metrics, **({"scores": shown_validation(scores, exact=exact)} if scores else {})}


@router.post("/training-runs", status_code=202, responses={202: {"links": _STARTED}})
@allow(Role.TRAINER)
def start(
    asked: Request,
    state: State,
    caller: CallerOf,
    region: RegionId,
    new: NewTrainingRun,
    response: Response,
) -> TrainingRun:
    """Queue a training run; follow it at the URL in `Location`."""
    until = new.until
    if until is not None and until.tzinfo is None:
        with state.engine.connect() as connection:
            until = localised(until, get_region(connection, region).timezone)
    request = TrainingRequest(new.model, new.categories, until, new.seed, new.validate_first)
    exact = caller.lists_incidents
    run = request_training(state.engine, state.settings, region, request, exact=exact)
    path = f"/v1/regions/{region}/training-runs/{run.id}"
    response.headers["Location"] = prefix_of(asked.scope) + path
    note = TRAINING_NOTES.make("until_moved_to_release", minimum_count=MIN_GROUP)
    (shown,) = shown_runs(state, caller, region, run, note=None if exact else note)
    return shown


@router.get("/training-runs")
@allow(Role.READER)
def list_all(state: State, caller: CallerOf, region: RegionId) -> TrainingRunList:
    """List the newest training runs."""
    with state.engine.connect() as connection:
        runs = list_runs(connection, "train", get_region(connection, region).key)
    return TrainingRunList(training_runs=shown_runs(state, caller, region, *runs))


@router.get("/training-runs/{run_id}")
@allow(Role.READER)
def show(state: State, caller: CallerOf, region: RegionId, run_id: RunId) -> TrainingRun:
    """Show a training run."""
    run = run_of_region(state.engine, "train", region, run_id)
    return shown_runs(state, caller, region, run)[0]


@router.delete("/training-runs/{run_id}")
@allow(Role.TRAINER)
def cancel(state: State, caller: CallerOf, region: RegionId, run_id: RunId) -> TrainingRun:
    """Cancel a run; a running one stops at its next step."""
    return shown_runs(state, caller, region, cancel_run(state.engine, "train", region, run_id))[0]


@router.get(
    "/training-runs/{run_id}/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
@allow(Role.READER, lasting=True)
async def events(
    state: State, caller: CallerOf, region: RegionId, run_id: RunId
) -> StreamingResponse:
    """Stream the run's progress as server-sent events, until it is finished."""

    def look() -> tuple[bool, bytes]:
        with answered_within(state.settings.database_timeout_s):
            run = run_of_region(state.engine, "train", region, run_id)
            (shown,) = shown_runs(state, caller, region, run)
            return run.finished, shown.model_dump_json().encode()

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
                _log.info("event stream ended", extra={"reason": error.message})
                return

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(stream(*await read()), media_type="text/event-stream", headers=headers)


def _shown_versions(
    connection: Connection, caller: Caller, region: Region, records: Sequence[VersionRecord]
) -> ModelList:
    """Show versions as the caller may see them, without those whose records were altered."""
    exact = caller.lists_incidents
    champion = served(connection, region.key)
    marked = shown_marks(connection, region.key, exact=exact)
    outdated = outdated_of(connection, region.key)
    names = None if exact else known_categories(connection, region)
    models: list[ModelReply] = []
    warnings: list[MessageReply] = []
    for record in records:
        if not record.is_sound:
            damaged = TRAINING_NOTES.make("version_damaged", version=record.version)
            warnings.append(MessageReply.model_validate(damaged))
            continue
        shown = {
            **vars(record),
            "champion": record.version == champion,
            "erased_incidents": marked.get(record.version, 0),
            "outdated": outdated.get(record.version),
            "trained_until": record.cutoff,
            "scores": shown_validation(record.scores, exact=exact),
            "report": shown_report(record.report, exact=exact),
        }
        shown = shown if names is None else shown_version(shown, names)
        models.append(ModelReply.model_validate(shown))
    return ModelList(champion=champion, models=models, warnings=warnings)


_VERSION = {"region": "$request.path.region", "version": "$response.body#/champion"}
_NEWEST = {"region": "$request.path.region", "version": "$response.body#/models/0/version"}


@router.get(
    "/models",
    response_model_exclude_unset=True,
    responses={
        200: {
            "links": {
                **links(_VERSION, "model_v1_regions__region__models__version__get"),
                **links(_NEWEST, "promote_v1_regions__region__models__version__promote_post"),
            }
        }
    },
)
@allow(Role.READER)
def models(state: State, caller: CallerOf, region: RegionId) -> ModelList:
    """List the region's model versions, newest first."""
    with state.engine.begin() as connection:
        found = get_region(connection, region)
        versions = registry.list_versions(connection, found.key)
        return _shown_versions(connection, caller, found, versions)


@router.get("/models/{version}", response_model_exclude_unset=True)
@allow(Role.READER)
def model(state: State, caller: CallerOf, region: RegionId, version: VersionId) -> ModelReply:
    """Show a model version."""
    with state.engine.begin() as connection:
        found = get_region(connection, region)
        record = registry.get_version(connection, found.key, version)
        return _shown_versions(connection, caller, found, [record]).models[0]


@router.post("/models/{version}/promote")
@allow(Role.TRAINER)
def promote(state: State, forecasts: Forecasts, region: RegionId, version: VersionId) -> Promotion:
    """Make a version the champion."""
    with suppress(ArtifactCorrupt):  # reported by the promotion, which checks more
        warm_up(forecasts, region, version)
    with state.engine.begin() as connection:
        key = get_region(connection, region).key
        champion = promote_by_hand(connection, key, version)
    forecasts.forget_champion(region)
    return Promotion(champion=champion.version, revision=champion.revision)
