"""`hotslot region streets`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.cli.console import complain, opened, say
from app.core.errors import InvalidInput
from app.core.settings import Settings
from app.readers.context import chunks_of
from app.readers.isolated import reading_limits
from app.streets.service import remove_streets, set_streets, streets_of


def streets(
    region: str,
    file: Annotated[
        Path | None,
        typer.Argument(help="GeoJSON, GeoPackage, FlatGeobuf, zipped shapefile, .osm.pbf or .osm."),
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Remove the layer instead.")] = False,
) -> None:
    """Set, show or remove a region's streets, by which segments are ranked and places named."""
    if remove and file is not None:
        raise InvalidInput("give a file or --remove, not both", field="remove")
    settings = Settings()
    with opened(settings) as engine:
        if remove:
            remove_streets(engine, region)
            say(f"streets of {region} removed")
            return
        changed = False
        if file is None:
            found, changed = streets_of(engine, region)
        else:
            try:
                with file.open("rb") as content:
                    limits = reading_limits(settings)
                    found = set_streets(engine, region, chunks_of(content), limits)
            except OSError as error:
                raise InvalidInput(f"cannot read {file}: {error}", field="streets") from error
    facts = found.facts
    left = facts["left_out"]
    say(
        f"streets of {region}: {facts['n_segments']:,} segments, {facts['length_km']:,.1f} km, "
        f"{facts['n_named']:,} named; left out: {left['outside']:,} lines outside the study area, "
        f"{left['not_streets']:,} that are no streets, {left['not_lines']:,} other features"
    )
    if changed:
        complain("the study area has changed since: set the streets again", "warning")
