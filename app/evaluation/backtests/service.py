"""Backtests of a region: request, execution and provenance."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version as package_version
from typing import Any, Literal

from sqlalchemy import Engine

from app.core.db.tables import backtests
from app.core.errors import InvalidInput, LimitExceeded, NotReady, PermissionRefused
from app.core.retry import retry_outages
from app.core.settings import Settings
from app.core.texts import shortened
from app.core.zones import check_moment
from app.evaluation.backtests.checkpoints import models_digest, tasks_folder
from app.evaluation.backtests.execute import (
    Execution,
    Protocol,
    TaskResult,
    held_out,
    run_protocol,
)
from app.evaluation.backtests.released import (
    check_periods,
    moved_inside,
    snap_to_releases,
    with_released,
)
from app.evaluation.backtests.result import counts_json, iso, neighbourhoods_json, result_json
from app.fitting.data import TrainingData, load_training_data
from app.fitting.device import choose_device
from app.geo.grid import Grid, build_grid, check_cell_size
from app.incidents.releases import NO_RELEASE, released_until
from app.regions.store import get_region
from app.registry.erasure_marks import since_start
from app.registry.erasure_traces import drop_backtests
from app.runs.store import Run, check_room, finish_run, request_run
from models.base import DAY_S, HORIZON_DAYS, Incidents, Progress
from models.catalog import MODEL_NAMES

MAX_ORIGINS = 52
MAX_HORIZON_DAYS = 366
MAX_SEEDS = 20
MAX_DELAY_DAYS = 365
MAX_SEED = 2**53
MAX_FITS = 2_000
"""Maximum number of fits of a backtest: models x origins x seeds."""
DEFAULT_MODELS = tuple(m for m in MODEL_NAMES if m != "maf-paper")


@dataclass(frozen=True)
class BacktestRequest:
    """What to compare; by default the last `n_origins` back-to-back periods with incidents.

    Each model is fitted with `n_seeds` seeds from `seed` on, to measure the effect of random numbers;
    scores and differences are those of the first.
    """

    models: tuple[str, ...] = DEFAULT_MODELS
    origins: tuple[datetime, ...] | None = None
    n_origins: int = 4
    horizon_days: int = HORIZON_DAYS
    cell_size_m: float | None = None
    seed: int = 0
    n_seeds: int = 1
    refresh: Literal["daily"] | None = None
    """Also score each model brought forward every day by what was known at its start."""
    delay_days: int = 0
    """How late incidents are known, with `refresh`."""
    as_known: bool = False
    """Know at each moment only what had arrived by then."""
    release: int | None = None
    """The release to test on, for callers who may not list incidents; None: all incidents."""

    def checked(self) -> BacktestRequest:
        """Validate the request and return it.

        Raises:
            InvalidInput: a model is unknown, an origin is naive, or a number is out of range.
            LimitExceeded: too many fits.
        """
        for model in self.models:
            if model not in MODEL_NAMES:
                raise InvalidInput(
                    f"unknown model {shortened(model)}; choose from {', '.join(MODEL_NAMES)}",
                    field="models",
                )
        if not self.models or len(set(self.models)) < len(self.models):
            raise InvalidInput("models must contain at least one name, each once", field="models")
        if not 1 <= self.n_origins <= MAX_ORIGINS:
            raise InvalidInput(
                f"n_origins must lie within 1..{MAX_ORIGINS}, got {self.n_origins}",
                field="n_origins",
            )
        if not 1 <= self.horizon_days <= MAX_HORIZON_DAYS:
            raise InvalidInput(
                f"horizon_days must lie within 1..{MAX_HORIZON_DAYS}, got {self.horizon_days}",
                field="horizon_days",
            )
        if not 1 <= self.n_seeds <= MAX_SEEDS:
            raise InvalidInput(
                f"n_seeds must lie within 1..{MAX_SEEDS}, got {self.n_seeds}", field="n_seeds"
            )
        if not 0 <= self.seed < MAX_SEED:
            raise InvalidInput(f"seed must lie within 0..2^53-1, got {self.seed}", field="seed")
        self._check_refresh()
        if self.cell_size_m is not None:
            check_cell_size(self.cell_size_m)
        self._check_origins()
        self._check_fits()
        return self

    def _check_refresh(self) -> None:
        if self.refresh not in (None, "daily"):
            raise InvalidInput(
                f"refresh must be daily, got {shortened(str(self.refresh))}", field="refresh"
            )
        if not 0 <= self.delay_days <= MAX_DELAY_DAYS:
            raise InvalidInput(
                f"delay_days must lie within 0..{MAX_DELAY_DAYS}, got {self.delay_days}",
                field="delay_days",
            )
        if self.as_known and self.delay_days:
            raise InvalidInput(
                "give as_known or delay_days, not both: arrivals say how late incidents were",
                field="delay_days",
            )
        if self.delay_days and self.refresh is None:
            raise InvalidInput("delay_days needs refresh", field="delay_days")

    def _check_fits(self) -> None:
        n_origins = self.n_origins if self.origins is None else len(self.origins)
        n_fits = len(self.models) * n_origins * self.n_seeds
        if n_fits > MAX_FITS:
            raise LimitExceeded(
                f"{len(self.models)} models x {n_origins} origins x {self.n_seeds} seeds are {n_fits} "
                f"fits, the limit is {MAX_FITS}: request fewer, or several backtests",
                field="models",
                limit=MAX_FITS,
                asked=n_fits,
            )

    def _check_origins(self) -> None:
        if self.origins is not None:
            if not 1 <= len(self.origins) <= MAX_ORIGINS:
                raise InvalidInput(
                    f"origins must contain 1..{MAX_ORIGINS} times, got {len(self.origins)}",
                    field="origins",
                )
            for origin in self.origins:
                check_moment(origin, "origins")

    def to_json(self) -> dict[str, Any]:
        """Return the request as stored in the run's row."""
        origins = None if self.origins is None else [o.isoformat() for o in self.origins]
        given = {**asdict(self), "models": list(self.models), "origins": origins}
        for name in ("release", "refresh"):
            if given[name] is None:
                del given[name]
        return given

    def audited(self) -> dict[str, Any]:
        """Return the details for the audit log, with the number of origins instead of the origins."""
        n_origins = None if self.origins is None else len(self.origins)
        return {**asdict(self), "models": list(self.models), "origins": n_origins}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> BacktestRequest:
        """Create a request from the output of `to_json`."""
        origins = value.get("origins")
        given = None if origins is None else tuple(datetime.fromisoformat(o) for o in origins)
        return cls(**{**value, "models": tuple(value["models"]), "origins": given})


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
    progress: Progress,
    cancelled: Callable[[], bool],
) -> None:
    """Run a claimed backtest and store its result."""
    request = BacktestRequest.from_json(run.request)
    result = backtest_region(
        engine, settings, run.region_key, request, progress=progress, cancelled=cancelled
    )

    def store() -> None:
        with engine.begin() as connection:
            finish_run(connection, "backtest", run, "succeeded", "done", result=result)
            if since_start(connection, backtests, run.region_key, run.id):
                drop_backtests(connection, run.region_key, run.started_at or run.created_at)

    retry_outages(store)


