"""Gaussian-process priors over hours of the week and over time, as features of finite rank.

A field that is a sum of `features[w, r] * A[r, place]` with A independent standard normal has the
covariance `features @ features.T` between rows: the leading eigenvectors of a kernel matrix, scaled
by the roots of their eigenvalues, give that kernel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from models.units import HOURS_PER_DAY, N_WINDOWS, SATURDAY, FloatArray

_EQUAL = 1e-9
"""Eigenvalues closer than this share of the largest count as equal."""


def leading_features(covariance: FloatArray, rank: int) -> FloatArray:
    """Return features (W, R) whose products best approximate a covariance (W, W).

    The result is equal on every machine. R is at least `rank` (at most W): eigenvectors of equal
    eigenvalues are taken together, because their order depends on the processor, and their basis is
    fixed by constant directions for the same reason.

    >>> covariance = np.array([[2.0, 1.0], [1.0, 2.0]])
    >>> features = leading_features(covariance, 5)
    >>> bool(np.allclose(features @ features.T, covariance))
    True
    >>> leading_features(np.eye(3), 1).shape
    (3, 3)
    """
    value, vector = np.linalg.eigh(covariance)
    value, vector = np.maximum(value[::-1], 0.0), vector[:, ::-1]
    edges = np.flatnonzero(np.diff(value) < -_EQUAL * value[0]) + 1
    features: list[FloatArray] = []
    for low, high in pairwise([0, *edges.tolist(), len(value)]):
        if low >= rank:
            break
        own = vector[:, low:high]
        features.append(_pinned(own) * np.sqrt(value[low:high].mean()))
    return np.concatenate(features, axis=1)


def _pinned(vectors: FloatArray) -> FloatArray:
    """Return the same orthonormal basis (W, k) for any vectors (W, k) that span the same space."""
    directions = np.random.default_rng(0).standard_normal(vectors.shape)
    basis, triangle = np.linalg.qr(vectors @ (vectors.T @ directions))
    return np.asarray(basis * np.sign(np.diag(triangle)), np.float64)


def day_similarity(like_days: float, other_days: float) -> FloatArray:
    """Return how alike the days of two hours of the week are (168, 168): one on the same day.

    Args:
        like_days: of two weekdays, and of Saturday and Sunday.
        other_days: of a weekday and a weekend day.
    """
    day = np.arange(N_WINDOWS) // HOURS_PER_DAY
    weekend = day >= SATURDAY
    other = np.where(weekend[:, None] == weekend, like_days, other_days)
    return np.where(day[:, None] == day, 1.0, other)


def hour_covariance(length_hours: float, like_days: float, other_days: float) -> FloatArray:
    """Return the prior covariance (168, 168) of the hours of the week around their mean.

    A periodic kernel over the hours of the day (MacKay 1998), times a similarity of days, with the
    mean over the week removed.

    Args:
        length_hours: length scale of the kernel.
        like_days: correlation of two weekdays, and of Saturday and Sunday.
        other_days: correlation of a weekday and a weekend day.
    """
    hour = np.arange(N_WINDOWS) % HOURS_PER_DAY
    angle = np.pi * (hour[:, None] - hour) / HOURS_PER_DAY
    width = 2 * np.pi * length_hours / HOURS_PER_DAY
    kernel = np.exp(-2 * (np.sin(angle) / width) ** 2)
    kernel = kernel * day_similarity(like_days, other_days)
    kernel = kernel - kernel.mean(axis=0)
    return np.asarray(kernel - kernel.mean(axis=1, keepdims=True), np.float64)


def drift_covariance(age_days: FloatArray, scales: Sequence[tuple[float, float]]) -> FloatArray:
    """Return the covariance (K, K) of Ornstein-Uhlenbeck processes at ages (K,).

    Args:
        age_days: ages; negative ones lie in the future.
        scales: (memory in days, variance) of each process.
    """
    apart = np.abs(age_days[:, None] - age_days)
    total = np.zeros_like(apart)
    for memory_days, variance in scales:
        total += variance * np.exp(-apart / memory_days)
    return total


@dataclass(frozen=True)
class HourSettings:
    """Prior of the differences between the hours of the week.

    Args:
        length_hours, like_days, other_days: see `hour_covariance`.
        spread: {knot spacing in metres: standard deviation}.
        half_lives_days: half-lives of the incidents' weights; their fits are averaged on the log scale.
        rank: rank of the prior's features.
    """

    length_hours: float = 2.0
    like_days: float = 0.9
    other_days: float = 0.7
    spread: Mapping[float, float] = field(
        default_factory=lambda: {4000.0: 0.2, 1000.0: 0.2, 500.0: 0.25, 250.0: 0.3}
    )
    half_lives_days: Sequence[float] = (365.0, 2000.0)
    rank: int = 20

    def features(self) -> FloatArray:
        """Return the features (168, R) of the windows."""
        covariance = hour_covariance(self.length_hours, self.like_days, self.other_days)
        return leading_features(covariance, self.rank)


def with_nuisance(features: FloatArray) -> FloatArray:
    """Append a column (W, R + 1) common to all hours.

    It absorbs what belongs to the drift; its field is discarded.
    """
    return np.concatenate([features, np.ones((len(features), 1))], axis=1)


HOURS = HourSettings()
FLOW_HOURS = HourSettings(length_hours=3.0)
"""Of the flow: 3 hours are better than 2 in four cities, a year before the weeks they are tested on."""
