"""`hotslot mapping list|remove`; `hotslot ingest --save-mapping-as` keeps one."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from app.cli.console import echo_json, opened, results, say
from app.core.settings import Settings
from app.incidents.mappings import list_mappings, remove_mapping


def list_all(
    region: str,
    as_json: Annotated[bool, typer.Option("--json", help="Print the mappings as JSON.")] = False,
) -> None:
    """List a region's column mappings."""
    with opened(Settings()) as engine, engine.connect() as connection:
        found = list_mappings(connection, region)
    if as_json:
        echo_json(found)
        return
    table = Table("mapping", "columns", "CRS", "time format")
    for name, mapping in found.items():
        columns = ", ".join(f"{field}={column}" for field, column in mapping["columns"].items())
        table.add_row(name, columns, mapping["crs"] or "", mapping["time_format"] or "")
    results().print(table)


def remove(region: str, name: str) -> None:
    """Remove a column mapping; the incidents that it brought stay."""
    with opened(Settings()) as engine:
        remove_mapping(engine, region, name)
    say(f"mapping {name} removed")
