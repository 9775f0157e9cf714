"""Pooling of cells with few incidents: a forecast gives all of them the same density.

Pooling changes a fitted model's tables before they are stored. Cells of other sizes, samples and scores
are all derived from these tables, so none of them can reveal what was pooled.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.base import CategoryDensity, DensityModel
from models.hour_table import times
from models.units import FloatArray, IntArray

Mask = NDArray[np.bool_]


def pool_small_counts(
    model: DensityModel, rows: IntArray, category: NDArray[Any], minimum: int
) -> dict[str, Any] | None:
    """Pool the cells with fewer than `minimum` training incidents, in every window.

    The total mass of these cells and all other cells stay unchanged. In a category's density the cells
    with few incidents *of the category* are pooled over the hours too: their common mass is that of
    the mean hour. A category left without any cell of its own loses its density and uses the city's.

    Args:
        model: fitted model; its tables are replaced.
        rows: (n,) cells of the training incidents.
        category: (n,) their category codes.
        minimum: smallest count that may be shown.

    Returns:
        Facts for the version's report; None when nothing is to be pooled (`minimum` below 2).
    """
    if minimum < 2:
        return None
    n_cells = len(model.area_km2_)
    counts = np.bincount(rows, minlength=n_cells)
    codes = list(model.category_density_)
    own = np.stack([np.bincount(rows[category == c], minlength=n_cells) for c in codes] or [counts])
    city = _widened(counts < minimum, counts, minimum)
    before = model.probability_
    model.probability_ = _pooled(before, city, model.area_km2_)
    if model.band_ is not None:
        model.band_ = model.band_.pooled(city)
    if model.ingredients_ is not None:
        model.ingredients_ = model.ingredients_.changed(
            lambda tables: _pooled(tables, city, model.area_km2_)
        )
    small = _small_of_categories(counts, own, minimum)
    left = {}
    for place, code in enumerate(codes):
        few = _widened(city | small[place], own[place], minimum)
        if not few.all():
            density = model.category_density_[code]
            left[code] = _pooled_category(density, before, few, model.area_km2_)
    model.category_density_ = left
    return {
        "minimum_count": minimum,
        "n_cells": int(city.sum()),
        "share_of_cells": float(city.mean()),
        "share_of_area": float(model.area_km2_[city].sum() / model.area_km2_.sum()),
        "categories_by_the_city": len(codes) - len(left),
    }


def _widened(few: Mask, counts: IntArray, minimum: int) -> Mask:
    """Return the cells to pool (N,), extended by the next smallest until they hide each other.

    The mass of the pool is published; with one cell, or fewer than `minimum` incidents, it would
    reveal what is to be hidden.
    """
    if not few.any():
        return few
    order = np.lexsort((counts, ~few))
    held = np.cumsum(counts[order])
    enough = int(np.searchsorted(held, minimum)) + 1
    wide: Mask = np.zeros(len(few), np.bool_)
    wide[order[: max(int(few.sum()), enough, 2)]] = True
    return wide


def _small_of_categories(counts: IntArray, own: IntArray, minimum: int) -> Mask:
    """Return where (C, N) a category's count is small or would reveal others by subtraction.

    Where the hidden categories of a cell hold some incidents, but fewer than `minimum`, the smallest
    visible category is hidden too.
    """
    small: Mask = own < minimum
    for _ in range(len(own)):
        left_over = counts - np.where(small, 0, own).sum(axis=0)
        revealing = (left_over > 0) & (left_over < minimum) & ~small.all(axis=0)
        if not revealing.any():
            break
        smallest = np.where(small, np.iinfo(own.dtype).max, own).argmin(axis=0)
        small[smallest[revealing], np.flatnonzero(revealing)] = True
    return small


def _pooled(table: FloatArray, few: Mask, area_km2: FloatArray) -> FloatArray:
    """Return the table (W, N) with the mass of the cells `few` spread by area."""
    share, result = _by_area(few, area_km2)[few], np.array(table)
    for row in result:
        row[few] = row[few].sum(dtype=np.float64) * share
    return result


def _by_area(few: Mask, area_km2: FloatArray) -> FloatArray:
    """Return the cells' shares of the pool's mass (N,)."""
    inside = np.where(few, area_km2, 0.0)
    result: FloatArray = inside / max(inside.sum(), np.finfo(float).tiny)
    return result


def _pooled_category(
    density: CategoryDensity, table: FloatArray, few: Mask, area_km2: FloatArray
) -> CategoryDensity:
    """Return the density with the cells `few` constant over hours and proportional to area.

    `table` holds the windows' probabilities before pooling.
    """
    parts = times(table, np.stack([density.ratio, np.where(few, density.ratio, 0.0)], axis=1))
    following = (1.0 - density.fixed.sum()) / parts[:, 0]
    held = (following * parts[:, 1]).mean() + density.fixed[few].sum()
    outside = np.where(few, 0.0, density.fixed)
    mass = min(float(held), 1.0 - float(outside.sum()))
    ratio = np.where(few, 0.0, density.ratio)
    return CategoryDensity(ratio, outside + mass * _by_area(few, area_km2))
