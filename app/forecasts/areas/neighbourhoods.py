"""Which neighbourhood each cell of a forecast belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.errors import NotFound
from app.forecasts.areas.layers import NONE, LayerReader
from app.forecasts.forecast import Forecast
from app.regions.layer_store import NEIGHBOURHOODS


@dataclass(frozen=True)
class Neighbourhoods:
    """Names and shapes (degrees) of neighbourhoods (P,), and the place of each cell's (N,), -1 for none."""

    names: tuple[str, ...]
    shapes: NDArray[Any]
    part: NDArray[np.int64]

    def of(self, rows: NDArray[np.int64]) -> list[str | None]:
        """Return the name of each cell's neighbourhood."""
        return [None if part == NONE else self.names[part] for part in self.part[rows].tolist()]


def neighbourhoods_of(layers: LayerReader, forecast: Forecast) -> Neighbourhoods | None:
    """Return the neighbourhoods of a forecast's cells; None where the region has none."""
    version, cells = forecast.version, forecast.cells
    try:
        layer = layers.read(version.region, NEIGHBOURHOODS)
    except NotFound:
        return None
    owners = layers.owners(version, forecast.selector, cells, layer)
    return Neighbourhoods(layer.names, layer.shapes, owners)
