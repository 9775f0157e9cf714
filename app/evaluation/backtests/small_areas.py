"""A backtest's lists of small areas: hits, PAI, PEI and RRI, by period and by hour of the week."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.evaluation.backtests.checkpoints import Protocol, TaskResult
from app.geo.grid import Grid
from models.densities.prior_counts import PRIOR_DAYS
from models.evaluation.significance import paired_difference
from models.evaluation.small_areas import (
    PERIOD_DAYS,
    SMALL_AREAS_KM2,
    ListScore,
    SmallAreaHits,
    best_by_window,
    best_in_period,
)
from models.incidents import Incidents
from models.units import DAY_S, FloatArray

RIVAL = "prior-counts"


def small_areas_json(
    by_model: Mapping[str, Sequence[TaskResult]],
    tests: Sequence[Incidents],
    grid: Grid,
    protocol: Protocol,
) -> dict[str, Any]:
    """Return for each model and area the scores of its lists, all origins together.

    `periods`: one list for all hours, judged on the first days after each origin. `windows`: a list for each
    hour of the week, judged on the whole test periods. `difference` is in hits, minus those of
    `prior-counts`. Where test periods end at releases, they are not cut into parts, and recapture rates,
    which would count the incidents of other days, are left out.
    """
    whole = protocol.horizon_days
    parts = [days for days in PERIOD_DAYS if days < whole and not protocol.bounds_s]
    known = {
        name: [(task, task.small_areas) for task in tasks if task.small_areas is not None]
        for name, tasks in by_model.items()
    }
    judge = _Judge(tests, grid, protocol)
    return {
        "areas_km2": list(SMALL_AREAS_KM2),
        "past_days": PRIOR_DAYS,
        "models": {
            name: {
                "periods": [
                    {"days": days, **judge.score(hits, known.get(RIVAL), place, days)}
                    for days in (*parts, whole)
                    for place in range(len(SMALL_AREAS_KM2))
                ],
                "windows": [
                    judge.score(hits, known.get(RIVAL), place, None)
                    for place in range(len(SMALL_AREAS_KM2))
                ],
            }
            for name, tasks in known.items()
            if (hits := [found for _, found in tasks])
        },
    }


class _Judge:
    """Scores of lists over all origins, on the incidents of the test periods."""

    def __init__(self, tests: Sequence[Incidents], grid: Grid, protocol: Protocol) -> None:
        self.tests, self.grid, self.protocol = tests, grid, protocol
        self.rows = [grid.locate(test.x_m, test.y_m) for test in tests]
        self.total_km2 = float(grid.area_km2.sum())
        self.best: dict[tuple[int, int | None], float] = {}

    def score(
        self,
        found: Sequence[SmallAreaHits],
        rival: Sequence[tuple[TaskResult, SmallAreaHits]] | None,
        place: int,
        days: int | None,
    ) -> dict[str, Any]:
        """Score the lists of one area; `days` after each origin, or None: lists by hour of the week."""
        kind = 1 if days is None else 0
        chosen = [self._within(k, days) for k in range(len(self.tests))]
        hits = self._hits(found, place, days, chosen)
        n = len(hits)
        areas = [one.area_km2[kind, place] for one in found]
        weights = [max(int(c.sum()), 1) for c in chosen]
        exact = not self.protocol.bounds_s
        scored = ListScore(
            n,
            float(hits.sum()),
            float(np.average(areas, weights=weights)),
            self.total_km2,
            self._best(place, days, chosen),
            sum(one.past_n for one in found) if exact else None,
            float(sum(one.past_hits[kind, place] for one in found)) if exact else None,
        )
        result = {"budget_km2": SMALL_AREAS_KM2[place], **scored.to_json()}
        if rival is not None:
            theirs = self._hits([one for _, one in rival], place, days, chosen)
            time_s = np.concatenate([t.time_s[c] for t, c in zip(self.tests, chosen, strict=True)])
            gap = paired_difference(hits, theirs, time_s, self.protocol.seed, DAY_S)
            result["difference"] = {
                "hits": n * gap.mean,
                "lo": n * gap.lo,
                "hi": n * gap.hi,
            }
        return result

    def _within(self, k: int, days: int | None) -> NDArray[np.bool_]:
        start_s = self.protocol.origins_s[k]
        end_s = self.protocol.end_of(start_s) if days is None else start_s + days * DAY_S
        return self.tests[k].time_s < end_s

    @staticmethod
    def _hits(
        found: Sequence[SmallAreaHits],
        place: int,
        days: int | None,
        chosen: Sequence[NDArray[np.bool_]],
    ) -> FloatArray:
        tables = [one.window if days is None else one.period for one in found]
        return np.concatenate([t[c, place] for t, c in zip(tables, chosen, strict=True)])

    def _best(self, place: int, days: int | None, chosen: Sequence[NDArray[np.bool_]]) -> float:
        """Return the most that cells of the area hold, once for all models."""
        if (place, days) not in self.best:
            area_km2, budget = self.grid.area_km2, SMALL_AREAS_KM2[place]
            total = 0.0
            for test, rows, mine in zip(self.tests, self.rows, chosen, strict=True):
                if days is None:
                    total += best_by_window(rows[mine], test.window[mine], area_km2, budget)
                else:
                    total += best_in_period(rows[mine], area_km2, budget)
            self.best[place, days] = total
        return self.best[place, days]
