"""`hotslot train`, `assimilate`."""

from __future__ import annotations

import time
from typing import Annotated
from uuid import UUID

import typer
from sqlalchemy import Engine

from app.cli.console import complain, console, echo_json, opened, parse_time, progress_of, say
from app.core.errors import InvalidInput
from app.core.settings import Settings
from app.monitoring.schedules.service import tick
from app.regions.store import get_region
from app.runs.schedules import database_clock, failures_by_region, unfinished_tick_runs
from app.runs.store import Run, get_run
from app.states.routes import state_reply
from app.states.service import assimilate, why_as_trained
from app.states.store import FROZEN
from app.training.service import TrainingRequest
from app.worker.jobs import run_now
from app.worker.main import run_worker

POLL_S = 1.0
WORK_AGAIN_S = 5.0


def train(
    region: Annotated[str | None, typer.Argument(help="Region to train.")] = None,
    model: Annotated[str, typer.Option(help="Model to train.")] = "stack",
    until: Annotated[str | None, typer.Option(help="Train only on incidents before it.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of every random draw.")] = None,
    validate: Annotated[bool, typer.Option(help="Score on the last 28 days first.")] = True,
    due: Annotated[bool, typer.Option(help="Train what schedules request now instead.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the run as JSON.")] = False,
) -> None:
    """Train a model in this process and register it."""
    settings = Settings()
    if due == (region is not None):
        raise InvalidInput("give either a region or --due", field="region")
    if region is None:
        runs, failing = train_due(settings)
        print_due(runs, failing, as_json)
        return
    with opened(settings) as engine:
        with engine.connect() as connection:
            timezone = get_region(connection, region).timezone
        request = TrainingRequest(
            model=model,
            until=parse_time(until, timezone, "until") if until else None,
            seed=seed,
            validate=validate,
        )
        with progress_of(f"training {model}") as update:
            run = run_now(engine, settings, region, request, update)
    if as_json:
        echo_json(run_json(run))
    elif run.status == "succeeded":
        say(f"{run.model_version}: {run.message}")
    if run.status != "succeeded":
        complain(run.message)
        raise typer.Exit(1)


def train_due(settings: Settings) -> tuple[list[Run], dict[str, str]]:
    """Queue the trainings that are due and run them, alone or beside other workers.

    Runs left by an earlier call that was killed are executed too; runs of other workers are not waited
    for. Returns the finished runs, and the failures of schedules by region.
    """
    with opened(settings) as engine:
        with engine.connect() as connection:
            now = database_clock(connection)
        started = tick(engine, now)
        with engine.connect() as connection:
            failing = failures_by_region(connection)
            open_runs = unfinished_tick_runs(connection)
        if open_runs:
            _work_off(settings, engine, started)
        runs = [_run(engine, run_id) for run_id in dict.fromkeys([*started, *open_runs])]
        return [run for run in runs if run.finished], failing


def _work_off(settings: Settings, engine: Engine, started: list[UUID]) -> None:
    """Run a worker until these runs are finished.

    A worker ends when no job can start, although one may still wait for its next attempt, or for the
    heartbeat of a dead worker to expire.
    """
    while True:
        if run_worker(settings, wait=False):
            raise KeyboardInterrupt
        checked_at = time.monotonic()
        while True:
            if all(_run(engine, run_id).finished for run_id in started):
                return
            if time.monotonic() - checked_at > WORK_AGAIN_S:
                break
            time.sleep(POLL_S)


def _run(engine: Engine, run_id: UUID) -> Run:
    with engine.connect() as connection:
        return get_run(connection, "train", run_id)


def print_due(runs: list[Run], failing: dict[str, str], as_json: bool) -> None:
    """Print the results of due trainings; exit with status 1 if one or a schedule failed."""
    for region, failure in failing.items():
        complain(f"{region}: checking its schedule failed: {failure}")
    if as_json:
        echo_json([run_json(r) for r in runs])
    else:
        for run in runs:
            say(f"{run.status}: {run.model_version or run.id}: {run.message}")
        if not runs and not failing:
            console.print("nothing is due")
    if failing or any(run.status != "succeeded" for run in runs):
        raise typer.Exit(1)


def run_json(run: Run) -> dict[str, object]:
    """Return a run as JSON, like the HTTP API."""
    return {
        "id": str(run.id),
        "status": run.status,
        "progress": run.progress,
        "message": run.message,
        "said": run.said,
        "model_version": run.model_version,
        "metrics": run.metrics,
    }


def bring_up_to_date(
    region: Annotated[str, typer.Argument(help="Region.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the state as JSON.")] = False,
) -> None:
    """Bring a region's forecasts up to date with what has arrived, without training."""
    with opened(Settings()) as engine, console.status("assimilating"):
        version, state = assimilate(engine, region)
        with engine.connect() as connection:
            reason = why_as_trained(get_region(connection, region), version)
    shown = state_reply(version, state)
    if as_json:
        echo_json(shown.model_dump(mode="json"))
    elif shown.state == FROZEN:
        say(f"{shown.version} serves as trained: {reason}")
    else:
        say(
            f"state {shown.state} of {shown.version}: data until {shown.data_until:%Y-%m-%d %H:%M} UTC, "
            f"{shown.assimilated_incidents:,} incidents since its training"
        )
