"""Whom flagged cells fall on: by part of a city, per head, and between groups, with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.base import DAY_S, FloatArray, IntArray

N_RESAMPLES = 1_000
WEEK_S = 7 * DAY_S
LEAST_RATE = 1e-6
"""Of incidents that are reported; what is divided by less overflows."""
_BOUNDS = (0.025, 0.975)


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % bounds."""

    value: float
    lo: float
    hi: float


def incident_shares(
    part: IntArray, time_s: IntArray, n_parts: int, block_s: int = WEEK_S, seed: int = 0
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(P,) shares of the incidents of each part and their 95 % bounds; blocks of time are resampled.

    Args:
        part: (n,) part of each incident.
        time_s: (n,) UTC seconds.
    """
    n_blocks = 1
    block = np.zeros(len(part), np.int64)
    if len(part):
        _, block = np.unique((time_s - time_s.min()) // block_s, return_inverse=True)
        n_blocks = int(block.max()) + 1
    table = np.zeros((n_blocks, n_parts))
    np.add.at(table, (block, part), 1.0)
    total = max(float(table.sum()), 1.0)
    draw = np.random.default_rng(seed).integers(0, n_blocks, (N_RESAMPLES, n_blocks))
    times = np.zeros((N_RESAMPLES, n_blocks))
    np.add.at(times, (np.arange(N_RESAMPLES)[:, None], draw), 1.0)
    counts = times @ table
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
    lo, hi = np.quantile(shares, _BOUNDS, axis=0)
    return table.sum(axis=0) / total, lo, hi


def flagged_fraction(
    flagged: NDArray[Any], part: IntArray, n_parts: int, area_km2: FloatArray
) -> FloatArray:
    """(P,) share of each part's area that is flagged (W, k), averaged over windows."""
    rows = flagged.ravel()
    found = np.bincount(part[rows], weights=area_km2[rows], minlength=n_parts)
    whole = np.bincount(part, weights=area_km2, minlength=n_parts)
    result: FloatArray = found / len(flagged) / np.where(whole > 0, whole, 1.0)
    return result


def group_exposure(
    fraction: FloatArray, people: FloatArray, everyone: FloatArray, seed: int = 0
) -> Mapping[str, Interval | None]:
    """How much of where a group lives is flagged, beside the rest of the population.

    Args:
        fraction: (P,) flagged share of each part.
        people: (P,) members of the group.
        everyone: (P,) residents.

    Returns:
        `exposure` of the group, `others` of the rest, their `ratio`; None where nobody is.
        Intervals resample the parts: few parts say little.
    """
    rng = np.random.default_rng(seed)
    draw = rng.integers(0, len(fraction), (N_RESAMPLES, len(fraction)))
    rest = np.maximum(everyone - people, 0.0)

    def exposure(weight: FloatArray) -> tuple[float, FloatArray]:
        drawn = weight[draw]
        total = drawn.sum(axis=1)
        samples = (drawn * fraction[draw]).sum(axis=1) / np.where(total > 0, total, np.nan)
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
    kept = drawn[np.isfinite(drawn)]
    if len(kept) == 0:
        return Interval(value, value, value)
    lo, hi = np.quantile(kept, _BOUNDS)
    return Interval(value, float(lo), float(hi))


def as_if_reported(probability: FloatArray, part: IntArray, rate: FloatArray) -> FloatArray:
    """(W, N) probabilities if every incident were reported, where parts (P,) report `rate` of them.

    Raises:
        ValueError: a rate is not within [`LEAST_RATE`, 1].
    """
    if not np.all((rate >= LEAST_RATE) & (rate <= 1)):
        raise ValueError(f"reporting rates lie within [{LEAST_RATE:g}, 1]")
    weighed = probability / rate[part]
    result: FloatArray = weighed / weighed.sum(axis=1, keepdims=True)
    return result
