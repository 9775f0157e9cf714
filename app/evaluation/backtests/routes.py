"""`/v1/regions/{region}/backtests`: the evaluation protocol as a job."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict, Field

from app.core.errors import NotReady
from app.core.roles import Caller, Role
from app.core.zones import zone
from app.evaluation.backtests.plots import calibration_plot, cap_plot
from app.evaluation.backtests.report import html_report
from app.evaluation.backtests.service import (
    DEFAULT_MODELS,
    BacktestRequest,
    cancel_backtest,
    request_backtest,
)
from app.http.app_state import CallerOf, State
from app.http.permissions import allow
from app.http.text_fields import ShortText
from app.http.times import Moment
from app.regions.service import run_of_region
from app.regions.store import get_region
from app.releases.disclosure import shown_backtest, shown_message
from app.releases.store import MIN_GROUP
from app.runs.store import Run, list_runs

_PICTURE = {"png": "image/png", "svg": "image/svg+xml"}
RELEASE_NOTE = (
    f"test periods start and end at instants of releases: readers see at least {MIN_GROUP} incidents "
    "together"
)
router = APIRouter(prefix="/v1/regions/{region}/backtests", tags=["backtests"])


class NewBacktest(BaseModel):
    """What to compare; without `origins` the last `n_origins` periods are taken."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"examples": [{"models": ["pooled-kde", "stack"], "n_origins": 2}]},
    )

    models: Annotated[list[ShortText], Field(min_length=1, max_length=20)] = list(DEFAULT_MODELS)
    origins: Annotated[list[Moment] | None, Field(max_length=52)] = None
    n_origins: Annotated[int, Field(ge=1, le=52)] = 4
    horizon_days: Annotated[int, Field(ge=1, le=366)] = 28
    cell_size_m: Annotated[float | None, Field(allow_inf_nan=False)] = None
    seed: Annotated[int, Field(ge=0, le=2**53 - 1)] = 0
    n_seeds: Annotated[int, Field(ge=1, le=20)] = 1


def backtest_json(run: Run, *, exact: bool) -> dict[str, Any]:
    """A backtest as the API shows it; `exact`: to one who may list incidents."""
    found = {
        "id": str(run.id),
        "status": run.status,
        "progress": run.progress,
        "message": run.message,
        "request": run.request,
        "created_at": run.created_at.isoformat(),
        "finished_at": run.finished_at.isoformat() if run.finished_at else None,
        "result": None if run.result is None else shown_backtest(run.result, exact=exact),
    }
    return found if exact else {**found, "message": shown_message(found)}


@router.post("", status_code=202)
@allow(Role.ANALYST, Role.TRAINER)
def start(
    state: State, caller: CallerOf, region: str, new: NewBacktest, response: Response
) -> dict[str, Any]:
    """Queue a backtest; follow it at the URL in `Location`."""
    origins = None
    if new.origins is not None:
        with state.engine.connect() as connection:
            local = zone(get_region(connection, region).timezone)
        origins = tuple(o if o.tzinfo else o.replace(tzinfo=local) for o in new.origins)
    request = BacktestRequest(
        tuple(new.models),
        origins,
        new.n_origins,
        new.horizon_days,
        new.cell_size_m,
        new.seed,
        new.n_seeds,
    )
    exact = caller.lists_incidents
    run = request_backtest(state.engine, state.settings, region, request, exact=exact)
    response.headers["Location"] = f"/v1/regions/{region}/backtests/{run.id}"
    return {**backtest_json(run, exact=exact), **({} if exact else {"note": RELEASE_NOTE})}


@router.get("")
@allow(Role.READER)
def list_all(state: State, caller: CallerOf, region: str) -> dict[str, Any]:
    """The newest backtests, without their results."""
    with state.engine.connect() as connection:
        runs = list_runs(connection, "backtest", get_region(connection, region).key)
    exact = caller.lists_incidents
    return {"backtests": [backtest_json(replace(run, result=None), exact=exact) for run in runs]}


@router.get("/{run_id}")
@allow(Role.READER)
def show(state: State, caller: CallerOf, region: str, run_id: UUID) -> dict[str, Any]:
    """One backtest with its result."""
    return backtest_json(
        run_of_region(state.engine, "backtest", region, run_id), exact=caller.lists_incidents
    )


@router.delete("/{run_id}")
@allow(Role.ANALYST, Role.TRAINER)
def cancel(state: State, caller: CallerOf, region: str, run_id: UUID) -> dict[str, Any]:
    """Cancel a backtest."""
    return backtest_json(
        cancel_backtest(state.engine, region, run_id), exact=caller.lists_incidents
    )


@router.get("/{run_id}/cap")
@allow(Role.READER)
def cap(
    state: State,
    caller: CallerOf,
    region: str,
    run_id: UUID,
    f: Annotated[str, Query(pattern="^(png|svg)$")] = "svg",
) -> Response:
    """The CAP curves of a finished backtest as a picture."""
    return Response(cap_plot(_result(state, caller, region, run_id), f), media_type=_PICTURE[f])


@router.get("/{run_id}/calibration")
@allow(Role.READER)
def calibration(
    state: State,
    caller: CallerOf,
    region: str,
    run_id: UUID,
    f: Annotated[str, Query(pattern="^(png|svg)$")] = "svg",
) -> Response:
    """Whether its forecasts kept what they promised, in space and in number, as a picture."""
    return Response(
        calibration_plot(_result(state, caller, region, run_id), f), media_type=_PICTURE[f]
    )


@router.get("/{run_id}/report")
@allow(Role.READER)
def report(state: State, caller: CallerOf, region: str, run_id: UUID) -> HTMLResponse:
    """A finished backtest as one HTML page."""
    return HTMLResponse(html_report(_result(state, caller, region, run_id)))


def _result(state: State, caller: Caller, region: str, run_id: UUID) -> dict[str, Any]:
    run = run_of_region(state.engine, "backtest", region, run_id)
    if run.result is None:
        raise NotReady("the backtest has no result yet", code="no_result")
    return shown_backtest(run.result, exact=caller.lists_incidents)
