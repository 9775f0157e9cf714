"""One colour scale for pictures, tiles and the page: light to dark, safe for the colour-blind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.base import FloatArray

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
"""ColorBrewer's YlGnBu, written out so that tiles need no plotting library."""
N_COLOURS = 255
SCALE_QUANTILE = 0.999


def colour_map() -> Colormap:
    """The scale as matplotlib knows it."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("hotslot", np.array(STOPS) / 255)


def palette() -> NDArray[np.uint8]:
    """(255, 3) red, green, blue."""
    at, stops = np.linspace(0, 1, N_COLOURS), np.linspace(0, 1, len(STOPS))
    mixed = [np.interp(at, stops, channel) for channel in np.array(STOPS).T]
    rgb: NDArray[np.uint8] = np.stack(mixed, axis=1).round().astype(np.uint8)
    return rgb


def upper_end(values: FloatArray) -> float:
    """What the darkest colour stands for: all but a thousandth of the cells stay below."""
    top = float(np.quantile(values, SCALE_QUANTILE)) if len(values) else 0.0
    return top if top > 0 else float(values.max(initial=0.0)) or 1.0


def shade(values: FloatArray, top: float) -> NDArray[np.uint8]:
    """0..254 on a square-root scale, which keeps the middle apart where densities are skewed."""
    share = np.sqrt(np.clip(values / top, 0.0, 1.0))
    return np.round(share * (N_COLOURS - 1)).astype(np.uint8)
