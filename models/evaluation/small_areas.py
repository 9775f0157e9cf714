"""How well a list of small places did: hits, PAI, PEI and RRI with intervals.

A list takes `share` of a period's incidents in `area_share` of the study area.

- PAI, the predictive accuracy index, is share / area_share (Chainey, Tompson & Uhlig 2008, "The utility of
  hotspot mapping for predicting spatial patterns of crime").
- PEI, the predictive efficiency index, is hits / the most that cells of the same area could have caught (Hunt
  2016, "Do crime hot spots move?").
- RRI, the recapture rate index, is the share / the list's share of the incidents before the period (Levine
  2008, "The 'hottest' part of a hotspot"): 1 where the places have the same share as before.

The areas are those of the contest of the National Institute of Justice (2017): a quarter, a half and three
quarters of a square mile.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.base import Cells, DensityModel
from models.densities.prior_counts import PRIOR_DAYS
from models.densities.state import mean_over_hours
from models.evaluation.metrics import ranked_rows
from models.evaluation.significance import wilson_interval
from models.incidents import Incidents
from models.units import DAY_S, N_WINDOWS, FloatArray, IntArray
from models.zones.problem import TOLERANCE, best_free

SMALL_AREAS_KM2 = (0.6475, 1.295, 1.9425)
"""A quarter, a half and three quarters of a square mile."""
PERIOD_DAYS = (7, 14, 28, 56, 91)
"""From the start of a test period: a week to three months."""
_Z = 1.959964


@dataclass(frozen=True)
class ListScore:
    """What a list of places caught in a period.

    Args:
        n: incidents of the period in the study area; `hits` of them in the list, in parts where times are
            intervals.
        area_km2: of the list; `total_km2` of the study area.
        best_hits: what the best cells of the same area would have caught.
        past_n, past_hits: the same of the time before the period; None: not known.
    """

    n: int
    hits: float
    area_km2: float
    total_km2: float
    best_hits: float
    past_n: int | None = None
    past_hits: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return counts and indices, with 95 % intervals (`_lo`, `_hi`); None where they are undefined."""
        area_share = self.area_km2 / self.total_km2
        found: dict[str, Any] = {
            "n": self.n,
            "hits": round(self.hits, 3),
            "area_km2": self.area_km2,
            "area_share": area_share,
            "best_hits": round(self.best_hits, 3),
        }
        # All three are the share of the incidents times something that is known.
        scales = {
            "share": 1.0,
            "pai": 1.0 / area_share if area_share > 0 else None,
            "pei": self.n / self.best_hits if self.best_hits > 0 else None,
        }
        lo, hi = wilson_interval(self.hits, self.n)
        for name, scale in scales.items():
            known = scale if self.n else None
            found[name] = None if known is None else known * self.hits / self.n
            found[f"{name}_lo"] = None if known is None else known * lo
            found[f"{name}_hi"] = None if known is None else known * hi
        return {**found, **recapture_rate(self.hits, self.n, self.past_hits, self.past_n)}


def paired_hits(only_first: int, only_second: int) -> dict[str, float]:
    """Return by how many incidents one list caught more than another, with its 95 % interval.

    Args:
        only_first, only_second: incidents that only one of them caught.

    >>> paired_hits(8, 2)["hits"]
    6
    """
    n = only_first + only_second
    lo, hi = wilson_interval(only_first, n) if n else (0.5, 0.5)
    return {"hits": only_first - only_second, "lo": (2 * lo - 1) * n, "hi": (2 * hi - 1) * n}


def recapture_rate(
    hits: float, n: int, past_hits: float | None, past_n: int | None
) -> dict[str, float | None]:
    """Return `rri` with its 95 % interval (Katz et al. 1978: the logarithm of a ratio of shares is normal).

    >>> recapture_rate(10, 100, 40, 200)["rri"]
    0.5
    """
    if not n or not past_n or not past_hits:
        return {"rri": None, "rri_lo": None, "rri_hi": None}
    past_share = past_hits / past_n
    if not hits:  # which has no logarithm
        return {"rri": 0.0, "rri_lo": 0.0, "rri_hi": wilson_interval(0, n)[1] / past_share}
    ratio = hits / n / past_share
    sd = sqrt(max(1 / hits - 1 / n + 1 / past_hits - 1 / past_n, 0.0))
    return {"rri": ratio, "rri_lo": ratio * exp(-_Z * sd), "rri_hi": ratio * exp(_Z * sd)}


