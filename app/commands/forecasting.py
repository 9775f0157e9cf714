"""`hotslot forecast REGION {density,hotspots,samples}`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from app.commands.common import console, opened
from app.config import Settings
from app.services.forecast import ForecastRequest, ForecastService


class Kind(StrEnum):
    """What to forecast."""

    DENSITY = "density"
    HOTSPOTS = "hotspots"
    SAMPLES = "samples"


SUFFIX_FORMATS = {
    ".json": "json",
    ".geojson": "geojson",
    ".csv": "csv",
    ".parquet": "parquet",
    ".tif": "tif",
    ".tiff": "tif",
    ".png": "png",
}


def add_to(app: typer.Typer) -> None:
    """Register the commands of this file."""
    app.command("forecast")(forecast)
