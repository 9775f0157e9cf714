"""Forecasts as files that other programs open: GeoParquet, Cloud-Optimized GeoTIFF, PNG."""

from __future__ import annotations

import io
import threading
from typing import Any

import geopandas as gpd
import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rasterio.io import MemoryFile
from rasterio.transform import from_origin

from app.domain.windows import zone
from app.services.forecast import Forecast

NODATA = -1.0
BANDS = (
    "density_per_km2",
    "expected_count",
    "expected_count_lo",
    "expected_count_hi",
    "probability",
)
COLOURS = "viridis"
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_figure_lock = threading.Lock()
"""matplotlib's text layout is not safe between threads."""


def density_parquet(forecast: Forecast) -> bytes:
    """GeoParquet: one row a cell, its square as geometry, WGS 84."""
    grid = forecast.grid
    rows = np.arange(len(grid))
    low, high = forecast.interval
    frame = gpd.GeoDataFrame(
        {
            "id": grid.cell_id,
            "probability": forecast.probability,
            "density_per_km2": forecast.density_per_km2,
            "expected_count": forecast.expected_count,
            "expected_count_lo": low,
            "expected_count_hi": high,
        },
        geometry=grid.polygons_degrees(rows),
        crs="EPSG:4326",
    )
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


def raster_of(forecast: Forecast, values: NDArray[Any]) -> NDArray[np.float32]:
    """(ny, nx) float32, north up; `NODATA` outside the study area."""
    grid = forecast.grid
    image = np.full((grid.ny, grid.nx), NODATA, np.float32)
    image[grid.iy, grid.ix] = values
    return image[::-1]


def density_tif(forecast: Forecast) -> bytes:
    """Cloud-Optimized GeoTIFF in the region's CRS with the bands of `BANDS`."""
    grid = forecast.grid
    low, high = forecast.interval
    values = (
        forecast.density_per_km2,
        forecast.expected_count,
        low,
        high,
        forecast.probability,
    )
    top_m = grid.y0_m + grid.ny * grid.cell_size_m
    with MemoryFile() as memory:
        with memory.open(
            driver="COG",
            width=grid.nx,
            height=grid.ny,
            count=len(BANDS),
            dtype="float32",
            crs=grid.crs,
            nodata=NODATA,
            transform=from_origin(grid.x0_m, top_m, grid.cell_size_m, grid.cell_size_m),
            compress="DEFLATE",
        ) as file:
            for band, (name, value) in enumerate(zip(BANDS, values, strict=True), start=1):
                file.write(raster_of(forecast, value), band)
                file.set_band_description(band, name)
            file.update_tags(
                model_version=forecast.version.record.version, at=forecast.at.isoformat()
            )
        content: bytes = memory.read()
    return content


def density_png(forecast: Forecast) -> bytes:
    """A map with a legend: share of the slot's incidents per km2, on a square-root scale."""
    with _figure_lock:
        return _draw(forecast)


def _draw(forecast: Forecast) -> bytes:
    grid = forecast.grid
    image = raster_of(forecast, np.sqrt(100 * forecast.density_per_km2))
    shown = np.ma.masked_less(image, 0)
    width = 8.0
    figure = Figure(figsize=(width, max(4.0, width * grid.ny / grid.nx) + 0.6), dpi=110)
    axes = figure.add_axes((0.02, 0.02, 0.84, 0.88))
    extent_km = (0, grid.nx * grid.cell_size_m / 1000, 0, grid.ny * grid.cell_size_m / 1000)
    scale = Normalize(0, float(shown.max()))
    picture = axes.imshow(shown, extent=extent_km, cmap=colormaps[COLOURS], norm=scale)
    axes.set_axis_off()
    axes.plot([extent_km[1] * 0.03, extent_km[1] * 0.03 + 5], [0.4, 0.4], color="black", lw=3)
    axes.text(extent_km[1] * 0.03, 0.7, "5 km", fontsize=9)
    bar = figure.colorbar(picture, cax=figure.add_axes((0.88, 0.12, 0.025, 0.7)))
    ticks = np.linspace(0, scale.vmax or 1.0, 6)
    bar.set_ticks(ticks.tolist(), labels=[f"{t**2:.2g}" for t in ticks])
    bar.set_label("% of the hour's incidents per km²")
    local = forecast.at.astimezone(zone(forecast.version.region.timezone))
    figure.suptitle(
        f"{forecast.version.region.name}: {_DAYS[local.weekday()]} {local:%Y-%m-%d %H}:00, "
        f"expected {forecast.expected_total:.1f} "
        f"[{forecast.expected_total_lo:.0f}, {forecast.expected_total_hi:.0f}]\n"
        f"{forecast.version.record.version}",
        fontsize=10,
    )
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
