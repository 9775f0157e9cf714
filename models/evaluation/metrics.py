"""Scores of a density forecast on incidents it has not seen.

All scores are taken on the same cells and the same incidents for every model. Cells are ranked
within each incident's own window. An incident's *mid-rank fraction* is the share of cells ranked
better than its own, plus half of those tied with it (itself included): 0 would be perfect, 1/2 is
chance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.base import Cells, DensityModel, FloatArray, Incidents, IntArray

HIT_PERCENTS = (1, 5, 10, 15, 20)
EMPTY_SUMMARY: Mapping[str, Any] = {
    "n": 0, "log_score": None, "cap_auc": None, "hits": {}, "hit_rate": {}, "pai": {}, "pei": {},
}  # fmt: skip
"""Of no incidents."""
CAP_POINTS = 101


@dataclass(frozen=True)
class ScoredIncidents:
    """One model's scores, an entry per test incident (n,).

    `log_density` nats per km2; `mid_rank` 0..1; `place` 0-based rank of the incident's cell, ties
    by cell id; `promised` 0..1: probability of the places denser than the incident's, those as
    dense entered at random, uniform when the densities are right; `best_hits` {percent: hits that
    the best choice of as many cells per window would have}.
    """

    log_density: FloatArray
    mid_rank: FloatArray
    place: IntArray
    promised: FloatArray
    n_cells: int
    best_hits: dict[int, int]

    def __len__(self) -> int:
        return len(self.log_density)


def n_top(n_cells: int, percent: float) -> int:
    """Number of cells that are the top k%: floor(k x N / 100), at least one.

    >>> n_top(250, 1), n_top(40, 1), n_top(200, 0.5)
    (2, 1, 1)
    """
    return max(1, int(np.floor(percent * n_cells / 100 + 1e-9)))


def score_rows(model: DensityModel, cells: Cells, test: Incidents) -> ScoredIncidents:
    """Score a fitted model on those test incidents that lie in a cell."""
    rows = cells.locate(test.x_m, test.y_m)
    inside = rows >= 0
    return score_incidents(model, rows[inside], test.window[inside])


def score_incidents(
    model: DensityModel,
    rows: IntArray,
    window: NDArray[Any],
    category: NDArray[Any] | None = None,
    seed: int = 0,
) -> ScoredIncidents:
    """Score a fitted model on incidents in cells `rows` (n,) and windows (n,).

    With `category` (n,) each incident meets its own category's table where the model has one; ranks
    are always those of the table that gives the density. `seed` enters cells in `promised`.
    """
    n_cells = model.probability_.shape[1]
    mid_rank, promised = np.empty(len(rows)), np.empty(len(rows))
    place = np.empty(len(rows), np.int64)
    entered = np.random.default_rng(seed).random(len(rows))
    for table, mine in _tables(model, window, category):
        mid_rank[mine], place[mine] = _ranks(table, rows[mine])
        promised[mine] = _promised(table, model.area_km2_, rows[mine], entered[mine])
    return ScoredIncidents(
        model.log_density(rows, window, category),
        mid_rank,
        place,
        promised,
        n_cells,
        {k: _best_hits(rows, window, n_top(n_cells, k)) for k in HIT_PERCENTS},
    )


def _tables(
    model: DensityModel, window: NDArray[Any], category: NDArray[Any] | None
) -> Iterator[tuple[FloatArray, IntArray]]:
    """Each (N,) table that some incident meets, and those incidents."""
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


def _ranks(probability: FloatArray, rows: IntArray) -> tuple[FloatArray, IntArray]:
    """Mid-rank fraction and 0-based place (ties by cell id) of the cells `rows`."""
    order = np.argsort(-probability, kind="stable")
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    ascending = probability[order][::-1]
    value = probability[rows]
    better = len(order) - np.searchsorted(ascending, value, side="right")
    worse = np.searchsorted(ascending, value, side="left")
    tied = len(order) - better - worse
    return (better + 0.5 * tied) / len(order), places[rows]


def _promised(
    probability: FloatArray, area_km2: FloatArray, rows: IntArray, entered: FloatArray
) -> FloatArray:
    """Probability of all denser places, plus a random part of those as dense (the own cell among
    them). Densities that agree to nine digits count as equal.
    """
    key = np.round(np.log(np.maximum(probability, 1e-300)) - np.log(area_km2), 9)
    _, group = np.unique(-key, return_inverse=True)
    mass = np.bincount(group, weights=probability)
    upto = np.cumsum(mass)
    own = group[rows]
    result: FloatArray = upto[own] - (1.0 - entered) * mass[own]
    return np.clip(result, 0.0, 1.0)


def _best_hits(rows: IntArray, window: NDArray[Any], n_cells: int) -> int:
    """Hits of a forecast that knew the future: the fullest cells of each window."""
    total = 0
    for one in np.unique(window):
        counts = np.sort(np.bincount(rows[window == one]))[::-1]
        total += int(counts[:n_cells].sum())
    return total


def summarise(scored: ScoredIncidents, share_of_area: Mapping[int, float]) -> dict[str, Any]:
    """The contract's figures.

    Args:
        share_of_area: percent -> share of the study area that the top-k% cells cover, averaged over
            the incidents' windows (cells at the edge are smaller, so it is not k / 100).

    Returns:
        {"n", "log_score", "cap_auc", "hits", "hit_rate", "pai", "pei"}; the last four by percent.
        Without incidents the scores are None and the tables empty.
    """
    n = len(scored)
    if n == 0:
        return dict(EMPTY_SUMMARY)
    hits = {k: int((scored.place < n_top(scored.n_cells, k)).sum()) for k in HIT_PERCENTS}
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
    """Share of the study area in the top-k% cells, averaged over the windows of the incidents."""
    area = model.area_km2_ / model.area_km2_.sum()
    counts = np.bincount(window.astype(np.int64) % len(model.probability_))
    totals = dict.fromkeys(HIT_PERCENTS, 0.0)
    for one in np.flatnonzero(counts):
        order = np.argsort(-model.cell_probability(int(one)), kind="stable")
        cumulative = np.cumsum(area[order])
        for k in HIT_PERCENTS:
            totals[k] += counts[one] * float(cumulative[n_top(len(order), k) - 1])
    return {k: v / max(int(counts.sum()), 1) for k, v in totals.items()}


def cap_curve(scored: ScoredIncidents) -> FloatArray:
    """(101,) share of incidents caught at 0, 1, ..., 100 % of the cells, best first."""
    edges = np.linspace(0, 1, CAP_POINTS) * scored.n_cells
    caught = np.searchsorted(np.sort(scored.place), np.floor(edges + 1e-9), side="left")
    return caught / max(len(scored), 1)
