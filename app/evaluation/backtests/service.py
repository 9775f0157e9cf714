"""Backtests of a region: request, execution and provenance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine

from app.core.db.tables import backtests
from app.core.errors import NotFound, NotReady, PermissionRefused
from app.core.retry import retry_outages
from app.core.settings import Settings
from app.core.software import software
from app.evaluation.backtests.checkpoints import models_digest
from app.evaluation.backtests.consistency.clustering import joint_tests
from app.evaluation.backtests.consistency.joint import consistency_json, number_outcomes
from app.evaluation.backtests.counts import count_forecasts, counts_json, iso
from app.evaluation.backtests.execute import Inputs, Protocol, TaskResult, held_out
from app.evaluation.backtests.fits import Fit, local_fits, with_others
from app.evaluation.backtests.gains import gains_json
from app.evaluation.backtests.plans import grid_digest, plans_json
from app.evaluation.backtests.released import (
    check_periods,
    moved_inside,
    snap_to_releases,
    with_released,
)
from app.evaluation.backtests.request import BacktestRequest
from app.evaluation.backtests.result import neighbourhoods_json, of_first_seed, result_json
from app.evaluation.backtests.streets import StreetTests, street_tests, streets_json
from app.fitting.data import TrainingData, load_training_data
from app.fitting.device import choose_device
from app.geo.grid import Grid, build_grid
from app.incidents.releases import NO_RELEASE, released_until
from app.regions.store import get_region
from app.registry.erasure_marks import since_start
from app.registry.erasure_traces import drop_backtests
from app.runs.store import Run, check_room, finish_run, request_run
from app.runs.words import RUN_MESSAGES, RunProgress
from app.streets.layer import StreetLayer
from app.streets.store import get_layer
from models.incidents import Incidents
from models.units import DAY_S


def request_backtest(
    engine: Engine,
    settings: Settings,
    region_id: str,
    request: BacktestRequest,
    *,
    exact: bool = True,
) -> Run:
    """Queue a backtest: its row and its job in one transaction.

    Args:
        exact: the caller may list incidents; others test on released incidents.

    Raises:
        NotFound: the region does not exist.
        InvalidInput: the request is invalid.
        QueueFull: too many backtests of the region are queued or running.
    """
    request.checked()
    with engine.begin() as connection:
        region = get_region(connection, region_id)
        check_room(connection, "backtest", region.key, settings.max_unfinished_runs)
        if not exact:
            if request.as_known:
                raise PermissionRefused(
                    "as_known needs a key that may list incidents: arrivals split what readers see together",
                    field="as_known",
                )
            release = released_until(connection, region, None)
            request = replace(request, release=release.seq if release else NO_RELEASE)
        return request_run(connection, "backtest", region.key, request)


def execute_backtest(
    engine: Engine,
    settings: Settings,
    run: Run,
    progress: RunProgress,
    cancelled: Callable[[], bool],
) -> None:
    """Run a claimed backtest and store its result; other workers may help if it has a job on the queue."""
    request = BacktestRequest.from_json(run.request)

    def backtest(fit: Fit) -> dict[str, Any]:
        return backtest_region(engine, settings, run.region_key, request, fit, cancelled)

    if run.job_id is None:
        result = backtest(local_fits(settings, progress, cancelled))
    else:
        result = with_others(engine, settings, run, progress, cancelled, backtest)

    def store() -> None:
        with engine.begin() as connection:
            done = RUN_MESSAGES.make("run_done")
            finish_run(connection, "backtest", run, "succeeded", done, result=result)
            if since_start(connection, backtests, run.region_key, run.id):
                drop_backtests(connection, run.region_key, run.started_at or run.created_at)

    retry_outages(store)


def backtest_region(
    engine: Engine,
    settings: Settings,
    region_key: int,
    request: BacktestRequest,
    fit: Fit,
    cancelled: Callable[[], bool],
) -> dict[str, Any]:
    """Run a backtest on a region's stored incidents and return its result as JSON.

    Raises:
        NotReady: there are no incidents, or none before the first origin or after the last.
        InvalidInput: the cell size is out of range.
    """
    request.checked()
    data = retry_outages(
        lambda: load_training_data(
            engine, region_key, release=request.release, pinned=True, arrivals=request.as_known
        )
    )
    grid, incidents = _regridded(data, request.cell_size_m)
    protocol = _protocol(request, data, incidents, settings)
    streets = _streets(engine, data, grid, incidents, protocol, cancelled)
    counts = count_forecasts(incidents, data.region.timezone, protocol, cancelled)
    joint = joint_tests(incidents, grid, protocol, counts, cancelled)
    results = fit(Inputs(incidents, grid, protocol, streets, joint))
    numbers = number_outcomes(counts, protocol)

    def assemble(results: Sequence[TaskResult], protocol: Protocol) -> dict[str, Any]:
        shares = data.region.neighbourhoods, data.policy.minimum_count
        by_model = of_first_seed(results, protocol)
        return {
            **result_json(results, incidents, grid, protocol),
            "counts": counts_json(counts, protocol),
            "consistency": consistency_json(by_model, numbers, joint),
            "information_gain": gains_json(by_model, incidents, grid, protocol, counts),
            "neighbourhoods": neighbourhoods_json(results, incidents, grid, protocol, *shares),
            **(
                {}
                if streets is None
                else {"streets": streets_json(results, incidents, grid, protocol, streets)}
            ),
        }

    found = assemble(results, protocol)
    return {
        **with_released(found, results, protocol, incidents, grid, assemble),
        "region": data.region.id,
        "cell_size_m": grid.cell_size_m,
        "provenance": _provenance(data, grid, request),
        "plans": plans_json(results, grid),
    }


def _streets(
    engine: Engine,
    data: TrainingData,
    grid: Grid,
    incidents: Incidents,
    protocol: Protocol,
    cancelled: Callable[[], bool],
) -> StreetTests | None:
    """Return the region's streets at each origin; None: it has no layer."""

    def read() -> tuple[StreetLayer, str]:
        with engine.connect() as connection:
            return get_layer(connection, data.region)

    try:
        layer, digest = retry_outages(read)
    except NotFound:
        return None
    minimum = data.policy.minimum_count
    return street_tests(layer, digest, grid, incidents, protocol, minimum, cancelled)


