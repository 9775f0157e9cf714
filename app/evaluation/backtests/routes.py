"""`/v1/regions/{region}/backtests`: the evaluation protocol as a job."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse

from app.core.errors import NotReady
from app.core.media_types import MEDIA_TYPES
from app.core.messages import Message, MessageTable
from app.core.roles import Caller, Role
from app.core.zones import localised
from app.evaluation.backtests.plots import calibration_plot, cap_plot
from app.evaluation.backtests.report import html_report
from app.evaluation.backtests.request import BacktestRequest
from app.evaluation.backtests.schemas import Backtest, BacktestList, NewBacktest
from app.evaluation.backtests.service import request_backtest
from app.http.app_state import CallerOf, State
from app.http.links import prefix_of
from app.http.parameters import RegionId, RunId
from app.http.permissions import allow
from app.http.problems import DOCUMENTED
from app.http.schemas import Responses, links, offered
from app.regions.service import cancel_run, run_of_region
from app.regions.store import get_region
from app.releases.disclosure import shown_backtest, shown_words
from app.releases.store import MIN_GROUP
from app.runs.store import Run, list_runs

_PICTURE: Responses = {200: offered({}, ["png", "svg"])}
BACKTEST_NOTES = MessageTable(
    {
        "periods_moved_to_releases": "test periods start and end at instants of releases: readers "
        "see at least {minimum_count} incidents together"
    }
)
router = APIRouter(
    prefix="/v1/regions/{region}/backtests", tags=["backtests"], responses=DOCUMENTED
)
_STARTED = links(
    {"region": "$request.path.region", "run_id": "$response.body#/id"},
    "show_v1_regions__region__backtests__run_id__get",
    "cancel_v1_regions__region__backtests__run_id__delete",
)


def shown_run(run: Run, *, exact: bool, note: Message | None = None) -> Backtest:
    """Show a backtest; `exact`: to callers who may list incidents."""
    shown = {**vars(run), **({} if note is None else {"note": note})}
    if run.result is not None:
        shown["result"] = shown_backtest(run.result, exact=exact)
    if not exact:
        shown.update(shown_words(shown))
    return Backtest.model_validate(shown)


@router.post("", status_code=202, responses={202: {"links": _STARTED}})
@allow(Role.ANALYST, Role.TRAINER)
def start(
    asked: Request,
    state: State,
    caller: CallerOf,
    region: RegionId,
    new: NewBacktest,
    response: Response,
) -> Backtest:
    """Queue a backtest; follow it at the URL in `Location`."""
    origins = None
    if new.origins is not None:
        with state.engine.connect() as connection:
            timezone = get_region(connection, region).timezone
        origins = tuple(localised(origin, timezone) for origin in new.origins)
    request = BacktestRequest(
        tuple(new.models),
        origins,
        new.n_origins,
        new.horizon_days,
        new.cell_size_m,
        new.seed,
        new.n_seeds,
        new.refresh,
        new.delay_days,
        new.as_known,
    )
    exact = caller.lists_incidents
    run = request_backtest(state.engine, state.settings, region, request, exact=exact)
    path = f"/v1/regions/{region}/backtests/{run.id}"
    response.headers["Location"] = prefix_of(asked.scope) + path
    note = BACKTEST_NOTES.make("periods_moved_to_releases", minimum_count=MIN_GROUP)
    return shown_run(run, exact=exact, note=None if exact else note)


@router.get("")
@allow(Role.READER)
def list_all(state: State, caller: CallerOf, region: RegionId) -> BacktestList:
    """List the newest backtests, without their results."""
    with state.engine.connect() as connection:
        runs = list_runs(connection, "backtest", get_region(connection, region).key)
    exact = caller.lists_incidents
    return BacktestList(
        backtests=[shown_run(replace(run, result=None), exact=exact) for run in runs]
    )


@router.get("/{run_id}")
@allow(Role.READER)
def show(state: State, caller: CallerOf, region: RegionId, run_id: RunId) -> Backtest:
    """Show a backtest with its result."""
    run = run_of_region(state.engine, "backtest", region, run_id)
    return shown_run(run, exact=caller.lists_incidents)


@router.delete("/{run_id}")
@allow(Role.ANALYST, Role.TRAINER)
def cancel(state: State, caller: CallerOf, region: RegionId, run_id: RunId) -> Backtest:
    """Cancel a backtest."""
    run = cancel_run(state.engine, "backtest", region, run_id)
    return shown_run(run, exact=caller.lists_incidents)


@router.get("/{run_id}/cap", response_class=Response, responses=_PICTURE)
@allow(Role.READER)
def cap(
    state: State,
    caller: CallerOf,
    region: RegionId,
    run_id: RunId,
    f: Annotated[str, Query(pattern="^(png|svg)$")] = "svg",
) -> Response:
    """Draw the CAP curves of a finished backtest."""
    return Response(cap_plot(_result(state, caller, region, run_id), f), media_type=MEDIA_TYPES[f])


@router.get("/{run_id}/calibration", response_class=Response, responses=_PICTURE)
@allow(Role.READER)
def calibration(
    state: State,
    caller: CallerOf,
    region: RegionId,
    run_id: RunId,
    f: Annotated[str, Query(pattern="^(png|svg)$")] = "svg",
) -> Response:
    """Draw how well a finished backtest's forecasts were calibrated, in space and in number."""
    return Response(
        calibration_plot(_result(state, caller, region, run_id), f), media_type=MEDIA_TYPES[f]
    )


@router.get("/{run_id}/report", response_class=HTMLResponse)
@allow(Role.READER)
def report(state: State, caller: CallerOf, region: RegionId, run_id: RunId) -> HTMLResponse:
    """Show a finished backtest as one HTML page."""
    return HTMLResponse(html_report(_result(state, caller, region, run_id)))


def _result(state: State, caller: Caller, region: str, run_id: UUID) -> dict[str, Any]:
    run = run_of_region(state.engine, "backtest", region, run_id)
    if run.result is None:
        raise NotReady("the backtest has no result yet", code="no_result")
    return shown_backtest(run.result, exact=caller.lists_incidents)
