"""Scores of a density forecast on held-out incidents.

Every model is scored on the same cells and incidents. Cells are ranked within each incident's window.
An incident's *mid-rank fraction* is the share of cells ranked above its own, plus half of those tied
with it, including its own: 0 is perfect, 1/2 is chance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.base import Cells, DensityModel
from models.incidents import Incidents
from models.times.intervals import HourShares
from models.units import FloatArray, IntArray

HIT_PERCENTS = (1, 5, 10, 15, 20)
EMPTY_SUMMARY: Mapping[str, Any] = {
    "n": 0, "log_score": None, "cap_auc": None, "hits": {}, "hit_rate": {}, "pai": {}, "pei": {},
}  # fmt: skip
"""Summary without incidents."""
CAP_POINTS = 101


@dataclass(frozen=True)
class ScoredIncidents:
    """Scores of one model, with an entry per test incident (n,).

    `log_density` is in nats per km2; `mid_rank` 0..1; `place` is the 0-based rank of the incident's
    cell, ties by cell id; `pit_values` 0..1 are the probabilities of denser places, with ties at
    random, uniform when the densities are correct; `best_hits` {percent: hits of the best possible
    choice of as many cells per window}; `hit_shares` (n, K) are 1 where the incident's cell is among the
    top k% (columns as `HIT_PERCENTS`), otherwise 0. An incident known as an interval is scored by the
    probability of its place over its whole interval; its ranks and hits are means over its hours, but
    `place` and `pit_values` are those of one hour, drawn by its shares.
    """

    log_density: FloatArray
    mid_rank: FloatArray
    place: IntArray
    pit_values: FloatArray
    hit_shares: FloatArray
    n_cells: int
    best_hits: dict[int, int]

    def __len__(self) -> int:
        return len(self.log_density)


def n_top(n_cells: int, percent: float) -> int:
    """Return the number of top-k% cells: floor(k x N / 100), at least one.

    >>> n_top(250, 1), n_top(40, 1), n_top(200, 0.5)
    (2, 1, 1)
    """
    return max(1, int(np.floor(percent * n_cells / 100 + 1e-9)))


def score_rows(model: DensityModel, cells: Cells, test: Incidents) -> ScoredIncidents:
    """Score a fitted model on the test incidents that lie in a cell."""
    rows = cells.locate(test.x_m, test.y_m)
    known, rows = test.take(rows >= 0), rows[rows >= 0]
    return score_incidents(model, rows, known.window, hours=known.by_hour())


def score_incidents(
    model: DensityModel,
    rows: IntArray,
    window: NDArray[Any],
    category: NDArray[Any] | None = None,
    seed: int = 0,
    hours: HourShares | None = None,
) -> ScoredIncidents:
    """Score a fitted model on incidents in cells `rows` (n,) and windows (n,).

    With `category` (n,), each incident is scored by the table of its category where the model has one;
    ranks are taken in the same table. `seed` breaks ties in `pit_values`.

    Args:
        hours: shares of the hours of incidents known as intervals, whose `window` is one drawn by them; None:
            all times are exact.
    """
    n_cells = model.probability_.shape[1]
    mid_rank, pit_values = np.empty(len(rows)), np.empty(len(rows))
    place = np.empty(len(rows), np.int64)
    drawn = np.random.default_rng(seed).random(len(rows))
    for table, mine in _tables(model, window, category):
        mid_rank[mine], place[mine] = _ranks(table, rows[mine])
        pit_values[mine] = _pit_values(table, model.area_km2_, rows[mine], drawn[mine])
    scored = ScoredIncidents(
        model.log_density(rows, window, category),
        mid_rank,
        place,
        pit_values,
        _hits(place, n_cells),
        n_cells,
        {k: _best_hits(rows, window, n_top(n_cells, k)) for k in HIT_PERCENTS},
    )
    return (
        scored
        if hours is None or hours.is_exact
        else _over_hours(scored, hours, model, rows, category)
    )


def _over_hours(
    scored: ScoredIncidents,
    hours: HourShares,
    model: DensityModel,
    rows: IntArray,
    category: NDArray[Any] | None,
) -> ScoredIncidents:
    """Return scores taken over all hours of incidents known as intervals."""
    kinds = None if category is None else category[hours.incident]
    each = score_incidents(model, rows[hours.incident], hours.window, kinds)
    return replace(
        scored,
        log_density=hours.log_mean_exp(each.log_density),
        mid_rank=hours.mean(each.mid_rank),
        hit_shares=np.stack([hours.mean(column) for column in each.hit_shares.T], axis=1),
    )


def _hits(place: IntArray, n_cells: int) -> FloatArray:
    tops = np.array([n_top(n_cells, k) for k in HIT_PERCENTS])
    return (place[:, None] < tops).astype(np.float64)


def _tables(
    model: DensityModel, window: NDArray[Any], category: NDArray[Any] | None
) -> Iterator[tuple[FloatArray, IntArray]]:
    """Yield each table (N,) that scores some incidents, and the rows of these."""
    code = np.full(len(window), -1, np.int64)
    if category is not None:
        known = np.isin(category, list(model.category_density_))
        code = np.where(known, category.astype(np.int64), -1)
    by_window = len(model.probability_) > 1
    key = window.astype(np.int64) if by_window else np.zeros(len(window), np.int64)
    pairs, group = np.unique(np.stack([key, code], axis=1), axis=0, return_inverse=True)
    order = np.argsort(group.ravel(), kind="stable")
    ends = np.cumsum(np.bincount(group.ravel(), minlength=len(pairs)))
    start = 0
    for (one, kind), end in zip(pairs.tolist(), ends.tolist(), strict=True):
        yield model.cell_probability(one, None if kind < 0 else kind), order[start:end]
        start = end


def ranked_rows(probability: FloatArray) -> IntArray:
    """Return rows (N,) by descending probability, ties by row, which is the order of cell ids."""
    return np.argsort(-probability, kind="stable")


def places_of(order: IntArray) -> IntArray:
    """Return the 0-based place of each row (N,) in an order such as that of `ranked_rows`."""
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    return places


def _ranks(probability: FloatArray, rows: IntArray) -> tuple[FloatArray, IntArray]:
    """Return the mid-rank fraction and the 0-based place of the cells `rows`."""
    order = ranked_rows(probability)
    ascending = probability[order][::-1]
    value = probability[rows]
    better = len(order) - np.searchsorted(ascending, value, side="right")
    worse = np.searchsorted(ascending, value, side="left")
    tied = len(order) - better - worse
    return (better + 0.5 * tied) / len(order), places_of(order)[rows]


def _pit_values(
    probability: FloatArray, area_km2: FloatArray, rows: IntArray, drawn: FloatArray
) -> FloatArray:
    """Return the probability of all denser places, plus a random part of equally dense ones.

    Densities that agree to nine digits count as equal.
    """
    key = np.round(np.log(np.maximum(probability, 1e-300)) - np.log(area_km2), 9)
    _, group = np.unique(-key, return_inverse=True)
    mass = np.bincount(group, weights=probability)
    upto = np.cumsum(mass)
    own = group[rows]
    result: FloatArray = upto[own] - (1.0 - drawn) * mass[own]
    return np.clip(result, 0.0, 1.0)


def _best_hits(rows: IntArray, window: NDArray[Any], n_cells: int) -> int:
    """Count the hits of a perfect forecast: the fullest cells of each window."""
    total = 0
    for one in np.unique(window):
        counts = np.sort(np.bincount(rows[window == one]))[::-1]
        total += int(counts[:n_cells].sum())
    return total


def summarise(scored: ScoredIncidents, share_of_area: Mapping[int, float]) -> dict[str, Any]:
    """Summarise scores.

    Args:
        scored: scores of one model.
        share_of_area: percent -> share of the study area in the top-k% cells, averaged over the
            incidents' windows (not k / 100, because cells at the edge are smaller).

    Returns:
        {"n", "log_score", "cap_auc", "hits", "hit_rate", "pai", "pei"}; the last four by percent.
        Without incidents the scores are None and the tables are empty.
    """
    n = len(scored)
    if n == 0:
        return dict(EMPTY_SUMMARY)
    sums = np.round(scored.hit_shares.sum(axis=0), 3).tolist()
    hits = {k: int(v) if v == int(v) else v for k, v in zip(HIT_PERCENTS, sums, strict=True)}
    return {
        "n": n,
        "log_score": float(scored.log_density.mean()),
        "cap_auc": float(1.0 - scored.mid_rank.mean()),
        "hits": {str(k): v for k, v in hits.items()},
        "hit_rate": {str(k): v / n for k, v in hits.items()},
        "pai": {str(k): hits[k] / n / share_of_area[k] for k in HIT_PERCENTS},
        "pei": {str(k): hits[k] / max(scored.best_hits[k], 1) for k in HIT_PERCENTS},
    }


def area_shares(model: DensityModel, window: NDArray[Any]) -> dict[int, float]:
    """Return the share of the study area in the top-k% cells, averaged over the incidents' windows."""
    area = model.area_km2_ / model.area_km2_.sum()
    counts = np.bincount(window.astype(np.int64) % len(model.probability_))
    totals = dict.fromkeys(HIT_PERCENTS, 0.0)
    for one in np.flatnonzero(counts):
        order = ranked_rows(model.cell_probability(int(one)))
        cumulative = np.cumsum(area[order])
        for k in HIT_PERCENTS:
            totals[k] += counts[one] * float(cumulative[n_top(len(order), k) - 1])
    return {k: v / max(int(counts.sum()), 1) for k, v in totals.items()}


def cap_curve(place: IntArray, n_cells: int, weight: FloatArray | None = None) -> list[float]:
    """Return the share of incidents caught in the best 0, 1, ..., 100 % of the cells (101,).

    Args:
        place: (n,) 0-based rank of each incident's cell.
        n_cells: number of cells.
        weight: (n,) how much each counts; None: all equally.
    """
    edges = np.floor(np.linspace(0, 1, CAP_POINTS) * n_cells + 1e-9).astype(np.int64)
    counts = np.bincount(place, weight, n_cells)
    caught = np.concatenate([[0.0], np.cumsum(counts)])[edges] / max(counts.sum(), 1)
    return [round(float(v), 5) for v in caught]
