"""Forecasts as files, pictures and tiles."""

from app.forecasts.rendering.files import (
    collection_gpkg,
    collection_parquet,
    density_parquet,
    density_tif,
)
from app.forecasts.rendering.picture import density_png
from app.forecasts.rendering.tiles import check_tile, tile_json, tile_png

__all__ = [
    "check_tile",
    "collection_gpkg",
    "collection_parquet",
    "density_parquet",
    "density_png",
    "density_tif",
    "tile_json",
    "tile_png",
]
