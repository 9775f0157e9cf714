"""The colour scale of pictures, tiles and the page: light to dark, safe for the colour-blind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.units import FloatArray

if TYPE_CHECKING:
    from matplotlib.colors import Colormap

STOPS = (
    (255, 255, 217),
    (237, 248, 177),
    (199, 233, 180),
    (127, 205, 187),
    (65, 182, 196),
    (29, 145, 192),
    (34, 94, 168),
    (37, 52, 148),
    (8, 29, 88),
)
"""ColorBrewer's YlGnBu, copied so that tiles need no plotting library."""
N_COLOURS = 255
SCALE_QUANTILE = 0.999


def colour_map() -> Colormap:
    """Return the scale as a matplotlib colour map."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("hotslot", np.array(STOPS) / 255)


def palette() -> NDArray[np.uint8]:
    """Return red, green, blue (255, 3)."""
    at, stops = np.linspace(0, 1, N_COLOURS), np.linspace(0, 1, len(STOPS))
    mixed = [np.interp(at, stops, channel) for channel in np.array(STOPS).T]
    rgb: NDArray[np.uint8] = np.stack(mixed, axis=1).round().astype(np.uint8)
    return rgb


def upper_end(values: FloatArray) -> float:
    """Return the value of the darkest colour, exceeded by one cell in a thousand."""
    top = float(np.quantile(values, SCALE_QUANTILE)) if len(values) else 0.0
    return top if top > 0 else float(values.max(initial=0.0)) or 1.0


def shade(values: FloatArray, top: float) -> NDArray[np.uint8]:
    """Return colour indices 0..254 on a square-root scale, which resolves skewed densities."""
    share = np.sqrt(np.clip(values / top, 0.0, 1.0))
    return np.round(share * (N_COLOURS - 1)).astype(np.uint8)
