"""The tile matrix set of web maps, `WebMercatorQuad` (OGC Two Dimensional Tile Matrix Set, annex D)."""

from __future__ import annotations

import math
from typing import Any

from app.forecasts.rendering.tiles import MAX_ZOOM, TILE_PIXELS

EARTH_RADIUS_M = 6378137.0
PIXEL_M = 0.28e-3
"""Size of a pixel of the standard's notional screen."""
SUMMARY: dict[str, Any] = {
    "id": "WebMercatorQuad",
    "title": "Google Maps Compatible for the World",
    "uri": "http://www.opengis.net/def/tilematrixset/OGC/1.0/WebMercatorQuad",
    "crs": "http://www.opengis.net/def/crs/EPSG/0/3857",
}


def _matrix(zoom: int) -> dict[str, Any]:
    half = math.pi * EARTH_RADIUS_M
    cell_m = 2 * half / (TILE_PIXELS * 2**zoom)
    return {
        "id": str(zoom),
        "scaleDenominator": cell_m / PIXEL_M,
        "cellSize": cell_m,
        "pointOfOrigin": [-half, half],
        "tileWidth": TILE_PIXELS,
        "tileHeight": TILE_PIXELS,
        "matrixWidth": 2**zoom,
        "matrixHeight": 2**zoom,
    }


WEB_MERCATOR: dict[str, Any] = {
    **SUMMARY,
    "tileMatrices": [_matrix(zoom) for zoom in range(MAX_ZOOM + 1)],
}
