"""Forecasts as raster tiles (Web Mercator, 256 pixels) and their TileJSON."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import map_coordinates

from app.core.errors import InvalidInput
from app.core.zones import zone
from app.forecasts.cells import SquareCells
from app.forecasts.forecast import Forecast
from app.forecasts.rendering.colours import N_COLOURS, palette, shade, upper_end
from app.forecasts.versions.loaded import LoadedVersion
from app.geo.antimeridian import crosses, normalised
from app.geo.study_area import to_metres

TILE_PIXELS = 256
MIN_ZOOM = 0
MAX_ZOOM = 20
LATTICE = 33
"""Points per side that are projected; others are interpolated, with errors of at most a metre at
`LATTICE_FROM_ZOOM`. Tiles of lower zooms are projected pixel by pixel."""
LATTICE_FROM_ZOOM = 8
OPAQUE = 215
FAINTEST = 70
TRANSPARENT = 255
STEP = "PT1H"
"""Forecasts are of whole hours (ISO 8601)."""


def check_tile(z: int, x: int, y: int) -> None:
    """Raise unless the tile exists.

    Raises:
        InvalidInput: the zoom is out of range, or the tile lies outside the world.
    """
    if not (MIN_ZOOM <= z <= MAX_ZOOM and 0 <= x < 2**z and 0 <= y < 2**z):
        raise InvalidInput(f"no tile {z}/{x}/{y}: zooms are {MIN_ZOOM}..{MAX_ZOOM}", field="z")


def tile_png(forecast: Forecast, z: int, x: int, y: int) -> bytes:
    """Draw one tile as PNG, transparent outside the study area and the requested box.

    Raises:
        InvalidInput: the tile does not exist, or the cells are not squares.
    """
    check_tile(z, x, y)
    cells = forecast.cells
    if not isinstance(cells, SquareCells):
        raise InvalidInput("tiles need grid=square", field="grid")
    rows = cells.grid.locate(*_pixels_m(z, x, y, cells.crs))
    density = forecast.density_per_km2
    colour = np.append(shade(density, upper_end(density)), TRANSPARENT).astype(np.uint8)
    hidden = np.ones(len(cells), bool)
    hidden[forecast.rows] = False
    colour[:-1][hidden] = TRANSPARENT
    return _png(colour[rows].reshape(TILE_PIXELS, TILE_PIXELS))


def _pixels_m(z: int, x: int, y: int, crs: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return x_m, y_m (65536,) of the centres of a tile's pixels, row by row from the north."""
    steps = np.linspace(0, TILE_PIXELS, LATTICE) if z >= LATTICE_FROM_ZOOM else _centres()
    column, row = np.meshgrid(steps, steps)
    longitude = (x + column / TILE_PIXELS) / 2**z * 360.0 - 180.0
    mercator = math.pi * (1 - 2 * (y + row / TILE_PIXELS) / 2**z)
    latitude = np.degrees(np.arctan(np.sinh(mercator)))
    x_m, y_m = to_metres(longitude, latitude, crs)
    if z < LATTICE_FROM_ZOOM:
        return x_m.ravel(), y_m.ravel()
    at = _centres() * (LATTICE - 1) / TILE_PIXELS
    places = np.stack([a.ravel() for a in np.meshgrid(at, at, indexing="ij")])
    return map_coordinates(x_m, places, order=1), map_coordinates(y_m, places, order=1)


def _centres() -> NDArray[Any]:
    return np.arange(TILE_PIXELS) + 0.5


def _png(colour: NDArray[np.uint8]) -> bytes:
    image = Image.fromarray(colour)
    image.putpalette([*palette().ravel().tolist(), 0, 0, 0])
    opacity = np.linspace(FAINTEST, OPAQUE, N_COLOURS).astype(np.uint8)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", transparency=bytes([*opacity.tolist(), 0]))
    return buffer.getvalue()


def hour_extent(version: LoadedVersion) -> dict[str, Any]:
    """Return which hours can be asked of a version: each from the end of its data on.

    Earlier ones can be, too, but the version has seen what happened in them.
    """
    local = version.data_until.astimezone(zone(version.region.timezone))
    first = local.replace(minute=0, second=0, microsecond=0)
    return {"interval": [[first.isoformat(), None]], "grid": {"resolution": STEP}}


def tile_json(forecast: Forecast, template: str) -> dict[str, Any]:
    """Return TileJSON 3.0 of a forecast; its member `hotslot` explains the colours.

    Args:
        forecast: the forecast.
        template: URL of the tiles with {z}, {x} and {y}.
    """
    region = forecast.version.region
    cells = forecast.cells.bounds
    west, south = cells[:, :2].min(axis=0).tolist()
    east, north = cells[:, 2:].max(axis=0).tolist()
    centre = [float(normalised((west + east) / 2)), (south + north) / 2]
    if crosses(west, east):
        west, east = -180.0, 180.0  # TileJSON's bounds do not wrap around the meridian
    top = upper_end(forecast.density_per_km2)
    stops = np.linspace(0, 1, 6)
    colours = palette()[np.round(stops * (N_COLOURS - 1)).astype(int)]
    local = forecast.at.astimezone(zone(region.timezone))
    return {
        "tilejson": "3.0.0",
        "name": f"{region.name}, {local:%A %Y-%m-%d %H:%M}",
        "description": "Share of the incidents per km2",
        "tiles": [template],
        "scheme": "xyz",
        "minzoom": MIN_ZOOM,
        "maxzoom": MAX_ZOOM,
        "bounds": [west, south, east, north],
        "center": [*centre, 11],
        "hotslot": {
            "at": local.isoformat(),
            "to": forecast.until.astimezone(zone(region.timezone)).isoformat(),
            "temporal": hour_extent(forecast.version),
            "model_version": forecast.version.record.version,
            "state": forecast.version.state_id,
            "unit": "probability per km2",
            "scale": [
                {"value": top * float(s) ** 2, "colour": "#" + bytes(c).hex()}
                for s, c in zip(stops, colours, strict=True)
            ],
        },
    }
