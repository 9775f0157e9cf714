"""Cells with few incidents told together: what a forecast says of each of them is the same.

Pooling acts on a fitted model's tables, before anything is stored: cells of every size, samples and
scores are worked out from them, so none of these can tell what was pooled.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.base import CategoryDensity, DensityModel, FloatArray, IntArray

Mask = NDArray[np.bool_]


def pool_small_counts(
    model: DensityModel, rows: IntArray, category: NDArray[Any], minimum: int
) -> dict[str, Any] | None:
    """Give the cells with fewer than `minimum` training incidents one density, in every window.

    A window's mass in these cells stays as it is, and so do all other cells. In a category's density
    the cells with few incidents *of the category* are pooled, with the hours: their common mass is
    that of the mean hour. A category that is left without a cell of its own loses its density: it
    goes by the city's.

    Args:
        model: fitted; its tables are replaced.
        rows: (n,) cells of the training incidents.
        category: (n,) their codes.

    Returns:
        Facts for the version's report; None where nothing may be pooled (`minimum` below 2).
    """
    if minimum < 2:
        return None
    n_cells = len(model.area_km2_)
    counts = np.bincount(rows, minlength=n_cells)
    codes = list(model.category_density_)
    own = np.stack([np.bincount(rows[category == c], minlength=n_cells) for c in codes] or [counts])
    city = _with_company(counts < minimum, counts, minimum)
    before = model.probability_
    model.probability_ = _pooled(before, city, model.area_km2_)
    small = _small_of_categories(counts, own, minimum)
    left = {}
    for place, code in enumerate(codes):
        few = _with_company(city | small[place], own[place], minimum)
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


def _with_company(few: Mask, counts: IntArray, minimum: int) -> Mask:
    """(N,) the cells to pool, widened by the next smallest until they hide each other.

    A pool's mass is told: of one cell, or of fewer than `minimum` incidents, it would be what is to
    be hidden.
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
    """(C, N) where a category's count is small, or would tell by subtraction what the others hide.

    Where the categories left over of a cell hold some incidents but fewer than `minimum`, the
    smallest category that is shown is hidden too.
    """
    small: Mask = own < minimum
    for _ in range(len(own)):
        left_over = counts - np.where(small, 0, own).sum(axis=0)
        telling = (left_over > 0) & (left_over < minimum) & ~small.all(axis=0)
        if not telling.any():
            break
        smallest = np.where(small, np.iinfo(own.dtype).max, own).argmin(axis=0)
        small[smallest[telling], np.flatnonzero(telling)] = True
    return small


def _pooled(table: FloatArray, few: Mask, area_km2: FloatArray) -> FloatArray:
    """(W, N) the same mass in the cells `few`, spread by area."""
    result = np.array(table)
    mass = table[:, few].sum(axis=1, keepdims=True, dtype=np.float64)
    result[:, few] = mass * _by_area(few, area_km2)[few]
    return result


def _by_area(few: Mask, area_km2: FloatArray) -> FloatArray:
    """(N,) shares of the pool's mass."""
    inside = np.where(few, area_km2, 0.0)
    result: FloatArray = inside / max(inside.sum(), np.finfo(float).tiny)
    return result


def _pooled_category(
    density: CategoryDensity, table: FloatArray, few: Mask, area_km2: FloatArray
) -> CategoryDensity:
    """The density whose part in the cells `few` is the same at all hours and proportional to area.

    `table` holds the windows' probabilities as they were before pooling.
    """
    following = (1.0 - density.fixed.sum()) / (table @ density.ratio)
    held = (following * (table[:, few] @ density.ratio[few])).mean() + density.fixed[few].sum()
    outside = np.where(few, 0.0, density.fixed)
    mass = min(float(held), 1.0 - float(outside.sum()))
    ratio = np.where(few, 0.0, density.ratio)
    return CategoryDensity(ratio, outside + mass * _by_area(few, area_km2))
