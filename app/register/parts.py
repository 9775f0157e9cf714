"""What is filed of a day, packed: the forecast and last year's counts, each bound by a digest.

A part is 32 random bytes and compressed tensors (safetensors). Without the random bytes, whoever knew all
incidents but one could try out from the digest, which is permanent, where that one happened.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from app.core.errors import Conflict
from models.base import normalised
from models.densities.prior_counts import share_of_lone
from models.evaluation.metrics import n_top, ranked_rows
from models.units import FloatArray, IntArray

SALT_BYTES = 32
STEP_NATS = 0.02
"""Log probabilities are filed in steps of this size, so by at most a hundredth off."""
PART_HOURS = 3
"""There is a list, and a density, for every three hours of the local clock."""
N_PARTS = 24 // PART_HOURS
SHARES = (1, 5, 10)
"""Percentages of the cells that lists have."""
_MIN_PROBABILITY = 1e-250


@dataclass(frozen=True)
class FiledForecast:
    """A forecast of H hours in P parts of the day, of N cells; lists have the first K.

    Args:
        cell_id: (N,) ids of the cells; `area_km2` (N,) their areas.
        hour_mean, hour_lo, hour_hi: (H,) expected incidents of each hour, with bounds of 90 %.
        lists: (P, K) rows of the best cells as served, the best first.
        probability: (P, N) of the cell of an incident in that part.
    """

    cell_id: IntArray
    area_km2: FloatArray
    hour_mean: FloatArray
    hour_lo: FloatArray
    hour_hi: FloatArray
    lists: IntArray
    probability: FloatArray

    def pack(self) -> bytes:
        """Return it as stored."""
        level = np.log(np.maximum(self.probability, _MIN_PROBABILITY)) / STEP_NATS
        step = np.rint(level).astype(np.int32)
        tensors: dict[str, NDArray[Any]] = {
            "cell_id": np.diff(self.cell_id, prepend=0).astype(np.int32),
            "area_km2": self.area_km2.astype(np.float32),
            "hour_mean": self.hour_mean.astype(np.float64),
            "hour_lo": self.hour_lo.astype(np.int32),
            "hour_hi": self.hour_hi.astype(np.int32),
            "lists": self.lists.astype(np.int32),
            # Neighbouring parts differ by little, which compresses well.
            "level": np.diff(step, axis=0, prepend=0).astype(np.int16),
        }
        return _packed(tensors)

    @classmethod
    def unpack(cls, part: bytes) -> FiledForecast:
        """Read it as stored."""
        found = _unpacked(part)
        step = np.cumsum(found["level"].astype(np.int64), axis=0)
        probability = np.exp((step - step.max(axis=1, keepdims=True)) * STEP_NATS)
        return cls(
            np.cumsum(found["cell_id"].astype(np.int64)),
            found["area_km2"].astype(np.float64),
            found["hour_mean"],
            found["hour_lo"].astype(np.float64),
            found["hour_hi"].astype(np.float64),
            found["lists"].astype(np.int64),
            probability / probability.sum(axis=1, keepdims=True),
        )


@dataclass(frozen=True)
class FiledCounts:
    """Incidents (N,) of the year before, by cell: the list that every analyst can make."""

    count: IntArray

    def pack(self) -> bytes:
        """Return it as stored."""
        return _packed({"count": self.count.astype(np.int32)})

    @classmethod
    def unpack(cls, part: bytes) -> FiledCounts:
        """Read it as stored."""
        return cls(_unpacked(part)["count"].astype(np.int64))

    def probability(self, area_km2: FloatArray) -> FloatArray:
        """Return the probabilities (N,) that `prior-counts` makes of it."""
        count = self.count.astype(np.float64)
        return normalised(count, area_km2, share_of_lone(count))

    def ranked(self, area_km2: FloatArray) -> IntArray:
        """Return the rows of the list, as long as the longest of the forecast's."""
        n_listed = n_top(len(area_km2), SHARES[-1])
        return ranked_rows(self.probability(area_km2))[:n_listed]


def sha256_of(content: bytes) -> bytes:
    """Return the SHA-256 of bytes."""
    return hashlib.sha256(content).digest()


def canonical(value: Mapping[str, Any]) -> str:
    """Return JSON of which there is only one form: keys in order, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def checked(part: bytes, sha256: bytes, name: str) -> bytes:
    """Return a part after comparing it with its digest.

    Raises:
        Conflict: it is not what was filed.
    """
    if sha256_of(part) != sha256:
        raise Conflict(f"{name} is not what was filed", code="register_altered")
    return part


def _packed(tensors: dict[str, NDArray[Any]]) -> bytes:
    return secrets.token_bytes(SALT_BYTES) + zlib.compress(save(tensors), 9)


def _unpacked(part: bytes) -> dict[str, NDArray[Any]]:
    return dict(load(zlib.decompress(part[SALT_BYTES:])))