def _protocol(
    request: BacktestRequest, data: TrainingData, incidents: Incidents, settings: Settings
) -> Protocol:
    """Return what to fit and to score.

    Raises:
        NotReady: there are no incidents, or none known, before an origin, or none after it.
    """
    protocol = Protocol(
        request.models,
        _origins(request, data, incidents),
        request.horizon_days,
        request.seed,
        request.n_seeds,
        choose_device(settings),
        data.bounds_s,
        request.refresh,
        request.delay_days,
    )
    check_periods(protocol)
    _check_known(incidents, protocol)
    return protocol


def _check_known(incidents: Incidents, protocol: Protocol) -> None:
    """Check that something was known at each origin.

    Raises:
        NotReady: it was not, because the history arrived later.
    """
    for origin in protocol.origins_s:
        past = incidents.before(origin)
        if len(past) and not len(past.known_at(origin)):
            raise NotReady(
                f"none of the {len(past):,} incidents before {iso(origin)} had arrived by then; leave "
                "out as_known, or choose origins after the first upload",
                code="nothing_known",
            )


def _regridded(data: TrainingData, cell_size_m: float | None) -> tuple[Grid, Incidents]:
    """Return the region's cells and incidents, or those of another cell size."""
    if cell_size_m is None or cell_size_m == data.grid.cell_size_m:
        return data.grid, data.incidents
    grid = build_grid(data.area, cell_size_m)
    lost = grid.locate(data.incidents.x_m, data.incidents.y_m) < 0
    if data.bounds_s:  # otherwise readers could count incidents at the edge by changing the size
        return grid, moved_inside(data.incidents, grid, lost)
    return grid, data.incidents.take(~lost)


def _origins(request: BacktestRequest, data: TrainingData, incidents: Incidents) -> tuple[int, ...]:
    if request.origins is not None:
        origins = tuple(sorted(int(o.timestamp()) for o in request.origins))
    else:
        origins = _latest_origins(request, data.cutoff_s, incidents)
    if data.bounds_s:
        origins = snap_to_releases(origins, data.bounds_s)
    for origin in origins:
        if len(incidents.before(origin)) == 0:
            raise NotReady(f"no incidents before the origin {iso(origin)}", code="no_incidents")
        if len(held_out(incidents, origin, request.horizon_days)) == 0:
            raise NotReady(f"no incidents after the origin {iso(origin)}", code="no_incidents")
    return origins


def _latest_origins(
    request: BacktestRequest, cutoff_s: int, incidents: Incidents
) -> tuple[int, ...]:
    """Return the latest origins before the cutoff, skipping periods in gaps of the feed."""
    step_s = request.horizon_days * DAY_S
    origins: list[int] = []
    origin_s = cutoff_s
    while len(origins) < request.n_origins:
        origin_s -= step_s
        in_gap = len(held_out(incidents, origin_s, request.horizon_days)) == 0
        if not in_gap or len(incidents.before(origin_s)) == 0:
            origins.append(origin_s)
    return tuple(reversed(origins))


def _provenance(data: TrainingData, grid: Grid, request: BacktestRequest) -> dict[str, Any]:
    return {
        "created_at": datetime.now(UTC).isoformat(),
        "data_hash": data.data_hash,
        "n_incidents": len(data.incidents),
        "n_outside": data.n_outside,
        "n_cells": len(grid),
        "grid": grid_digest(grid),
        "models_sha256": models_digest(),
        "request": request.to_json(),
        **software("torch", "numpy", "scipy", "scikit-learn"),
    }
