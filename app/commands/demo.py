"""`hotslot demo`: from nothing to a served forecast of a real city."""

from __future__ import annotations

import time
from typing import Annotated

import typer
from rich.table import Table
from sqlalchemy import Engine

from app.commands.common import console, opened, progress_bar, progress_of, results
from app.commands.data import print_summary
from app.commands.demo_data import DemoData, prepare
from app.commands.service import run_service
from app.config import Settings
from app.domain.errors import Unavailable
from app.services.backtest import HoldoutRow, holdout_table
from app.services.ingest import ingest_file
from app.services.jobs import run_now
from app.services.regions import add_region
from app.services.train import TrainingRequest
from app.services.training_data import load_training_data
from app.storage.regions import get_region
from models.catalog import MODEL_NAMES

DEMO_MODELS = (
    "uniform",
    "window-kde",
    "gmm",
    "maf-window",
    "recent-kde",
    "pooled-kde",
    "multi-kde",
    "history",
    "maf",
    "stack",
)


def add_to(app: typer.Typer) -> None:
    """Register the commands of this file."""
    app.command("demo")(demo)


def demo(
    serve: Annotated[bool, typer.Option(help="Serve the map at the end.")] = True,
    data: Annotated[str, typer.Option(help="toronto, synthetic, or a file.")] = "toronto",
) -> None:
    """Create a region, ingest, compare the models on the last 28 days, retrain, serve."""
    started = time.perf_counter()
    settings = Settings()
    with opened(settings) as engine:
        with console.status("getting the data"):
            chosen = _prepare(data, settings)
        console.print(f"[dim]{chosen.licence}[/dim]")
        _ingest(engine, settings, chosen)
        _compare(engine, chosen)
        with progress_of("training stack on everything") as update:
            request = TrainingRequest(model="stack", seed=0, validate=False)
            run = run_now(engine, settings, chosen.region, request, update)
        results().print(f"{run.model_version or 'stack'}: {run.message}", highlight=False)
    console.print(f"ready after {time.perf_counter() - started:.0f} s")
    if run.status != "succeeded":
        raise typer.Exit(1)
    if serve:
        run_service(settings, settings.workers, 1)


def _prepare(choice: str, settings: Settings) -> DemoData:
    try:
        return prepare(choice, settings.home / "cache")
    except Unavailable as error:
        console.print(f"[yellow]{error.message}; taking the synthetic city instead[/yellow]")
        return prepare("synthetic", settings.home / "cache")


def _ingest(engine: Engine, settings: Settings, chosen: DemoData) -> None:
    add_region(
        engine,
        chosen.region,
        timezone=chosen.timezone,
        name=chosen.name,
        boundary=chosen.boundary,
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


def _compare(engine: Engine, chosen: DemoData) -> None:
    with engine.connect() as connection:
        key = get_region(connection, chosen.region).key
    with progress_of("comparing models") as update:
        models = [m for m in DEMO_MODELS if m in MODEL_NAMES]
        rows = holdout_table(load_training_data(engine, key), models, update)
    results().print(scores_table(rows, chosen.name))


def scores_table(rows: list[HoldoutRow], name: str) -> Table:
    """The comparison as people read it, best last."""
    n = rows[0].n if rows else 0
    table = Table(
        title=f"{name}: the last 28 days, {n:,} incidents that no model saw",
        caption="log score: mean ln density per km2, higher is better; hit rate: share of incidents "
        "in the top-k% cells of their hour",
    )
    table.add_column("model")
    for heading in ("log score", "CAP-AUC", "hits 1 %", "5 %", "10 %", "20 %", "seconds"):
        table.add_column(heading, justify="right")
    for row in sorted(rows, key=lambda r: r.log_score):
        table.add_row(
            row.model,
            f"{row.log_score:.3f}",
            f"{row.cap_auc:.4f}",
            *(f"{100 * row.hit_rate[k]:.1f} %" for k in ("1", "5", "10", "20")),
            f"{row.seconds:.1f}",
        )
    return table
