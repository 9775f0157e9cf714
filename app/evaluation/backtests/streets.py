"""A backtest's lists of streets: what each model's best segments of equal length caught, and their rivals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from app.evaluation.backtests.checkpoints import Protocol, TaskResult
from app.geo.grid import Grid
from app.streets.layer import StreetLayer
from app.streets.snapping import StreetGround
from models.base import FitCancelled
from models.densities.prior_counts import PRIOR_DAYS
from models.evaluation.significance import block_seconds, paired_difference, wilson_interval
from models.incidents import Incidents
from models.streets.ranking import M_PER_KM
from models.streets.scoring import ALL_HOURS, BY_HOUR, CELLS, COUNTS, PERCENTS, StreetTest
from models.streets.shares import Snapped, length_shares
from models.units import FloatArray, IntArray

HIT_DECIMALS = 3


@dataclass(frozen=True)
class StreetTests:
    """A region's streets as they were when a backtest started.

    Args:
        digest: of the layer; `minimum` of incidents that a segment needs for a share of its own.
        n_segments, length_km: of the layer.
        by_origin: {origin (UTC seconds): what is the same for all models}.
    """

    digest: str
    minimum: int
    n_segments: int
    length_km: float
    by_origin: Mapping[int, StreetTest]

    @property
    def key(self) -> str:
        """What scores on these streets depend on, beside incidents, cells and protocol."""
        return f"{self.digest} {self.minimum}"


def street_tests(
    layer: StreetLayer,
    digest: str,
    grid: Grid,
    incidents: Incidents,
    protocol: Protocol,
    minimum: int,
    cancelled: Callable[[], bool] = lambda: False,
) -> StreetTests:
    """Snap all incidents to the streets, and learn the shares of cells at each origin.

    Args:
        digest: of the layer.
        minimum: in each cell, segments of fewer incidents share theirs by length, as in forecasts.

    Raises:
        FitCancelled: the caller asked to stop.
    """
    streets = StreetGround(layer.network(grid.crs), grid)
    x_m, y_m = incidents.x_m.astype(np.float64), incidents.y_m.astype(np.float64)
    lixel, cell = streets.lixel_of(x_m, y_m), grid.locate(x_m, y_m)
    # Their row stands in place of the category, so that the past is what a fit's past is.
    numbered = replace(incidents, category=np.arange(len(incidents), dtype=np.int32))
    by_length = length_shares(streets.ground)

    def at(origin_s: int) -> StreetTest:
        if cancelled():
            raise FitCancelled("backtest cancelled")
        cutoff_s = protocol.cutoff_of(origin_s)
        past = numbered.before(cutoff_s).known_at(origin_s).category
        past = past[(lixel[past] >= 0) & (cell[past] >= 0)]
        test = protocol.held_out(numbered, origin_s).category
        known = Snapped(lixel[past], cell[past], incidents.time_s[past])
        tested = lixel[test[cell[test] >= 0]]
        return StreetTest.of(streets.ground, by_length, known, cutoff_s, tested, minimum)

    length_km = float(layer.length_m.sum()) / M_PER_KM
    by_origin = {origin_s: at(origin_s) for origin_s in protocol.origins_s}
    return StreetTests(digest, minimum, len(layer), length_km, by_origin)


def streets_json(
    results: Sequence[TaskResult],
    incidents: Incidents,
    grid: Grid,
    protocol: Protocol,
    streets: StreetTests,
) -> dict[str, Any]:
    """Return what lists of streets caught of all test incidents, over all origins, of the first seed.

    `all_hours`: a model's one list for all hours; `by_hour`: its list of each incident's hour; `cells`: its
    cells, shared among their streets by length alone; `counts`: last year's counts. Incidents far from every
    street are caught by none. Where test periods end at releases, incidents count as whole ones, and it is
    not said how many lie far from every street: both would show single ones.
    """
    scored = {
        name: [
            one.streets
            for one in results
            if one.streets and (one.task.model, one.task.seed) == (name, protocol.seed)
        ]
        for name in protocol.models
    }
    tests = [protocol.held_out(incidents, origin_s) for origin_s in protocol.origins_s]
    tests = [test.take(grid.locate(test.x_m, test.y_m) >= 0) for test in tests]
    judge = _Judge(np.concatenate([test.time_s for test in tests]), protocol)
    at = [streets.by_origin[origin_s] for origin_s in protocol.origins_s]
    n_far = sum(int((one.segment < 0).sum()) for one in at)
    joined = {
        name: {kind: np.concatenate([one[kind] for one in parts]) for kind in parts[0]}
        for name, parts in scored.items()
    }
    counts = next(iter(joined.values()))[COUNTS]
    return {
        "layer": streets.digest,
        "n_segments": streets.n_segments,
        "length_km": streets.length_km,
        "percents": list(PERCENTS),
        "past_days": PRIOR_DAYS,
        "bandwidth_m": [one.bandwidth_m for one in at],
        "n": len(judge.time_s),
        "n_off_streets": None if protocol.bounds_s else n_far,
        "counts": judge.rows(counts, {}),
        "models": {
            name: {
                ALL_HOURS: judge.rows(found[ALL_HOURS], {COUNTS: counts, CELLS: found[CELLS]}),
                BY_HOUR: judge.rows(found[BY_HOUR], {COUNTS: counts}),
                CELLS: judge.rows(found[CELLS], {}),
            }
            for name, found in joined.items()
        },
    }


class _Judge:
    """Sums of hits with intervals, and paired differences."""

    def __init__(self, time_s: IntArray, protocol: Protocol) -> None:
        self.time_s = time_s
        self.seed = protocol.seed
        self.decimals = 0 if protocol.bounds_s else HIT_DECIMALS

    def rows(self, parts: FloatArray, rivals: Mapping[str, FloatArray]) -> list[dict[str, Any]]:
        """Return a row for each percentage of the length.

        Args:
            parts: (n, K) part of each incident that a list caught.
            rivals: the same of the lists to compare with.
        """
        return [self._row(parts[:, k], k, rivals) for k in range(len(PERCENTS))]

    def _row(
        self, parts: FloatArray, column: int, rivals: Mapping[str, FloatArray]
    ) -> dict[str, Any]:
        n = len(parts)
        hits = round(float(parts.sum()), self.decimals)
        lo, hi = wilson_interval(hits, n)
        found: dict[str, Any] = {"percent": PERCENTS[column], "hits": hits}
        found |= {"share": hits / n, "share_lo": lo, "share_hi": hi} if n else {}
        for name, theirs in rivals.items():
            gap = paired_difference(
                parts, theirs[:, column], self.time_s, self.seed, block_seconds(self.time_s)
            )
            ends = {"hits": gap.mean, "lo": gap.lo, "hi": gap.hi}
            found.setdefault("differences", {})[name] = {
                end: round(n * value, self.decimals) for end, value in ends.items()
            }
        return found