def backtest_region(
    engine: Engine,
    settings: Settings,
    region_key: int,
    request: BacktestRequest,
    *,
    progress: Progress = lambda _share, _message: None,
    cancelled: Callable[[], bool] = lambda: False,
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
    execution = Execution(task_folder=tasks_folder(settings))
    results = run_protocol(incidents, grid, protocol, execution, progress, cancelled)

    def assemble(results: Sequence[TaskResult], protocol: Protocol) -> dict[str, Any]:
        return {
            **result_json(results, incidents, grid, protocol),
            "counts": counts_json(incidents, data.region.timezone, protocol),
            "neighbourhoods": neighbourhoods_json(
                results,
                incidents,
                grid,
                protocol,
                data.region.neighbourhoods,
                data.policy.minimum_count,
            ),
        }

    found = assemble(results, protocol)
    return {
        **with_released(found, results, protocol, incidents, grid, assemble),
        "region": data.region.id,
        "cell_size_m": grid.cell_size_m,
        "provenance": _provenance(data, grid, request),
    }


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
    libraries = ("hotslot", "torch", "numpy", "scipy", "scikit-learn")
    return {
        "created_at": datetime.now(UTC).isoformat(),
        "data_hash": data.data_hash,
        "n_incidents": len(data.incidents),
        "n_outside": data.n_outside,
        "n_cells": len(grid),
        "grid": hashlib.sha256(grid.cell_id.tobytes() + grid.area_km2.tobytes()).hexdigest(),
        "models_sha256": models_digest(),
        "request": request.to_json(),
        "python": platform.python_version(),
        "libraries": {name: package_version(name) for name in libraries},
    }
