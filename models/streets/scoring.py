"""Score forecasts on streets as cells are scored: hits at equal length of street."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.streets.ranking import hits_at
from models.streets.shares import Ground, Snapped, choose_bandwidth, street_shares
from models.units import DAY_S, FloatArray, IntArray

YEAR_S = 365 * DAY_S
PERCENTS = (1.0, 2.0, 5.0, 10.0, 20.0)
BY_HOUR, ALL_HOURS, EVEN, COUNTS = "by hour", "all hours", "even", "counts"


@dataclass(frozen=True)
class StreetScore:
    """Hits of one origin.

    Args:
        hits: {ranking: incidents on the best percentage of the streets' length, in order of the percentages}.
            `by hour`: each incident is judged by its hour's own list; `all hours`: one list for all;
            `even`: one list of the same cells, shared among their streets by length; `counts`: segments by
            their incidents of the year before.
        n: incidents of the test that lie on streets.
        bandwidth_m: chosen on weeks before the origin.
    """

    hits: dict[str, tuple[float, ...]]
    n: int
    bandwidth_m: float


def score_streets(
    ground: Ground,
    known: Snapped,
    origin_s: int,
    test: Snapped,
    window: IntArray,
    tables: FloatArray,
    percents: Sequence[float] = PERCENTS,
) -> StreetScore:
    """Score a density on streets, and its rivals, at one origin.

    Args:
        ground: the streets over the cells.
        known: incidents; only those before the origin are used.
        origin_s: the instant that separates training from test.
        test: incidents after it.
        window: (n,) hour of the week of each of the test's.
        tables: (W, N) probabilities of cells, W = 1 or 168, fitted on what came before the origin.
    """
    past = known.between(-np.inf, origin_s)
    bandwidth_m = choose_bandwidth(ground, past, origin_s)
    length_m = ground.network.length_m
    segment = ground.lixels.segment[test.lixel]
    n_segments = len(ground.network)
    shares = street_shares(ground, past, bandwidth_m)
    weight = np.bincount(window, minlength=len(tables)) if len(tables) > 1 else np.ones(1)
    together = np.average(tables, axis=0, weights=weight + 1e-9)
    year = past.between(origin_s - YEAR_S, origin_s)
    counts = np.bincount(ground.lixels.segment[year.lixel], minlength=n_segments)
    single = {
        ALL_HOURS: shares @ together,
        EVEN: street_shares(ground, past.between(0, 0), bandwidth_m) @ together,
        COUNTS: counts.astype(np.float64),
    }
    happened = np.bincount(segment, minlength=n_segments).astype(np.float64)
    hits = {
        name: tuple(hits_at(expected, length_m, happened, percent) for percent in percents)
        for name, expected in single.items()
    }
    by_hour = np.zeros(len(percents))
    for hour in np.unique(window).tolist():
        mine = np.bincount(segment[window == hour], minlength=n_segments).astype(np.float64)
        expected = shares @ tables[hour % len(tables)]
        by_hour += [hits_at(expected, length_m, mine, percent) for percent in percents]
    return StreetScore({BY_HOUR: tuple(by_hour.tolist()), **hits}, len(test), bandwidth_m)
