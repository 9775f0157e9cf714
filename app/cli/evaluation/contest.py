"""`hotslot contest`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.table import Table

from app.cli.console import opened, progress_of, results, say
from app.core.errors import InvalidInput
from app.core.settings import Settings
from app.evaluation.contest.execute import Contest, contest_data, hold_contest
from app.evaluation.contest.next_cells import next_cells


def contest(
    region: str,
    n_origins: Annotated[
        int, typer.Option(help="The last N back-to-back periods of 28 days.", min=1, max=104)
    ] = 4,
    category: Annotated[
        list[str] | None,
        typer.Option(help="A category, an alias or a group; repeat it to take several."),
    ] = None,
    one_grid: Annotated[
        bool, typer.Option("--one-grid", help="Do not shift rows of cells against each other.")
    ] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the result here.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the cells for the next weeks here, .geojson.")
    ] = None,
) -> None:
    """Choose cells as in NIJ's forecasting challenge, and judge them beside last year's on past periods."""
    if out is not None and out.suffix not in (".geojson", ".json"):
        raise InvalidInput(f"the cells are GeoJSON, got {out.name}", field="out")
    asked = Contest(n_origins, tuple(category) if category else None, one_grid)
    with opened(Settings()) as engine:
        data = contest_data(engine, region, asked)
    with progress_of(f"contest of {region}") as update:
        found = hold_contest(data, asked, update)
    if json_file is not None:
        json_file.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2))
    for budget_km2 in found["areas_km2"]:
        results().print(_table(found, budget_km2))
    if out is not None:
        with progress_of("cells for the next weeks") as update:
            cells = next_cells(data, asked, update)
        out.write_bytes(orjson.dumps(cells))
        say(f"{len(cells['features'])} cells from {cells['from']} on: {out}")


def _table(found: dict[str, Any], budget_km2: float) -> Table:
    table = Table(
        title=f"{found['region']}: the best cells of {budget_km2:g} km2",
        caption="with 95 % intervals; PAI: share of incidents / share of area; PEI: hits / the most that "
        "such cells held; minus: hits more than those of prior-counts",
    )
    for heading in ("days", "periods", "list", "hits", "of", "PAI", "PEI", "minus prior-counts"):
        table.add_column(heading, justify="left" if heading == "list" else "right")
    rows = [row for row in found["scores"] if row["budget_km2"] == budget_km2]
    for before, row in zip([None, *rows], rows, strict=False):
        if before is not None and before["days"] != row["days"]:
            table.add_section()
        table.add_row(
            str(row["days"]),
            str(row["periods"]),
            row["contestant"],
            f"{row['hits']:g}",
            f"{row['n']:,}",
            _interval(row, "pai"),
            _interval(row, "pei"),
            "{hits:+.0f} [{lo:+.0f}, {hi:+.0f}]".format(**row["difference"]),
        )
    return table


def _interval(row: dict[str, Any], name: str) -> str:
    value, lo, hi = (row[f"{name}{end}"] for end in ("", "_lo", "_hi"))
    return "" if value is None else f"{value:.3g} [{lo:.3g}, {hi:.3g}]"
