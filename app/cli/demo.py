"""`hotslot demo`: from nothing to a served forecast of a real city."""

from __future__ import annotations

import time
from typing import Annotated

import typer
from sqlalchemy import Engine

from app.cli.console import complain, console, opened, progress_bar, progress_of, results
from app.cli.demo_data import DemoData, prepare
from app.cli.evaluation.backtests import result_table
from app.cli.incidents import print_summary
from app.cli.serve import run_service
from app.core.errors import Unavailable
from app.core.settings import Settings
from app.evaluation.backtests.request import BacktestRequest
from app.incidents.service import ingest_file
from app.regions.service import add_region
from app.training.service import TrainingRequest
from app.worker.jobs import run_now
from models.catalog import MODEL_NAMES

DEMO_MODELS = (
    "uniform",
    "prior-counts",
    "prior-counts-hourly",
    "window-kde",
    "gmm",
    "maf-window",
    "recent-kde",
    "pooled-kde",
    "multi-kde",
    "history",
    "cox",
    "maf",
    "stack",
)


def demo(
    serve: Annotated[bool, typer.Option(help="Serve the map at the end.")] = True,
    data: Annotated[str, typer.Option(help="toronto, synthetic, or a file.")] = "toronto",
) -> None:
    """Create a region, ingest, compare the models on the last 28 days, retrain, serve."""
    started = time.perf_counter()
    settings = Settings()
    with opened(settings) as engine:
        with console.status("downloading the data"):
            chosen = _prepare(data, settings)
        console.print(chosen.licence, style="dim", soft_wrap=True)
        _ingest(engine, settings, chosen)
        _compare(engine, settings, chosen)
        with progress_of("training stack on all data") as update:
            request = TrainingRequest(model="stack", seed=0, validate=False)
            run = run_now(engine, settings, chosen.region, request, update)
        results().print(f"{run.model_version or 'stack'}: {run.message}")
    console.print(f"ready after {time.perf_counter() - started:.0f} s")
    if run.status != "succeeded":
        raise typer.Exit(1)
    if serve:
        run_service(settings, settings.workers, 1)


def _prepare(choice: str, settings: Settings) -> DemoData:
    try:
        return prepare(choice, settings.home / "cache")
    except Unavailable as error:
        complain(f"{error.message}; using the synthetic city instead", "warning")
        return prepare("synthetic", settings.home / "cache")


def _ingest(engine: Engine, settings: Settings, chosen: DemoData) -> None:
    add_region(
        engine,
        chosen.region,
        timezone=chosen.timezone,
        name=chosen.name,
        boundary=chosen.boundary,
        neighbourhoods=chosen.neighbourhoods,
    )
    with progress_bar() as bar:
        task = bar.add_task(f"reading {chosen.path.name}", total=chosen.path.stat().st_size)
        summary = ingest_file(
            engine,
            chosen.region,
            chosen.path,
            settings=settings,
            progress=lambda n_bytes: bar.update(task, completed=n_bytes),
        )
    print_summary(chosen.path.name, summary)


def _compare(engine: Engine, settings: Settings, chosen: DemoData) -> None:
    """Run and store a backtest of the last 28 days, which the page shows."""
    models = tuple(m for m in DEMO_MODELS if m in MODEL_NAMES)
    with progress_of("comparing models") as update:
        run = run_now(engine, settings, chosen.region, BacktestRequest(models, n_origins=1), update)
    if run.result is None:
        raise Unavailable(f"the models could not be compared: {run.message}")
    results().print(result_table(run.result, chosen.name))
