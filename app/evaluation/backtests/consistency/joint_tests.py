"""S- and CL-test of a fit: what they read, the same for all models, and what they find."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.evaluation.consistency import (
    Clustering,
    CountErrors,
    JointForecast,
    Outcome,
    as_observed,
    likelihood_tests,
)
from models.units import FloatArray, IntArray


@dataclass(frozen=True)
class JointOutcome:
    """S- and CL-test of n incidents."""

    n: int
    space: Outcome
    joint: Outcome

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> JointOutcome:
        """Return what `asdict` was made of."""
        return cls(stored["n"], Outcome(**stored["space"]), Outcome(**stored["joint"]))


@dataclass(frozen=True)
class JointTest:
    """What is known at an origin of the hours and the clustering of its test period.

    Args:
        mean, window, time_s: (K,) of its delivered hours; see `JointForecast`.
        n_before: earlier periods on which the clustering was estimated; 0: it is `INDEPENDENT`.
    """

    mean: FloatArray
    window: IntArray
    time_s: IntArray
    errors: CountErrors
    clustering: Clustering
    n_before: int

    def outcome(
        self, probability: FloatArray, cell: IntArray, time_s: IntArray, seed: int
    ) -> JointOutcome:
        """Test a fit's table (168 or 1, N) on the incidents (n,) of the period."""
        forecast = JointForecast(self.mean, self.window, self.time_s, probability, self.errors)
        observed, _ = as_observed(cell, time_s, self.time_s)
        found = likelihood_tests(forecast, observed, self.clustering, seed)
        return JointOutcome(len(observed), *found)


@dataclass(frozen=True)
class JointTests:
    """The tests of a backtest by origin (UTC seconds)."""

    by_origin: Mapping[int, JointTest]

    @property
    def key(self) -> str:
        """SHA-256 (hex) of all that the tests read."""
        digest = hashlib.sha256()
        for origin_s, one in self.by_origin.items():
            digest.update(repr((origin_s, one.errors, one.clustering, one.n_before)).encode())
            for array in (one.mean, one.window, one.time_s):
                digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()
