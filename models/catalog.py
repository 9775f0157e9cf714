"""All density models, by the names used in the API."""

from __future__ import annotations

import importlib
from typing import Any

from models.base import DensityModel

_CLASSES = {
    "uniform": ("models.densities.uniform", "Uniform"),
    "prior-counts": ("models.densities.prior_counts", "PriorCounts"),
    "prior-counts-hourly": ("models.densities.prior_counts", "PriorCountsHourly"),
    "window-kde": ("models.densities.kde", "WindowKde"),
    "pooled-kde": ("models.densities.kde", "PooledKde"),
    "multi-kde": ("models.densities.kde", "MultiKde"),
    "recent-kde": ("models.densities.recent", "RecentKde"),
    "history": ("models.densities.history", "History"),
    "sepp": ("models.densities.near_repeat", "Sepp"),
    "gmm": ("models.densities.gmm", "Gmm"),
    "cox": ("models.densities.cox", "Cox"),
    "maf": ("models.densities.maf", "Maf"),
    "maf-window": ("models.densities.maf_window", "MafWindow"),
    "maf-paper": ("models.densities.maf_window", "MafPaper"),
    "stack": ("models.densities.stack", "Stack"),
}
MODEL_NAMES: tuple[str, ...] = tuple(_CLASSES)
USES_DEVICE = frozenset(("cox", "maf", "maf-window", "maf-paper", "stack"))
"""Models that fit on `FitContext.device`; the others fit on the processor whatever it says."""


def create_model(name: str, **settings: Any) -> DensityModel:
    """Create an unfitted model; torch is imported only for models that need it.

    >>> create_model("pooled-kde", bandwidth_m=80.0).bandwidth_m
    80.0

    Raises:
        ValueError: the name is unknown.
    """
    if name not in _CLASSES:
        raise ValueError(f"unknown model {name!r}; choose one of {', '.join(MODEL_NAMES)}")
    module, class_name = _CLASSES[name]
    model: DensityModel = getattr(importlib.import_module(module), class_name)(**settings)
    return model
