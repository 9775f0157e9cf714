"""What a version says of how it was made: its tables, what was left out, where and with what."""

from __future__ import annotations

import platform
import time
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version as package_version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.domain.learning_policy import patrol_categories
from app.services.training_data import TrainingData
from app.storage import registry
from models.base import DensityModel, FitContext


def probability_tables(model: DensityModel) -> dict[int, NDArray[np.float64]]:
    """(W, N) probabilities under `ALL_CATEGORIES`, (2, N) ratio and fixed part under each category."""
    own = {code: np.stack([d.ratio, d.fixed]) for code, d in model.category_density_.items()}
    return {registry.ALL_CATEGORIES: model.probability_, **own}


def data_facts(data: TrainingData) -> dict[str, Any]:
    """What was left out of a fit, for the version's report."""
    piles = [asdict(pile) for pile in data.piles]
    return {
        "data": {
            "outside_study_area": data.n_outside,
            "default_geocodes": piles,
            "discovered_weight": data.policy.discovered_weight,
            "excluded_categories": data.excluded_categories,
            "patrol_categories": patrol_categories(data.categories),
        }
    }


def provenance(context: FitContext, started: float) -> dict[str, Any]:
    """Where and with what a version was made."""
    libraries = ("hotslot", "torch", "numpy", "scipy", "scikit-learn", "pandas", "shapely")
    return {
        "created_at": datetime.now(UTC).isoformat(),
        "seconds": round(time.perf_counter() - started, 1),
        "device": context.device,
        "n_threads": context.n_threads,
        "machine": platform.machine(),
        "python": platform.python_version(),
        "libraries": {name: package_version(name) for name in libraries},
    }
