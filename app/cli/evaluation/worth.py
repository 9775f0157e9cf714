"""`hotslot worth`: what a region's forecast is worth over what everybody can make."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.table import Table

from app.cli.console import complain, opened, results, say
from app.core.settings import Settings
from app.evaluation.worth.service import region_worth

COLUMNS = ("places_hits", "hour_hits", "asked_hits", "nats", "hour_nats")


def worth(
    region: str,
    delay_days: Annotated[
        int | None, typer.Option(help="How late incidents are known; else the age of the data.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the result here.")] = None,
) -> None:
    """Say what the forecast is worth over last year's list, and what of it is the hour."""
    with opened(Settings()) as engine:
        found = region_worth(engine, region, delay_days)
    if json_file is not None:
        json_file.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2))
    for note in found["notes"]:
        complain(note["message"], "note")
    own, typical = found["own"], found["typical"]
    if own is not None:
        say(
            f"this city: {own['source']} on {own['n']:,} incidents, {own['n_origins']} x "
            f"{own['horizon_days']} days from {own['since'][:10]}"
        )
        _say_all(own)
    say(f"cities like it: {typical['n']:,} incidents, known {typical['delay_days']} days late")
    _say_all(typical)
    results().print(_table(found))


def _say_all(part: dict[str, Any]) -> None:
    for verdict in part["verdicts"]:
        say(f"  {verdict['message']}")


def _table(found: dict[str, Any]) -> Table:
    """Return a table of gains by number of incidents, with the city's own last."""
    table = Table(
        title=f"{found['region']}: gains by number of incidents, known {found['delay_days']} days late",
        caption="hits in the best 5 % of cells per 1,000 incidents: one list for all hours minus last year's "
        "list; lists by hour minus one list; lists by hour minus last year's; density: nats per incident "
        "over pooled-kde, and of them the hour's [95 %]",
    )
    table.add_column("incidents")
    for heading in ("places", "hour", "both", "density", "hour's density"):
        table.add_column(heading, justify="right")
    for row in found["by_size"]:
        table.add_row(f"{row['n']:,}", *(_cell(row["gains"], name) for name in COLUMNS))
    if found["own"] is not None:
        label = f"this city ({found['n_incidents']:,})"
        table.add_row(label, *(_cell(found["own"]["gains"], name) for name in COLUMNS))
    return table


def _cell(gains: dict[str, Any], name: str) -> str:
    if name not in gains:
        return ""
    scale, places = (1, 3) if name.endswith("nats") else (1_000, 0)
    mean, lo, hi = (f"{scale * gains[name][end]:+z.{places}f}" for end in ("mean", "lo", "hi"))
    return f"{mean} [{lo}, {hi}]"
