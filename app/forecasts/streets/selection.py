"""Which street segments expect the most per kilometre."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.core.caching.once import once
from app.core.errors import InvalidInput
from app.core.processes.priority import give_way
from app.forecasts.forecast import Forecast
from app.forecasts.streets.reader import LoadedStreets, StreetReader
from app.geo.antimeridian import TURN_DEG
from app.http.parameters import Bbox
from app.streets.store import StreetShares
from models.streets.ranking import n_within, ranked_segments
from models.units import FloatArray

DEFAULT_TOP = 5.0


@dataclass(frozen=True)
class ChosenStreets:
    """A forecast on street segments, and those that it ranks first.

    Args:
        count_share: (S,) share of the expected incidents of each segment.
        share: (S,) what is ranked: the same, or with weights the share of the harm.
        rows: segments to choose from: all, or those that touch the requested box.
        chosen: the best of them, best first.
    """

    forecast: Forecast
    streets: LoadedStreets
    shares: StreetShares
    top: float
    count_share: FloatArray
    share: FloatArray
    rows: NDArray[np.int64]
    chosen: NDArray[np.int64]

    @property
    def length_m(self) -> FloatArray:
        """Length (S,) of each segment."""
        return self.streets.length_m

    @once
    def expected_count(self) -> FloatArray:
        """Expected incidents (S,) of each segment."""
        return self.count_share * self.forecast.expected_total


def chosen_streets(forecast: Forecast, reader: StreetReader, top: float) -> ChosenStreets:
    """Choose the segments of a forecast, as long together as `top` percent of the streets; at least one.

    Raises:
        NotFound: the region has no streets.
        InvalidInput: no street touches the box.
    """
    streets, shares = reader.loaded(forecast.plan), reader.shares(forecast.plan)
    rows = np.arange(len(streets.layer))
    if forecast.selector.bbox is not None:
        rows = rows_in_bbox(streets, forecast.selector.bbox)
        if len(rows) == 0:
            raise InvalidInput("no street touches the bbox", field="bbox")
    count_share = share = shares.matrix @ forecast.count_share
    if forecast.harm_total is not None:
        share = shares.matrix @ forecast.probability
    give_way()
    ranking = rows[ranked_segments(share[rows], streets.length_m[rows])]
    # The percentage is of all streets shown, whatever their order.
    n = n_within(streets.length_m[ranking], top)
    return ChosenStreets(forecast, streets, shares, top, count_share, share, rows, ranking[:n])


def rows_in_bbox(streets: LoadedStreets, bbox: Bbox) -> NDArray[np.int64]:
    """Return the segments whose boxes touch a box in degrees; over the 180th meridian west > east."""
    west, south, east, north = bbox
    east = east if west <= east else east + TURN_DEG
    start = streets.layer.start[:-1]
    degrees = streets.layer.degrees
    low = np.minimum.reduceat(degrees, start, axis=0)
    high = np.maximum.reduceat(degrees, start, axis=0)
    touches = np.zeros(len(start), np.bool_)
    for turn in (-TURN_DEG, 0.0, TURN_DEG):
        inside = (high >= (west + turn, south)).all(axis=1)
        touches |= inside & (low <= (east + turn, north)).all(axis=1)
    return np.flatnonzero(touches)
