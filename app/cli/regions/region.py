"""`hotslot region create`, `list`, `edit` and `remove`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import orjson
import typer
from rich.table import Table

from app.cli.console import complain, echo_json, opened, results, say
from app.core.errors import InvalidInput
from app.core.settings import Settings
from app.core.texts import shortened
from app.evaluation.backtests.checkpoints import delete_saved_tasks
from app.forecasts.replies.shared_replies import shared_files
from app.readers.context import chunks_of
from app.readers.files.documents import Outline
from app.readers.isolated import reading_limits
from app.region_edits.removal import remove_region
from app.region_edits.routes import reply_of
from app.region_edits.service import RegionEdit, edit_region
from app.regions.category_store import region_summary
from app.regions.places import place_warnings
from app.regions.service import DEFAULT_CELL_SIZE_M, add_region, read_boundary
from app.regions.shifts import SHIFT_NAMES, Shift, ShiftName
from app.regions.store import get_region, list_regions

CLEARABLE = ("boundary", "crs", "shifts")


def create(
    region: Annotated[str, typer.Argument(help="Id: a-z, 0-9, '-' and '_'.")],
    timezone: Annotated[str, typer.Option(help="IANA time zone, such as America/Toronto.")],
    name: Annotated[str | None, typer.Option(help="Name to show.")] = None,
    boundary: Annotated[Path | None, typer.Option(help="GeoJSON file of the study area.")] = None,
    cell_size_m: Annotated[float, typer.Option(help="Side of a cell.")] = DEFAULT_CELL_SIZE_M,
) -> None:
    """Create a region."""
    settings = Settings()
    outline = read_outline(boundary, cell_size_m, timezone, settings)
    with opened(settings) as engine:
        made = add_region(
            engine,
            region,
            timezone=timezone,
            name=name,
            outline=outline,
            cell_size_m=cell_size_m,
            limit=settings.max_regions,
        )
    say(f"region {made.id} created ({made.timezone}, {made.crs or 'CRS from data'})")
    for warning in place_warnings(outline.boundary if outline else None, made.timezone):
        complain(warning.message, "warning")


def read_outline(
    path: Path | None, cell_size_m: float, timezone: str, settings: Settings
) -> Outline | None:
    """Read the outline in a GeoJSON file.

    Raises:
        InvalidInput: the file cannot be read or has no outline.
    """
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            limits = reading_limits(settings)
            return read_boundary(chunks_of(file), cell_size_m, timezone, limits)
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error}", field="boundary") from error


def list_all() -> None:
    """List the regions."""
    table = Table("region", "name", "time zone", "incidents", "first", "last")
    with opened(Settings()) as engine, engine.connect() as connection:
        for region in list_regions(connection):
            summary = region_summary(connection, region)
            begin = summary.begins_at or summary.first_at
            zone = ZoneInfo(region.timezone)
            table.add_row(
                region.id,
                region.name,
                region.timezone,
                f"{summary.n_incidents:,}",
                f"{begin.astimezone(zone):%Y-%m-%d}" if begin else "",
                f"{summary.last_at.astimezone(zone):%Y-%m-%d}" if summary.last_at else "",
            )
    results().print(table)


def edit(
    region: str,
    name: Annotated[str | None, typer.Option(help="Name to show.")] = None,
    timezone: Annotated[str | None, typer.Option(help="IANA time zone.")] = None,
    boundary: Annotated[Path | None, typer.Option(help="GeoJSON file of the study area.")] = None,
    cell_size_m: Annotated[float | None, typer.Option(help="Side of a cell.")] = None,
    crs: Annotated[str | None, typer.Option(help="Projected CRS in metres: EPSG:32617.")] = None,
    clear: Annotated[
        list[str] | None,
        typer.Option(help="boundary, crs or shifts: derive, choose or default it; repeated."),
    ] = None,
    shift: Annotated[
        list[str] | None,
        typer.Option(help="A shift's local times, such as night=22:00-06:00; repeated."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the reply as JSON.")] = False,
) -> None:
    """Correct a region; windows, coordinates and models that depend on it are made anew."""
    if wrong := sorted({*(clear or [])} - {*CLEARABLE}):
        known = ", ".join(CLEARABLE)
        raise InvalidInput(f"only {known} can be cleared, not {wrong[0]}", field="clear")
    shifts = dict(_shift_of(text) for text in shift or [])
    settings = Settings()
    with opened(settings) as engine:
        with engine.connect() as connection:
            found = get_region(connection, region)
        size, zone = cell_size_m or found.cell_size_m, timezone or found.timezone
        outline = read_outline(boundary, size, zone, settings)
        wanted = RegionEdit(
            name, timezone, cell_size_m, crs, outline, frozenset(clear or []), shifts
        )
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


def _shift_of(text: str) -> tuple[ShiftName, Shift]:
    """Read NAME=START-END."""
    given, _, times = text.partition("=")
    start, _, end = times.partition("-")
    for name in SHIFT_NAMES:
        if name == given:
            return name, Shift.of(start, end, "shift")
    raise InvalidInput(
        f"a shift is early, late or night, as in night=22:00-06:00; got {shortened(text)}",
        field="shift",
    )


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
    shared_files(settings).drop()
    say(
        f"region {region} removed: {removed.incidents:,} incidents, {removed.uploads:,} uploads, "
        f"{removed.versions:,} versions; {removed.keys_revoked:,} keys revoked"
    )
