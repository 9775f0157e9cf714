"""Forecasts as files, pictures and tiles."""

from app.forecasts.rendering.files import (
    collection_gpkg,
    collection_parquet,
    density_parquet,
    density_tif,
)
from app.forecasts.rendering.picture import density_png
from app.forecasts.rendering.tiles import STEP, check_tile, hour_extent, tile_json, tile_png

__all__ = [
    "STEP",
    "check_tile",
    "collection_gpkg",
    "collection_parquet",
    "density_parquet",
    "density_png",
    "density_tif",
    "hour_extent",
    "tile_json",
    "tile_png",
]
