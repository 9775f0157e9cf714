"""Whether another zone is worth more than a former one beyond what the forecast may be off by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from models.units import FloatArray, IntArray

N_DRAWS = 4_000
TAIL = 0.05
"""Of each side: the interval of the ratio holds 90 %."""
TINY = 1e-12
PRIOR_COUNT = 0.5
"""Jeffreys' prior of a rate: a count of nothing leaves it uncertain."""


class Gain(NamedTuple):
    """Expected count of a new zone over that of the old one, with its 90 % interval."""

    ratio: float
    lo: float
    hi: float

    @property
    def is_beyond_chance(self) -> bool:
        """Whether the new zone is worth more at the interval's lower end."""
        return self.lo > 1.0


@dataclass(frozen=True)
class Uncertainty:
    """How far the expected counts of cells may be off.

    Args:
        mean: (N,) expected counts.
        log_variance: (N,) of their logarithms, where the model knows it; the cells of a zone are off
            together.
        n_counted: otherwise, rates are as uncertain as if counted over so many times the hours of `mean`.
    """

    mean: FloatArray
    log_variance: FloatArray | None
    n_counted: float

    def draws(self, rows: IntArray, random: np.random.Generator) -> FloatArray:
        """Draw the rate of some cells together (N_DRAWS,) from a Gamma distribution of that mean."""
        mean = float(self.mean[rows].sum())
        if mean <= 0:
            return np.zeros(N_DRAWS)
        if self.log_variance is None:
            shape = PRIOR_COUNT + mean * self.n_counted
        else:
            variance = float(np.average(self.log_variance[rows], weights=self.mean[rows]))
            shape = 1.0 / max(np.expm1(variance), 1e-9)
        drawn: FloatArray = random.gamma(shape, mean / shape, N_DRAWS)
        return drawn


def gain_of(new: IntArray, old: IntArray, uncertainty: Uncertainty) -> Gain:
    """Compare two zones, rows of cells; cells of both are drawn once and cancel out.

    Equal requests have equal answers: the draws do not depend on anything else.
    """
    random = np.random.default_rng(0)
    both = np.intersect1d(new, old)
    shared, won, lost = (
        uncertainty.draws(rows, random)
        for rows in (both, np.setdiff1d(new, old), np.setdiff1d(old, new))
    )
    lo, hi = np.quantile((shared + won + TINY) / (shared + lost + TINY), [TAIL, 1 - TAIL])
    mean = uncertainty.mean
    ratio = (mean[new].sum() + TINY) / (mean[old].sum() + TINY)
    return Gain(float(ratio), float(lo), float(hi))


def paired(
    old: list[IntArray], new: list[IntArray], mean: FloatArray, place_m: FloatArray
) -> dict[int, int]:
    """Return {place of an old zone: place of the new one for it}: most in common first, then nearest."""
    if not old or not new:
        return {}
    common = np.array([[mean[np.intersect1d(a, b)].sum() for b in new] for a in old])
    middle_old, middle_new = (
        np.array([place_m[zone].mean(axis=0) for zone in zones]) for zones in (old, new)
    )
    apart_m = np.hypot(*(middle_old[:, None] - middle_new[None]).transpose(2, 0, 1))
    # However far apart, distance only decides where zones have no cell in common.
    near = (
        apart_m / (1 + apart_m.max()) / len(old) * max(common[common > 0].min(initial=1.0), 1e-12)
    )
    pairs = zip(*linear_sum_assignment(near - common), strict=True)
    return {int(one): int(other) for one, other in pairs}
