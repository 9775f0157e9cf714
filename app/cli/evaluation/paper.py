"""`hotslot paper-table`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.table import Table

from app.cli.console import console, opened, progress_of, results
from app.core.errors import InvalidInput
from app.core.settings import Settings
from app.core.texts import shortened
from app.evaluation.paper.table import STUDY_MODELS, PaperRequest, paper_table_of_region
from models.catalog import MODEL_NAMES

PERCENTS = ("1", "5", "10", "15", "20")


def paper_table(
    region: str,
    n_seeds: Annotated[int, typer.Option(help="Seeds of each flow and mixture.", min=1)] = 10,
    pooled_models: Annotated[
        str, typer.Option(help="Models that pool all hours, separated by commas.")
    ] = ",".join(PaperRequest().pooled_models),
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the result here.")] = None,
    figure: Annotated[
        Path | None, typer.Option(help="Also draw loss by number of blocks (.png, .svg); slow.")
    ] = None,
) -> None:
    """Print the study's Table 1: flow, KDE and GMM per hour of the week, and pooled models."""
    if figure is not None and figure.suffix not in (".png", ".svg"):
        raise InvalidInput(f"the figure must be .png or .svg, got {figure.name}", field="figure")
    pooled = tuple(m.strip() for m in pooled_models.split(",") if m.strip())
    unknown = [m for m in pooled if m not in MODEL_NAMES]
    if unknown:
        raise InvalidInput(f"unknown model {shortened(unknown[0])}", field="pooled-models")
    settings = Settings()
    request = PaperRequest(n_seeds=n_seeds, pooled_models=pooled)
    with opened(settings) as engine:
        with progress_of(f"paper table of {region}") as update:
            result = paper_table_of_region(engine, settings, region, request, update)
        if figure is not None:
            # Imported here because torch takes two seconds, which the table does not need.
            from app.evaluation.paper.figure import FigureRequest, block_plot, losses_of_region

            with progress_of("loss against blocks") as update:
                found, grid = losses_of_region(engine, settings, region, FigureRequest(), update)
            figure.write_bytes(block_plot(found, grid, figure.suffix[1:]))
            result["figure_4"] = {k: v for k, v in found.items() if k != "density"}
    if json_file is not None:
        json_file.write_bytes(orjson.dumps(result, option=orjson.OPT_INDENT_2))
    output = results()
    for part in result["sets"]:
        one, everywhere = part["one_window"], part["all_windows"]
        output.print(
            scores(f"window {one['window']}: {one['n_train']} earlier incidents", one),
            scores(f"all windows with their last {part['size']} incidents", everywhere),
        )
    output.print(scores("all earlier incidents, pooled", result["pooled"]))
    console.print("hits: of the seed with the median AUC (least to most over seeds)")


def scores(title: str, table: dict[str, Any]) -> Table:
    """Return a table of AUC and hits of each model."""
    smallest = min((m["p"] for m in table["mcnemar"]), default=1.0)
    shown = Table(
        title=f"{title}, n = {table['n']:,}",
        caption=f"smallest exact McNemar p of all pairs and percentages: {smallest:.2g}",
    )
    shown.add_column("model")
    for heading in ("AUC", "se", "sd over seeds", *(f"hits {k} %" for k in PERCENTS)):
        shown.add_column(heading, justify="right")
    for name, row in table["models"].items():
        spread = row["auc_sd_seeds"]
        shown.add_row(
            STUDY_MODELS.get(name, name),
            f"{row['auc']:.4f}",
            f"{row['auc_se']:.4f}",
            "" if spread is None else f"{spread:.4f}",
            *(_hits(row["hits"][k]) for k in PERCENTS),
        )
    return shown


def _hits(cell: dict[str, Any]) -> str:
    if cell["least"] == cell["most"]:
        return str(cell["hits"])
    return f"{cell['hits']} ({cell['least']}-{cell['most']})"
