"""`hotslot region edit` and `region remove`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import orjson
import typer

from app.cli.console import complain, echo_json, opened, say
from app.cli.incidents import read_outline
from app.core.errors import InvalidInput
from app.core.settings import Settings
from app.evaluation.backtests.checkpoints import delete_saved_tasks
from app.region_edits.removal import remove_region
from app.region_edits.routes import reply_of
from app.region_edits.service import RegionEdit, edit_region
from app.regions.store import get_region

CLEARABLE = ("boundary", "crs")


def edit(
    region: str,
    name: Annotated[str | None, typer.Option(help="Name to show.")] = None,
    timezone: Annotated[str | None, typer.Option(help="IANA time zone.")] = None,
    boundary: Annotated[Path | None, typer.Option(help="GeoJSON file of the study area.")] = None,
    cell_size_m: Annotated[float | None, typer.Option(help="Side of a cell.")] = None,
    crs: Annotated[str | None, typer.Option(help="Projected CRS in metres: EPSG:32617.")] = None,
    clear: Annotated[
        list[str] | None,
        typer.Option(help="boundary or crs: derive or choose it again; repeated."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the reply as JSON.")] = False,
) -> None:
    """Correct a region; windows, coordinates and models that depend on it are made anew."""
    if wrong := sorted({*(clear or [])} - {*CLEARABLE}):
        raise InvalidInput(f"only boundary and crs can be cleared, not {wrong[0]}", field="clear")
    settings = Settings()
    with opened(settings) as engine:
        with engine.connect() as connection:
            found = get_region(connection, region)
        size, zone = cell_size_m or found.cell_size_m, timezone or found.timezone
        outline = read_outline(boundary, size, zone, settings)
        wanted = RegionEdit(name, timezone, cell_size_m, crs, outline, frozenset(clear or []))
        edited = edit_region(engine, region, wanted)
    if as_json:
        echo_json(orjson.loads(reply_of(edited)))
    else:
        say(f"region {region}: {', '.join(edited.changed) or 'nothing'} changed")
        if edited.versions_outdated:
            say(f"{len(edited.versions_outdated)} versions of the former region serve no longer")
        if edited.training_run:
            say(f"training {edited.training_run} is queued")
    for warning in edited.warnings:
        complain(warning.message, "warning")


def remove(
    region: str,
    yes_remove: Annotated[
        str | None, typer.Option(help="The region's id again, to skip the question.")
    ] = None,
) -> None:
    """Remove a region with all its incidents and models; asks for its id."""
    settings = Settings()
    with opened(settings) as engine:
        with engine.connect() as connection:
            get_region(connection, region)
        typed = yes_remove
        if typed is None:
            typed = typer.prompt(f"this removes {region} with all that is its own; type its id")
        removed = remove_region(engine, region, typed)
    delete_saved_tasks(settings)
    say(
        f"region {region} removed: {removed.incidents:,} incidents, {removed.uploads:,} uploads, "
        f"{removed.versions:,} versions; {removed.keys_revoked:,} keys revoked"
    )
