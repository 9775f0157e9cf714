"""`hotslot data-report REGION`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from app.cli.console import opened, results
from app.core.errors import InvalidInput
from app.core.settings import Settings
from app.data_quality.page import MAX_CATEGORIES, data_report_page
from app.data_quality.plots import data_report_plot
from app.data_quality.service import data_report

PICTURES = (".png", ".svg")


def report(
    region: str,
    upload: Annotated[int | None, typer.Option(help="Only this upload.", min=1)] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report here.")] = None,
    html: Annotated[Path | None, typer.Option(help="Report as one HTML page.")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Its picture, .png or .svg.")
    ] = None,
) -> None:
    """Report on a region's data: accepted, repeated, rejected, suspicious times and places."""
    if output is not None and output.suffix.lower() not in PICTURES:
        raise InvalidInput(f"the picture must be .png or .svg, got {output.name}", field="output")
    with opened(Settings()) as engine:
        found = data_report(engine, region, upload)
    if json_file is not None:
        json_file.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2))
    if html is not None:
        html.write_text(data_report_page(found), encoding="utf-8")
    if output is not None:
        output.write_bytes(data_report_plot(found, output.suffix.lower()[1:]))
    _print(found)


def _print_times(console: Console, times: dict[str, Any]) -> None:
    """Print a table of how precise times are, unless all are exact."""
    if times["all"]["exact_share"] == 1 or not times["all"]["n"]:
        return
    names = ("exact", "interval", "date_only", "placeholder")
    table = Table(title="what is known of times")
    for name in ("kind", *names, "left of the hour"):
        table.add_column(name.replace("_", " "), justify="left" if name == "kind" else "right")
    kinds = times["kinds"] if len(times["kinds"]) > 1 else []
    for one in [{"category": "all", **times["all"]}, *kinds[:MAX_CATEGORIES]]:
        shares = [one[f"{name}_share"] for name in names] + [one["hour_information"]]
        table.add_row(one["category"] or "all others", *(f"{s:.0%}" for s in shares))
    console.print(table)


def _print(found: dict[str, Any]) -> None:
    uploads = found["uploads"]
    table = Table(title=f"{found['region']}: {found['incidents']['n']:,} incidents")
    for name in ("received", "accepted", "corrected", "duplicates", "rejected"):
        table.add_column(name, justify="right")
    names = [str(column.header) for column in table.columns]
    table.add_row(*(f"{uploads[name]:,}" for name in names))
    console = results()
    console.print(table)
    for line in dict.fromkeys(
        found["verdicts"][name]["message"] for name in ("hour", "place", "next_step")
    ):
        console.print(line, style="bold", soft_wrap=True)
    _print_times(console, found["time_precision"])
    sentences = [finding["message"] for finding in found["findings"]]
    for sentence in sentences or ["Nothing stands out."]:
        console.print(f"- {sentence}", soft_wrap=True)
