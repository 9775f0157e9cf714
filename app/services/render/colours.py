"""One colour scale for pictures, tiles and the page: light to dark, safe for the colour-blind."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Colormap
from numpy.typing import NDArray

from models.base import FloatArray

COLOURS = "YlGnBu"
N_COLOURS = 255
SCALE_QUANTILE = 0.999


def colour_map() -> Colormap:
    """The scale as matplotlib knows it."""
    return colormaps[COLOURS]


def palette() -> NDArray[np.uint8]:
    """(255, 3) red, green, blue."""
    rgb: NDArray[np.uint8] = (255 * colour_map()(np.linspace(0, 1, N_COLOURS))[:, :3]).astype(
        np.uint8
    )
    return rgb


def upper_end(values: FloatArray) -> float:
    """What the darkest colour stands for: all but a thousandth of the cells stay below."""
    top = float(np.quantile(values, SCALE_QUANTILE)) if len(values) else 0.0
    return top if top > 0 else float(values.max(initial=0.0)) or 1.0


def shade(values: FloatArray, top: float) -> NDArray[np.uint8]:
    """0..254 on a square-root scale, which keeps the middle apart where densities are skewed."""
    share = np.sqrt(np.clip(values / top, 0.0, 1.0))
    return np.round(share * (N_COLOURS - 1)).astype(np.uint8)
