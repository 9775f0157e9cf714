"""Fairness of flagged cells: by neighbourhood, per head and between groups, with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.evaluation.bootstrap import (
    BOUNDS,
    draw_blocks,
    interval,
    resampled_counts,
    resampled_means,
    time_blocks,
)
from models.units import WEEK_S, FloatArray, IntArray

N_RESAMPLES = 1_000
MIN_RATE = 1e-6
"""Smallest reporting rate; dividing by less overflows."""


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % bounds."""

    value: float
    lo: float
    hi: float


def incident_shares(
    part: IntArray, time_s: IntArray, n_parts: int, block_s: int = WEEK_S, seed: int = 0
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the shares of incidents in each part (P,) and their 95 % bounds by block bootstrap.

    Args:
        part: (n,) part of each incident.
        time_s: (n,) UTC seconds.
    """
    block = time_blocks(time_s, block_s)
    table = np.zeros((int(block.max(initial=0)) + 1, n_parts))
    np.add.at(table, (block, part), 1.0)
    total = max(float(table.sum()), 1.0)
    draw = draw_blocks(np.random.default_rng(seed), len(table), N_RESAMPLES)
    counts = resampled_counts(table, draw)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
    lo, hi = np.quantile(shares, BOUNDS, axis=0)
    return table.sum(axis=0) / total, lo, hi


def flagged_fraction(
    flagged: NDArray[Any], part: IntArray, n_parts: int, area_km2: FloatArray
) -> FloatArray:
    """Return the flagged (W, k) share of each part's area (P,), averaged over windows."""
    rows = flagged.ravel()
    found = np.bincount(part[rows], weights=area_km2[rows], minlength=n_parts)
    whole = np.bincount(part, weights=area_km2, minlength=n_parts)
    result: FloatArray = found / len(flagged) / np.where(whole > 0, whole, 1.0)
    return result


def group_exposure(
    fraction: FloatArray, people: FloatArray, everyone: FloatArray, seed: int = 0
) -> Mapping[str, Interval | None]:
    """Compare the flagged share of where a group lives with that of the rest of the population.

    Args:
        fraction: (P,) flagged share of each part.
        people: (P,) members of the group.
        everyone: (P,) residents.

    Returns:
        `exposure` of the group, `others` of the rest, and their `ratio`; None for empty groups.
        Intervals resample the parts.
    """
    rng = np.random.default_rng(seed)
    draw = draw_blocks(rng, len(fraction), N_RESAMPLES)
    rest = np.maximum(everyone - people, 0.0)

    def exposure(weight: FloatArray) -> tuple[float, FloatArray]:
        samples = resampled_means(weight * fraction, weight, draw)
        return float((weight * fraction).sum() / max(float(weight.sum()), 1e-12)), samples

    mine, mine_drawn = exposure(people)
    other, other_drawn = exposure(rest)
    known = people.sum() > 0 and rest.sum() > 0 and other > 0
    ratios = mine_drawn / np.where(other_drawn > 0, other_drawn, np.nan)
    return {
        "exposure": _interval(mine, mine_drawn) if people.sum() > 0 else None,
        "others": _interval(other, other_drawn) if rest.sum() > 0 else None,
        "ratio": _interval(mine / other, ratios) if known else None,
    }


def _interval(value: float, drawn: FloatArray) -> Interval:
    finite = drawn[np.isfinite(drawn)]
    return Interval(value, *(interval(finite) if len(finite) else (value, value)))


def as_if_reported(probability: FloatArray, part: IntArray, rate: FloatArray) -> FloatArray:
    """Return probabilities (W, N) if every incident were reported, given reporting rates (P,).

    Raises:
        ValueError: a rate is not within [`MIN_RATE`, 1].
    """
    if not np.all((rate >= MIN_RATE) & (rate <= 1)):
        raise ValueError(
            f"reporting rates must lie within [{MIN_RATE:g}, 1], got {rate.min():g} to {rate.max():g}"
        )
    weighed = probability / rate[part]
    result: FloatArray = weighed / weighed.sum(axis=1, keepdims=True)
    return result
