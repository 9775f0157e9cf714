"""`hotslot categories show|alias|group|weight`."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from app.cli.console import echo_json, opened, results, say
from app.core.errors import InvalidInput
from app.core.settings import Settings
from app.incidents.kinds.tables import Names, change_kinds, describe_kinds
from app.regions.kinds import folded
from app.regions.store import get_region

Remove = Annotated[bool, typer.Option("--remove", help="Remove it.")]


def show(
    region: str,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List a region's categories, aliases, groups and weights."""
    with opened(Settings()) as engine, engine.connect() as connection:
        found = describe_kinds(connection, get_region(connection, region), None)
    if as_json:
        echo_json(found)
        return
    table = Table("category", "names", "weight", "groups")
    for one in found["categories"]:
        kind = one["category"]
        weight = next((w for n, w in found["weights"].items() if folded(n) == folded(kind)), "")
        groups = [g for g, members in found["groups"].items() if kind in members]
        table.add_row(kind, ", ".join(one["names"]), f"{weight}", ", ".join(groups))
    results().print(table)


def _edit(region: str, table: str, name: str, value: Any, *, remove: bool) -> None:
    def change(names: Names) -> Names:
        left = {n: v for n, v in names.items() if folded(n) != folded(name)}
        if remove and len(left) == len(names):
            raise InvalidInput(f"{name} is not among the {table}", field="name")
        return left if remove else {**left, name: value}

    with opened(Settings()) as engine:
        change_kinds(engine, region, table, change)
    say(f"{table}: {name} {'removed' if remove else 'set'}")


def _needed(value: object, what: str, *, remove: bool) -> None:
    if remove == bool(value):
        raise InvalidInput(f"give {what}, or --remove", field=what)


def alias(
    region: str,
    name: Annotated[str, typer.Argument(help="The name in the data.")],
    category: Annotated[str | None, typer.Argument(help="The category it counts as.")] = None,
    since: Annotated[
        str | None, typer.Option("--from", help="Local day from which it does: 2026-09-01.")
    ] = None,
    remove: Remove = False,
) -> None:
    """Count incidents of one name as another category; train again afterwards."""
    _needed(category, "category", remove=remove)
    _edit(region, "aliases", name, {"category": category, "from": since}, remove=remove)


def group(
    region: str,
    name: Annotated[str, typer.Argument(help="The group's name.")],
    categories: Annotated[list[str] | None, typer.Argument(help="Its categories.")] = None,
    remove: Remove = False,
) -> None:
    """Name several categories together, for use as a category."""
    _needed(categories, "categories", remove=remove)
    _edit(region, "groups", name, categories, remove=remove)


def weight(
    region: str,
    category: Annotated[str, typer.Argument(help="A category.")],
    harm: Annotated[float | None, typer.Argument(help="Its harm, in any unit.")] = None,
    remove: Remove = False,
) -> None:
    """Weigh a category for forecasts with --weight harm."""
    if remove == (harm is not None):
        raise InvalidInput("give a weight, or --remove", field="harm")
    _edit(region, "weights", category, harm, remove=remove)
