"""How far a version's probabilities may be off, from its artifact."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from app.registry.artifacts import load_artifact
from app.registry.store import VersionRecord
from models.base import Band, FloatArray


def read_band(connection: Connection, record: VersionRecord) -> Band | None:
    """Return how far a version's probabilities may be off; None if its model does not know.

    Raises:
        ArtifactCorrupt: the artifact differs from what was registered.
    """
    if "band" not in record.report:
        return None
    _, tensors = load_artifact(connection, record.artifact_sha256)
    loading, variance = (tensors[f"band.{name}"] for name in ("loading", "variance"))
    return Band(loading.astype(np.float64), variance.astype(np.float64))


def log_variance(band: Band | None, windows: NDArray[Any], mean: FloatArray) -> FloatArray | None:
    """Return the variances (N,) of the logarithms of the probabilities of several slots.

    Those of the slots are averaged by their means (K,), as if they were off together.
    """
    if band is None:
        return None
    weight = mean if mean.sum() > 0 else np.ones(len(mean))
    loading = weight @ band.loading[windows.astype(np.int64)] / weight.sum()
    variance: FloatArray = loading @ band.variance
    return variance
