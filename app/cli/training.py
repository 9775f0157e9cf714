"""`hotslot train`."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli.console import complain, console, echo_json, opened, parse_time, progress_of, say
from app.cli.monitoring import train_due
from app.core.errors import InvalidInput
from app.core.settings import Settings
from app.regions.store import get_region
from app.runs.store import Run
from app.training.service import TrainingRequest
from app.worker.jobs import run_now


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
        "model_version": run.model_version,
        "metrics": run.metrics,
    }
