"""Lists of places on a period: one's own, the forecast's best cells, and last year's fullest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.errors import NotFound
from app.core.processes.priority import give_way
from app.forecasts.evaluations.places import Places
from app.forecasts.forecast import Forecast
from app.forecasts.plan import Selector
from app.forecasts.service import ForecastService
from app.forecasts.versions.loaded import LoadedVersion
from models.base import normalised
from models.densities.prior_counts import PRIOR_DAYS, share_of_lone
from models.evaluation.metrics import ranked_rows
from models.evaluation.small_areas import ListScore, best_in_period, first_within, paired_hits
from models.units import DAY_S, HOUR_S, N_WINDOWS

OWN, CHAMPION, PAST = "own", "champion", "prior_counts"
RIVALS = (CHAMPION, PAST)


@dataclass(frozen=True)
class JudgedList:
    """A list on a period: its score, and which of the period's incidents (n,) it caught."""

    score: ListScore
    caught: NDArray[np.bool_]
    about: Mapping[str, Any]


@dataclass(frozen=True)
class KnownIncidents:
    """The incidents to judge on, in order of time, in cells `rows` of the served version."""

    version: LoadedVersion
    x_m: NDArray[Any]
    y_m: NDArray[Any]
    time_s: NDArray[np.int64]
    end_s: NDArray[np.int64]
    rows: NDArray[np.int64]

    def between(self, start_s: int, end_s: int) -> slice:
        """Return the incidents that happened, or began, within a span of time."""
        first, last = np.searchsorted(self.time_s, [start_s, end_s])
        return slice(int(first), int(last))

    def year_before(self, start_s: int) -> NDArray[np.int64]:
        """Return the incidents of the year before a moment that had ended by then."""
        part = self.between(start_s - PRIOR_DAYS * DAY_S, start_s)
        before: NDArray[np.int64] = part.start + np.flatnonzero(self.end_s[part] <= start_s)
        return before


class ListJudge:
    """Judges the places, the champion's best cells and last year's fullest ones on a period."""

    def __init__(
        self,
        service: ForecastService,
        asked: tuple[str | None, tuple[str, ...]],
        known: KnownIncidents,
        places: Places,
    ) -> None:
        self.service, self.known, self.places = service, known, places
        self.model, self.categories = asked
        self.held = places.hold(known.x_m, known.y_m, known.rows)

    def lists(self, start: datetime, end: datetime) -> dict[str, JudgedList]:
        """Return the lists by name; the champion's only where a version was old enough."""
        start_s, end_s = int(start.timestamp()), int(end.timestamp())
        now, past = self.known.between(start_s, end_s), self.known.year_before(start_s)
        grid = self.known.version.grid
        found = {OWN: self._list(self.held[now], self.held[past], self.places.area_km2, {}, now)}
        count = np.bincount(self.known.rows[past], minlength=len(grid)).astype(np.float64)
        fullest = ranked_rows(normalised(count, grid.area_km2, share_of_lone(count)))
        chosen = first_within(fullest, grid.area_km2, self.places.area_km2)
        found[PAST] = self._of_cells(chosen, self.known.version, now, past, {})
        version = self._version(start)
        if version is not None:
            expected, data_until = np.zeros(len(version.grid)), version.data_until
            for forecast in self._forecasts(version, start, end):
                expected += forecast.probability * forecast.expected_total
                data_until = forecast.version.data_until
            best = ranked_rows(expected)
            chosen = first_within(best, version.grid.area_km2, self.places.area_km2)
            about = {"model_version": version.record.version, "data_until": data_until}
            found[CHAMPION] = self._of_cells(chosen, version, now, past, about)
        return found

    def _version(self, start: datetime) -> LoadedVersion | None:
        """Return the newest version whose data ended by then; None where there is none."""
        region_id = self.known.version.region.id
        try:
            return self.service.versions.read(region_id, self.model, start)
        except NotFound:
            return None

    def _forecasts(
        self, version: LoadedVersion, start: datetime, end: datetime
    ) -> Iterator[Forecast]:
        """Yield the forecasts of the period's weeks, by a version in its state at the period's start."""
        selector = Selector(category=self.categories or None, start=start, end=end, as_of=start)
        n_slots = max(1, int((end - start).total_seconds() // HOUR_S))
        for first in range(0, n_slots, N_WINDOWS):  # whole periods would take too much memory
            give_way()
            start_s = int(start.timestamp()) + first * HOUR_S
            n_here = min(N_WINDOWS, n_slots - first)
            stated = self.service.plan_of(version, selector, start_s, n_here)
            yield self.service.forecast_of(stated)

    def _of_cells(
        self,
        chosen: NDArray[np.int64],
        version: LoadedVersion,
        now: slice,
        past: NDArray[np.int64],
        about: Mapping[str, Any],
    ) -> JudgedList:
        """Judge cells of a version's own grid."""
        x_m, y_m, rows = self.known.x_m, self.known.y_m, self.known.rows
        if version.ground is not self.known.version.ground:
            rows = version.grid.locate(x_m, y_m)
        caught = np.isin(rows, chosen)
        area_km2 = float(version.grid.area_km2[chosen].sum())
        about = {**about, "n_cells": len(chosen)}
        return self._list(caught[now], caught[past], area_km2, about, now)

    def _list(
        self,
        caught: NDArray[np.bool_],
        before: NDArray[np.bool_],
        area_km2: float,
        about: Mapping[str, Any],
        now: slice,
    ) -> JudgedList:
        grid = self.known.version.grid
        budget = max(area_km2, self.places.area_km2)
        score = ListScore(
            len(caught),
            float(caught.sum()),
            area_km2,
            float(grid.area_km2.sum()),
            best_in_period(self.known.rows[now], grid.area_km2, budget),
            len(before),
            float(before.sum()),
        )
        return JudgedList(score, caught, about)


def shown_lists(all_lists: Sequence[Mapping[str, JudgedList]]) -> dict[str, Any]:
    """Return the lists of some periods together, and by how much one's own differs from the others.

    A list that some period lacks is None.
    """
    shown: dict[str, Any] = {}
    differences: dict[str, Any] = {}
    for name in (OWN, *RIVALS):
        mine = [lists[name] for lists in all_lists if name in lists]
        if len(mine) < len(all_lists):
            shown[name] = differences[name] = None
            continue
        about = mine[0].about if len(mine) == 1 else {}
        shown[name] = {**joined([one.score for one in mine]).to_json(), **about}
        if name != OWN:
            own = np.concatenate([lists[OWN].caught for lists in all_lists])
            theirs = np.concatenate([one.caught for one in mine])
            only = int((own & ~theirs).sum()), int((theirs & ~own).sum())
            differences[name] = paired_hits(*only)
    return {**shown, "differences": differences}


def joined(scores: Sequence[ListScore]) -> ListScore:
    """Return the score of lists of several periods together; the area is their mean by incidents."""
    weights = [max(one.n, 1) for one in scores]
    return ListScore(
        sum(one.n for one in scores),
        sum(one.hits for one in scores),
        float(np.average([one.area_km2 for one in scores], weights=weights)),
        scores[0].total_km2,
        sum(one.best_hits for one in scores),
        sum(one.past_n or 0 for one in scores),
        sum(one.past_hits or 0.0 for one in scores),
    )
