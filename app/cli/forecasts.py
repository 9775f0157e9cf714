"""`hotslot forecast REGION {density,hotspots,samples}`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from app.cli.console import complain, console, opened, parse_time
from app.core.errors import InvalidInput
from app.core.output.plain_text import json_for_terminals
from app.core.settings import Settings
from app.forecasts.forecast import Forecast
from app.forecasts.hotspots.documents import hotspots_geojson
from app.forecasts.hotspots.selection import HotspotOptions
from app.forecasts.plan import Selector
from app.forecasts.rendering.files import density_parquet, density_tif
from app.forecasts.rendering.picture import density_png
from app.forecasts.replies.serialisers import density_csv, density_geojson, density_json
from app.forecasts.samples import samples_geojson
from app.forecasts.service import ForecastService
from app.regions.store import get_region

BY_SUFFIX: dict[str, Callable[[Forecast], bytes]] = {
    ".json": density_json,
    ".geojson": density_geojson,
    ".csv": density_csv,
    ".parquet": density_parquet,
    ".tif": density_tif,
    ".tiff": density_tif,
    ".png": density_png,
}


class Kind(StrEnum):
    """What to forecast."""

    DENSITY = "density"
    HOTSPOTS = "hotspots"
    SAMPLES = "samples"


class Weighting(StrEnum):
    """What to weigh with."""

    HARM = "harm"


def forecast(
    region: str,
    kind: Kind,
    at: Annotated[str, typer.Option(help="RFC 3339; without offset, local time of the region.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="File; - or missing: standard output.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Model name or version.")] = None,
    category: Annotated[
        list[str] | None,
        typer.Option(help="A category, an alias or a group; repeat it to sum up several."),
    ] = None,
    weight: Annotated[
        Weighting | None, typer.Option(help="Weigh categories by the region's weights.")
    ] = None,
    cell_size_m: Annotated[float | None, typer.Option(help="Side of a cell.")] = None,
    top: Annotated[float, typer.Option(help="Percent of cells to flag.")] = 5.0,
    n: Annotated[int, typer.Option(help="Number of samples.", min=1)] = 1000,
    seed: Annotated[
        int | None, typer.Option(help="Seed of the samples.", min=0, max=2**53 - 1)
    ] = None,
) -> None:
    """Forecast one slot; the suffix of the output sets the format of a density."""
    settings = Settings()
    with opened(settings) as engine:
        with engine.connect() as connection:
            timezone = get_region(connection, region).timezone
        kinds = tuple(category) if category else None
        selector = Selector(parse_time(at, timezone, "at"), None, kinds, model, cell_size_m)
        if weight is not None:
            if kind is Kind.SAMPLES:
                raise InvalidInput("samples are not weighted", field="weight")
            selector = replace(selector, weight="harm")
        service = ForecastService(engine, settings)
        found = service.forecast(region, selector)
        if kind is Kind.HOTSPOTS:
            content = hotspots_geojson(found, HotspotOptions(top))
        elif kind is Kind.SAMPLES:
            content = samples_geojson(service, found, n, seed)
        else:
            content = _writer_of(output)(found)
    for warning in found.warnings:
        complain(warning.message, "warning")
    if output is None or str(output) == "-":
        # Standard output is always JSON.
        typer.echo(json_for_terminals(content.decode()))
    else:
        output.write_bytes(content)
        console.print(f"{output}: {len(content):,} bytes, {found.version.record.version}")


def _writer_of(output: Path | None) -> Callable[[Forecast], bytes]:
    if output is None or str(output) == "-":
        return density_json
    suffix = output.suffix.lower()
    if suffix not in BY_SUFFIX:
        raise InvalidInput(
            f"unknown suffix of {output.name}; choose from {', '.join(BY_SUFFIX)}", field="output"
        )
    return BY_SUFFIX[suffix]
