"""What a version says of how it was made: its tables, what was left out, where and with what."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app import __version__
from app.data_quality.checks.time_heaping import MINUTES_OF_DAY, clock_times
from app.fitting.data import TrainingData
from app.fitting.device import device_name
from app.geo.hour_of_week import local_offset_s
from app.regions.learning_policy import patrol_categories
from app.registry import store as registry
from models.base import DensityModel, FitContext

LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn", "pandas", "shapely")
MINUTE_S = 60
CODE_FOLDERS = ("app", "models")


def probability_tables(model: DensityModel) -> dict[int, NDArray[np.float64]]:
    """(W, N) probabilities under `ALL_CATEGORIES`, (2, N) ratio and fixed part under each category.

    A category whose code does not fit into the tables' two bytes (regions that had more of them
    before their number was limited) goes by the city's density.
    """
    own = {
        code: np.stack([d.ratio, d.fixed])
        for code, d in model.category_density_.items()
        if code <= registry.MAX_CATEGORY_CODE
    }
    return {registry.ALL_CATEGORIES: model.probability_, **own}


def data_facts(data: TrainingData) -> dict[str, Any]:
    """What was left out of a fit, for the version's report."""
    piles = [asdict(pile) for pile in data.piles]
    return {
        "data": {
            "outside_study_area": data.n_outside,
            "default_geocodes": piles,
            "unknown_times": _unknown_times(data),
            "discovered_weight": data.policy.discovered_weight,
            "excluded_categories": data.excluded_categories,
            "patrol_categories": patrol_categories(data.categories),
        }
    }


def _unknown_times(data: TrainingData) -> list[dict[str, Any]]:
    """Times of day at which far more incidents are dated than the hours around explain."""
    time_s = data.incidents.time_s
    local_s = time_s + local_offset_s(time_s, data.region.timezone)
    by_minute = np.bincount(local_s // MINUTE_S % MINUTES_OF_DAY, minlength=MINUTES_OF_DAY)
    return [
        {"at": told.label, "n_incidents": told.n_incidents}
        for told in clock_times(by_minute)
        if told.spike
    ]


def provenance(context: FitContext, durations_s: Mapping[str, float]) -> dict[str, Any]:
    """Where and with what a version was made; `durations_s` by step of the training."""
    return {
        "created_at": datetime.now(UTC).isoformat(),
        "seconds": round(sum(durations_s.values()), 1),
        "durations_s": {name: round(s, 2) for name, s in durations_s.items()},
        "device": context.device,
        "device_name": device_name(context.device),
        "n_threads": context.n_threads,
        "machine": platform.machine(),
        "python": platform.python_version(),
        "code_sha256": code_sha256(),
        "libraries": {
            "hotslot": __version__,
            **{name: package_version(name) for name in LIBRARIES},
        },
    }


@cache
def code_sha256() -> str:
    """Hash of hotslot's own source files: tells two builds of one version number apart."""
    root = Path(__file__).resolve().parents[2]
    digest = hashlib.sha256()
    for folder in CODE_FOLDERS:
        for path in sorted((root / folder).rglob("*.py")):
            digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