def first_within(order: IntArray, area_km2: FloatArray, budget_km2: float) -> IntArray:
    """Return the first cells (k,) of an order whose area together fits the budget, at least one.

    Args:
        order: (N,) rows, best first.
        area_km2: (N,) areas of the cells by row.
    """
    covered = np.cumsum(area_km2[order])
    n = int(np.searchsorted(covered, budget_km2 * (1 + TOLERANCE), side="right"))
    return order[: max(n, 1)]


@dataclass(frozen=True)
class SmallAreaHits:
    """What a model's lists of `SMALL_AREAS_KM2` (A) caught of n test incidents.

    There is a list for all hours (`period`), and one for each hour of the week (`window`), by which the
    incidents of that hour are judged.

    Args:
        period, window: (n, A) 1 in the list, 0 outside; a share where the time is an interval.
        area_km2: (2, A) areas of the lists, those of hours averaged over the incidents.
        past_hits: (2, A) of the `past_n` incidents of the year before.
    """

    period: FloatArray
    window: FloatArray
    area_km2: FloatArray
    past_hits: FloatArray
    past_n: int


def small_area_hits(
    model: DensityModel, cells: Cells, past: Incidents, test: Incidents, cutoff_s: int
) -> SmallAreaHits:
    """Judge a fitted model's lists; `past` are the incidents that it was fitted to.

    Incidents outside all cells are left out, as in `models.evaluation.metrics.score_rows`.
    """
    area_km2 = model.area_km2_
    year = past.since(cutoff_s - PRIOR_DAYS * DAY_S)
    rates = 1.0 + np.bincount(past.window, minlength=N_WINDOWS)
    all_hours = mean_over_hours(model.probability_, rates.astype(np.float64))
    in_period, period_km2 = _lists(all_hours[None, :], area_km2)
    in_window, window_km2 = _lists(model.probability_, area_km2)
    n_windows = len(model.probability_)

    def hits(incidents: Incidents) -> tuple[FloatArray, FloatArray]:
        rows = cells.locate(incidents.x_m, incidents.y_m)
        known, rows = incidents.take(rows >= 0), rows[rows >= 0]
        hours = known.by_hour()
        each = in_window[:, hours.window % n_windows, rows[hours.incident]]
        by_window = [hours.mean(one.astype(np.float64)) for one in each]
        return in_period[:, 0, rows].T.astype(np.float64), np.stack(by_window, axis=1)

    period, window = hits(test)
    before = hits(year)
    in_hour = np.bincount(test.window.astype(np.int64) % n_windows, minlength=n_windows)
    weight = in_hour / in_hour.sum() if len(test) else np.full(n_windows, 1 / n_windows)
    areas = np.stack([period_km2[:, 0], window_km2 @ weight])
    return SmallAreaHits(
        period, window, areas, np.stack([one.sum(axis=0) for one in before]), len(before[0])
    )


def _lists(table: FloatArray, area_km2: FloatArray) -> tuple[NDArray[np.bool_], FloatArray]:
    """Return which cells (A, W, N) the lists of a table (W, N) have, and their areas (A, W)."""
    has = np.zeros((len(SMALL_AREAS_KM2), *table.shape), np.bool_)
    covered = np.empty(has.shape[:2])
    for hour, probability in enumerate(table):
        order = ranked_rows(probability)
        for place, budget_km2 in enumerate(SMALL_AREAS_KM2):
            rows = first_within(order, area_km2, budget_km2)
            has[place, hour, rows] = True
            covered[place, hour] = area_km2[rows].sum()
    return has, covered


def best_in_period(rows: IntArray, area_km2: FloatArray, budget_km2: float) -> float:
    """Return an upper bound of the incidents (in cells `rows`) that cells of some area hold."""
    count = np.bincount(rows, minlength=len(area_km2)).astype(np.float64)
    return best_free(count, area_km2, max(budget_km2, float(area_km2.min())))


def best_by_window(
    rows: IntArray, window: NDArray[Any], area_km2: FloatArray, budget_km2: float
) -> float:
    """Return the same bound where each hour of the week has cells of its own."""
    return sum(
        best_in_period(rows[window == one], area_km2, budget_km2) for one in np.unique(window)
    )
