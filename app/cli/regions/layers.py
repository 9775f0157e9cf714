"""`hotslot region layer`: layers of named areas, and residents of the neighbourhoods."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.cli.console import alone, echo_json, opened, say
from app.core.errors import InvalidInput
from app.core.settings import Settings
from app.incidents.population import remove_population, set_population
from app.readers.context import chunks_of
from app.readers.isolated import reading_limits
from app.regions.layer_store import list_layers, read_layer
from app.regions.layers import remove_layer, set_layer
from app.regions.store import get_region

POPULATION_KINDS = {".csv": "csv", ".geojson": "geojson", ".json": "geojson"}


def layer(
    region: str,
    name: Annotated[str | None, typer.Argument(help="Layer: a-z, 0-9, '-' and '_'.")] = None,
    file: Annotated[
        Path | None, typer.Argument(help="GeoJSON of its areas; without it, the layer is printed.")
    ] = None,
    name_property: Annotated[
        str | None, typer.Option(help="Property that names the areas.")
    ] = None,
    population: Annotated[
        Path | None,
        typer.Option(help="CSV (name, population, groups) or GeoJSON of neighbourhoods."),
    ] = None,
    groups: Annotated[
        str | None, typer.Option(help="Columns that count a group's members: a,b.")
    ] = None,
    remove: Annotated[
        bool,
        typer.Option(
            "--remove", help="Remove the layer; without NAME residents, neighbourhoods stay."
        ),
    ] = False,
    list_all: Annotated[bool, typer.Option("--list", help="List the layers.")] = False,
) -> None:
    """Store, print, list or remove layers of areas; set residents of the neighbourhoods."""
    if list_all:
        alone("--list", name, population, groups, remove or None)
        _list(region)
    elif remove:
        alone("--remove", file, population, groups, name_property)
        _remove(region, name)
    elif name is not None:
        alone("NAME", population, groups)
        _store(region, name, file, name_property)
    elif population is not None:
        _populate(region, population, groups)
    else:
        raise InvalidInput("give NAME FILE, --population FILE, --list or --remove", field="name")


def _list(region: str) -> None:
    with opened(Settings()) as engine, engine.connect() as connection:
        for one in list_layers(connection, get_region(connection, region)):
            say(f"{one.name}: {one.n_areas:,} areas")


def _remove(region: str, name: str | None) -> None:
    with opened(Settings()) as engine:
        if name is None:
            remove_population(engine, region)
            say(f"population layer of {region} removed; its neighbourhoods stay")
        else:
            remove_layer(engine, region, name)
            say(f"layer {name} of {region} removed")


def _store(region: str, name: str, file: Path | None, name_property: str | None) -> None:
    settings = Settings()
    with opened(settings) as engine:
        if file is None:
            with engine.connect() as connection:
                echo_json(read_layer(connection, get_region(connection, region), name).features)
            return
        if not file.is_file():
            raise InvalidInput(f"there is no file {file}", field="file")
        with file.open("rb") as opened_file:
            limits = reading_limits(settings)
            stored = set_layer(engine, region, name, chunks_of(opened_file), limits, name_property)
    names = [one["properties"]["name"] for one in stored.features["features"]]
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    say(f"layer {name} of {region}: {stored.n_areas:,} areas ({shown})")


def _populate(region: str, population: Path, groups: str | None) -> None:
    kind = POPULATION_KINDS.get(population.suffix.lower())
    if kind is None or not population.is_file():
        raise InvalidInput(
            f"{population} must be an existing .csv, .geojson or .json file", field="population"
        )
    chosen = None if groups is None else [g.strip() for g in groups.split(",") if g.strip()]
    settings = Settings()
    with opened(settings) as engine, population.open("rb") as file:
        limits = reading_limits(settings)
        stored = set_population(engine, region, chunks_of(file), kind, chosen, limits)
    people = [f["properties"] for f in stored["features"]]
    names = sorted({g for p in people for g in p["groups"]})
    say(
        f"{len(people)} neighbourhoods, {sum(p['population'] for p in people):,.0f} residents"
        + (f", groups: {', '.join(names)}" if names else ""),
    )
