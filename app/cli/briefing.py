"""`hotslot briefing REGION`: the plan of a shift as one page."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from app.cli.console import complain, console, opened
from app.core.errors import InvalidInput
from app.core.settings import Settings
from app.forecasts.plan import Selector
from app.forecasts.selectors import parsed_day
from app.forecasts.service import ForecastService
from app.forecasts.zones.briefing import zones_pdf
from app.forecasts.zones.documents import zones_csv, zones_geojson, zones_gpkg, zones_gpx
from app.forecasts.zones.plan import ZonePlan, zone_plan
from app.forecasts.zones.selection import (
    DEFAULT_COMPACTNESS,
    DEFAULT_KM2,
    DEFAULT_ZONES,
    MAX_ZONES,
    ZoneOptions,
)

BY_SUFFIX: dict[str, Callable[[ZonePlan], bytes]] = {
    ".pdf": zones_pdf,
    ".gpx": zones_gpx,
    ".gpkg": zones_gpkg,
    ".geojson": zones_geojson,
    ".csv": zones_csv,
}


class ShiftOption(StrEnum):
    """A shift of the region."""

    EARLY = "early"
    LATE = "late"
    NIGHT = "night"


class LanguageOption(StrEnum):
    """Language of the page."""

    EN = "en"
    ES = "es"


class PaperOption(StrEnum):
    """Size of the page."""

    A4 = "a4"
    LETTER = "letter"


def briefing(
    region: str,
    shift: Annotated[ShiftOption, typer.Option(help="Which shift of the region.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="File: .pdf, .gpx, .gpkg, .geojson or .csv.")
    ],
    date: Annotated[
        str | None, typer.Option(help="Local day on which it starts; without it the next.")
    ] = None,
    n: Annotated[int, typer.Option(help="Zones at most.", min=1, max=MAX_ZONES)] = DEFAULT_ZONES,
    max_km2: Annotated[float, typer.Option(help="Area of all zones together.")] = DEFAULT_KM2,
    compactness: Annotated[
        float, typer.Option(help="Of each zone, 0 to 1.", min=0, max=1)
    ] = DEFAULT_COMPACTNESS,
    category: Annotated[
        list[str] | None,
        typer.Option(help="A category, an alias or a group; repeat it to sum up several."),
    ] = None,
    within: Annotated[
        str | None, typer.Option(help="A layer: each zone stays in one of its areas.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Model name or version.")] = None,
    record: Annotated[
        bool, typer.Option(help="Say what such plans caught in the latest backtest.")
    ] = True,
    lang: Annotated[LanguageOption, typer.Option(help="Language.")] = LanguageOption.EN,
    paper: Annotated[PaperOption, typer.Option(help="Paper.")] = PaperOption.A4,
) -> None:
    """Write where to go in a shift: zones, when each matters, how sure; one page, or for a map."""
    write = BY_SUFFIX.get(output.suffix.lower())
    if write is None:
        raise InvalidInput(
            f"unknown suffix of {output.name}; choose from {', '.join(BY_SUFFIX)}", field="output"
        )
    selector = Selector(
        shift=shift.value,
        day=None if date is None else parsed_day(date),
        category=tuple(category) if category else None,
        model=model,
        within=within,
    )
    options = ZoneOptions(
        n, max_km2, compactness, record=record, lang=lang.value, paper=paper.value
    )
    settings = Settings()
    with opened(settings) as engine:
        service = ForecastService(engine, settings)
        found = service.forecast(region, selector)
        content = write(zone_plan(service, found, options))
    for warning in found.warnings:
        complain(warning.message, "warning")
    output.write_bytes(content)
    console.print(f"{output}: {len(content):,} bytes, {found.version.record.version}")
