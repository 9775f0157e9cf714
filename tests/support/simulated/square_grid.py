"""A study area of full square cells."""

import numpy as np

from app.geo.grid import Grid


def square_grid(nx: int, ny: int) -> Grid:
    """Cells of 250 m from the origin on."""
    n = nx * ny
    return Grid("EPSG:32618", 0.0, 0.0, 250.0, nx, ny, np.arange(n), np.full(n, 0.0625))
